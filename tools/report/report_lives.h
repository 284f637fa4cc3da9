// SPDX-License-Identifier: MIT
//
// The process tree of a log: who started whom, when each began and ended, and how.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/log/log_reader.h"
#include "tools/verdict/fork_list.h"
#include "tools/verdict/why_report.h"

namespace ovc {

struct Life {
  uint32_t pid = 0;
  std::string name;                      // comm, or the program that left no record; raw
  std::string detail;                    // exe, or why it is not seen; raw
  std::string made_by;                   // "fork: BGSAVE"; empty if that is not known; raw
  std::string fate;                      // "exited, 0", "killed by SIGKILL", ...; raw
  std::string_view kind;                 // "ended", "status", "killed", "running", "unknown"
  uint64_t from_tick = 0, end_tick = 0;  // end_tick 0: not known
  uint64_t last_tick = 0;                // sign of life, where the end is not known
  uint64_t forks = 0, refused_forks = 0;
  unsigned depth = 0;
  uint64_t others = 0;  // as many more of the same kind stand in this row
  bool unseen = false;
};

struct Lives {
  std::vector<Life>
      rows;  // parents before their children; the same kind of children of one parent in one row
  std::map<ProcessId, uint64_t> end_ticks;  // where known
  uint64_t processes = 0, left_out = 0;     // all; those beyond the bound
};

Lives find_lives(const LogReader& log, const ForkList& forks, const HostNow& now);

}  // namespace ovc
