// SPDX-License-Identifier: MIT
//
// Children that were made only to try something: strace and gdb fork a child, look whether the
// kernel lets them do what they need, kill it, and begin. What is provable of them, whatever the
// program: between the fork and the kill their parent did nothing but wait for them to stop and
// ask for memory, they themselves did nothing, and all took less than a second.
#pragma once
#include <cstdint>
#include <vector>

#include "tools/log/log_reader.h"

namespace ovc {

struct OwnKill {  // of a child, by the process that was told of its end
  uint32_t parent = 0, child = 0;
  uint64_t told_tick = 0;
  bool is_probe = false;  // the answer
};

// One walk over the log for all of them.
void find_probes(const LogReader& log, std::vector<OwnKill>& kills);

}  // namespace ovc
