// SPDX-License-Identifier: MIT
//
// Names of places in a report's page, so that marks of its charts can lead to them.
#pragma once
#include <fmt/format.h>

#include <string>

#include "tools/report/report_data.h"

namespace ovc {

inline std::string verdict_id(size_t index) { return fmt::format("verdict-{}", index + 1); }
inline std::string fork_id(const ForkRow& fork) { return fmt::format("fork-{}", fork.position); }

}  // namespace ovc
