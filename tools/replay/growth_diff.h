// SPDX-License-Identifier: MIT
//
// What grew between two moments, by stack: of two logs by their exact totals, of one log by its
// records, where they prove both moments.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tools/log/log_reader.h"

namespace ovc {

struct Delta {
  int64_t low = 0, high = 0;
  bool exact() const { return low == high; }
  bool operator==(const Delta&) const = default;
};

// Calls of one kind from places that look alike in words. In kB, as StackSum.
struct GrownStack {
  Op op = Op::kNone;
  std::vector<std::string> callers;  // raw, innermost first; empty: no room for the stack
  Delta now, ever;
  int64_t calls = 0, failed = 0;
  bool changed() const { return now != Delta{} || ever != Delta{} || calls != 0 || failed != 0; }
};

struct GrowthDiff {
  std::vector<GrownStack> stacks;  // those that changed, by how much they hold more, then by `ever`
  Delta now, ever;
  uint64_t from_tick = 0, to_tick = 0;  // of the newest calls in each
  bool same_recording = false;          // the second log continues the first
  std::vector<std::string> doubts;      // why it is not exact; empty: it is
};

// Throw Error where a log does not tell.
GrowthDiff growth_between(const LogReader& a, const LogReader& b);
GrowthDiff growth_between(const LogReader& log, uint64_t from_tick, uint64_t to_tick);

}  // namespace ovc
