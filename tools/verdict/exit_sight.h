// SPDX-License-Identifier: MIT
//
// Why the exit of a process could not be seen: it makes its system calls itself, or came into being
// beside the shim.
#pragma once
#include <string>
#include <vector>

#include "tools/log/log_reader.h"
#include "tools/symbols/symbols.h"
#include "tools/verdict/process_end.h"
#include "tools/verdict/why_scan.h"

namespace ovc {

// Raw; empty if nothing is known that would have hidden an exit.
std::string exit_unseen(const LogReader& log, const ProcessEnds& ends, Symbols& symbols,
                        const Process& process);
// What recorded processes did unseen, as far as their programs and modules tell: Go's own code,
// code with a libc of its own (dlmopen). Raw sentences, each once.
std::vector<std::string> unseen_code(const LogReader& log, Symbols& symbols);

// A sanitizer's runtime in the process maps its shadow memory by system calls of its own, which are
// not seen: the limit that they can have met, and what to do. Empty: no such runtime or limit.
std::string shadow_suspect(const LogReader& log, const WhyScan& scan, Symbols& symbols,
                           const Process& process);
// The same of processes that exited with another status than 0, as such a runtime does.
void note_shadow_exits(const LogReader& log, const WhyScan& scan, Symbols& symbols,
                       std::vector<std::string>& notes);

}  // namespace ovc
