// SPDX-License-Identifier: MIT
//
// What a fork was for, told from who asked for it: "BGSAVE", "replication: full synchronisation to
// disk", ...
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/log/log_reader.h"
#include "tools/symbols/symbols.h"

namespace ovc {

struct Asker {
  std::vector<std::string>
      functions;       // innermost first, as resolved; unknown frames may be empty or missing
  std::string comm;    // the process, for names that more than one program uses
  std::string object;  // file name of the code that made the call: the first that is neither libc
                       // nor the shim
  std::string_view call;  // "fork", "vfork", ...
};
Asker asker_of(const LogReader& log, Symbols& symbols, const Event& event);

std::optional<std::string_view> purpose(const Asker& asker);
// pcntl_fork and proc_open have no names in a stripped php: the child's program tells them apart.
inline constexpr std::string_view kForkByPhp = "fork by a PHP script (pcntl_fork or proc_open)",
                                  kProgramByPhp = "program started by a PHP script";

// Is a child forked for this purpose there only to run another program?
bool runs_program(std::string_view purpose);

// Is it there to write down what its parent holds?
bool is_save(std::string_view purpose);

// What a child forked for `purpose` turned out to be, from its stack when it ended; nullopt where
// that tells no more.
std::optional<std::string_view> role(std::string_view purpose,
                                     const std::vector<std::string>& functions_at_end);

}  // namespace ovc
