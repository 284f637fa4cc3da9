// SPDX-License-Identifier: MIT
//
// Was a killed child the OOM killer's, by the counter of its control group?
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tools/verdict/why_scan.h"

namespace ovc {

// What the parent's group counted when its wait told of the SIGKILL, and what to do: empty where it
// counted nothing or was not read. A child is in its parent's group unless somebody moved it.
std::vector<std::string> group_kill_notes(const WhyScan& scan, const LogReader& log,
                                          uint64_t wait_position);

}  // namespace ovc
