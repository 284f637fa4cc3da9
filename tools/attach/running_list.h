// SPDX-License-Identifier: MIT
//
// The mappings of a process, read from /proc/PID/smaps while it runs: each part with the moments
// that it was read between, so that the calls that the shim records meanwhile can be put before or
// behind it (tools/replay/list_among_calls.h).
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "shim/format/attach_order.h"
#include "shim/format/log_format.h"

namespace ovc {

struct RunningList {
  uint64_t begin_tick = 0;
  std::vector<ovcshim::ReadPart> parts;
  std::vector<ovcshim::MappingEntry> entries;
  uint64_t bytes() const {
    return parts.size() * sizeof parts[0] + entries.size() * sizeof entries[0];
  }
};

// `clock`: what a tick of the log is. nullopt: it cannot be read, or its clock is another.
std::optional<RunningList> read_running_list(uint32_t pid, ovcshim::Clock clock);

}  // namespace ovc
