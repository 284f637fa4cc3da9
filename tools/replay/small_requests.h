// SPDX-License-Identifier: MIT
//
// Who asked malloc and its family for small blocks (below 128 KiB), by stack, estimated from
// samples: SAMPLES in shim/format/growth_format.h. Whether a block was freed again is not known.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "tools/log/log_growth.h"

namespace ovc {

struct SmallAsker {
  uint32_t stack = ovcshim::kNoStack;
  Op op = Op::kNone;
  uint64_t samples = 0;
};

struct SmallRequests {
  std::vector<SmallAsker> askers;  // most first
  uint64_t sample_bytes = 0;       // asked for between two samples, on average
  uint64_t samples = 0, without_room = 0;

  uint64_t bytes(uint64_t of_samples) const { return of_samples * sample_bytes; }
  // Standard deviation of what bytes() says.
  uint64_t deviation(uint64_t of_samples) const;
};

// Half of what 95 of 100 such estimates lie within, in percent of the estimate, rounded up; of few
// samples it is more than 100.
uint64_t error_percent(uint64_t samples);

// nullopt: no sample was taken.
std::optional<SmallRequests> small_requests(const LogReader& log);

}  // namespace ovc
