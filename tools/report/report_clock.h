// SPDX-License-Identifier: MIT
//
// The time axis of a report: microseconds since the log begins, and the wall clock.
#pragma once
#include <algorithm>
#include <cstdint>

#include "tools/log/log_reader.h"

namespace ovc {

class ReportClock {
 public:
  ReportClock(const LogReader& log, uint64_t first_tick, uint64_t last_tick)
      : log_(log),
        start_ns_(log.posix_ns(first_tick)),
        end_us_(std::max<int64_t>((log.posix_ns(last_tick) - start_ns_) / 1000, 1)) {}

  int64_t us(uint64_t tick) const {
    return std::clamp<int64_t>((log_.posix_ns(tick) - start_ns_) / 1000, 0, end_us_);
  }
  int64_t end_us() const { return end_us_; }
  int64_t posix_ns(uint64_t tick) const { return log_.posix_ns(tick); }
  int64_t posix_ns_of(int64_t microseconds) const { return start_ns_ + microseconds * 1000; }

 private:
  const LogReader& log_;
  int64_t start_ns_, end_us_;
};

}  // namespace ovc
