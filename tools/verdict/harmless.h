// SPDX-License-Identifier: MIT
//
// Refused calls that did no harm, as far as the records prove it: what the caller did next says
// that it found another way, or the call's own flags say that it only asked. Never by the name of a
// program.
#pragma once
#include <string_view>

#include "tools/log/log_reader.h"
#include "tools/symbols/symbols.h"
#include "tools/verdict/why_scan.h"

namespace ovc {

// How: "the same mapping of ordinary pages was granted"; empty if nothing proves it.
std::string_view harmless(const LogReader& log, const WhyScan& scan, Symbols& symbols,
                          const Event& event);

}  // namespace ovc
