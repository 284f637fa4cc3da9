// SPDX-License-Identifier: MIT
//
// What a fork was for, told from the functions on the stack: "BGSAVE", "replication: full synchronisation to disk", ...
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ovc {

// functions: innermost first, as resolved; unknown frames may be empty or missing. comm: the process, for names that more
// than one program uses.
std::optional<std::string_view> purpose(std::span<const std::string> functions, std::string_view comm);

}  // namespace ovc
