// SPDX-License-Identifier: MIT
//
// SIGBUS: what a process had mapped whose touch can end so. None of it is proof: where the touch
// was is nobody's record.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tools/log/log_reader.h"

namespace ovc {

// Of the process that had this pid between two ticks: suspects, the most likely first, and what to
// do.
std::vector<std::string> bus_error_notes(const LogReader& log, uint32_t pid, uint64_t from,
                                         uint64_t to);

}  // namespace ovc
