// SPDX-License-Identifier: MIT
//
// Readings of Committed_AS and of the processes' own figures, spread over the whole life of a log
// (shim/format/readings_format.h is their specification). Nothing here trusts a number of the file.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "tools/log/log_reader.h"

namespace ovc {

// Figures of kUnknown were not read.
struct KeptReading {
  uint64_t tick = 0;
  uint64_t committed_kb = ovcshim::kUnknown, limit_kb = ovcshim::kUnknown;
  uint64_t vm_size_pages = ovcshim::kUnknown, resident_pages = ovcshim::kUnknown,
           data_pages = ovcshim::kUnknown;  // of `process`
  ProcessId process{ovcshim::kNoIndex, 0};
};

struct Extreme {
  uint64_t tick, committed_kb;
};

// A span of time: the first reading in it, and the extremes of all that were taken in it.
struct ReadingsCell {
  std::optional<KeptReading> first;
  std::optional<Extreme> lowest, highest;
};

std::vector<ReadingsCell> kept_readings(
    const LogReader& log);  // by time; those without any left out

}  // namespace ovc
