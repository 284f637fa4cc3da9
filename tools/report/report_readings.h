// SPDX-License-Identifier: MIT
//
// Committed_AS and CommitLimit over time, as records carry them and as the log keeps them for ever,
// nothing between. Of many readings
// the lowest and highest of each small span are kept, so that memory and page stay small.
#pragma once
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "tools/report/report_clock.h"
#include "tools/text/json_fwd.h"
#include "tools/text/output.h"

namespace ovc {

struct ReadingSpan {
  int64_t from_us = 0, to_us = 0;  // of the first and the last reading in it
  uint64_t low_kb = 0, high_kb = 0, first_kb = 0, last_kb = 0, count = 0;
};

class Readings {
 public:
  Readings(const LogReader& log, const ReportClock& clock);
  void note(const Event& event);

  uint64_t count() const { return count_; }  // with those that stand in several records
  bool in_spans() const { return count_ > kMostSingle; }
  std::vector<ReadingSpan> spans() const;  // by time; single readings if they are few
  std::vector<ReadingSpan> coarse(size_t wanted) const;
  // [from, to] in which every reading of CommitLimit was the same, by time.
  struct Level {
    int64_t from_us, to_us;
    uint64_t value;
  };
  std::vector<Level> limits() const { return levels(limits_); }
  std::vector<Level> modes() const { return levels(modes_); }  // of vm.overcommit_memory
  Json json() const;

 private:
  static constexpr size_t kSpans = 1500, kMostSingle = 1500, kMostLevels = 400;
  void add(uint64_t tick, uint64_t kb);
  void add_kept();
  static void add_level(std::vector<Level>& list, int64_t us, uint64_t value);
  static std::vector<Level> levels(std::vector<Level> list);

  const LogReader& log_;
  ReportClock clock_;
  uint64_t count_ = 0;
  std::vector<ReadingSpan> single_, spans_;
  std::vector<Level> limits_, modes_;
};

}  // namespace ovc
