// SPDX-License-Identifier: MIT
//
// What the host's counter of OOM kills (/proc/vmstat oom_kill) says of the time of a death.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "tools/verdict/why_scan.h"

namespace ovc {

struct KillWindow {
  std::optional<uint64_t> before, after;  // counter readings around a death
  uint64_t from_tick = 0, to_tick = 0;    // to_tick 0: now
};

// The process died after `alive_tick`, and before `dead_tick` if that is known; 0: some time before
// now.
KillWindow host_kills_around(const WhyScan& scan, uint64_t alive_tick, uint64_t dead_tick,
                             std::optional<uint64_t> now_kills);

// pre: both readings are there.
std::string oom_note(const LogReader& log, const KillWindow& window);

}  // namespace ovc
