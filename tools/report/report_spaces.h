// SPDX-License-Identifier: MIT
//
// Address spaces for a report: of the process whose fork or memory call was refused, at that
// moment, and of those with the largest charges then, or at the end of the log.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/replay/ledger.h"
#include "tools/report/report_flame.h"
#include "tools/symbols/symbols.h"
#include "tools/text/output.h"
#include "tools/verdict/why_report.h"

namespace ovc {

struct SpaceRow {
  uint64_t start = 0, end = 0;
  Bounds charge;  // kB
  uint64_t at_fork_kb = 0;
  std::string what, flags, made_by,
      owner;            // escaped; owner: the function or object that asked for most of it
  uint64_t merged = 0;  // so many smaller ones stand in this row; then start and end are 0
  uint64_t kb = 0;
};

struct Space {
  uint32_t pid = 0;
  std::string name;  // raw
  uint64_t tick = 0;
  bool exact = false;
  Bounds charged, at_fork;
  std::vector<SpaceRow> rows;  // by address; the merged one last
  std::vector<std::string> notes;
  // Of a refused fork: what it asked for, what was left, and where it was refused.
  const Verdict* refused = nullptr;
};

struct Spaces {
  std::vector<Space> list;  // first: the one that the first verdict is about, if there is one
  uint64_t tick = 0;        // the moment all of them are shown at
  bool at_end = false;
  uint64_t left_out = 0;  // processes that lived then and are not shown
};

// Adds what is charged at that moment to `stacks`.
Spaces find_spaces(const LogReader& log, Symbols& symbols, const WhyReport& report,
                   const std::map<ProcessId, uint64_t>& end_ticks, uint64_t last_tick,
                   ChargeStacks& stacks);

}  // namespace ovc
