// SPDX-License-Identifier: MIT
//
// Was a killed child the OOM killer's, by the counter of its control group, and for whose limit?
// The counter oom_kill of a group counts its killed processes, whoever was short of memory: the
// group itself, one above it, or the host.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/causes/setting.h"
#include "tools/verdict/why_scan.h"

namespace ovc {

struct GroupAtKill {
  std::string path;                     // raw, may be hostile
  std::optional<uint64_t> limit, used;  // bytes; kInfinite: no limit
  std::optional<uint64_t> reached;      // how often its limit was, since it was made
};
struct KillFacts {
  std::vector<GroupAtKill> groups;  // its own first, then those above it
  // Since the process was last seen alive: version 2 `oom`, version 1 failcnt.
  std::optional<uint64_t> own_reached;
  // Version 2. Version 1 counts elsewhere where the limit with swap was reached: no count there
  // says that a limit was not.
  bool counts_all = false;
  bool all_seen = false;                 // up to the root
  std::optional<uint64_t> available_kb;  // MemAvailable then
};
// How many, by its group's counter; `now` is what that says.
std::string kills_text(const KillFacts& facts, uint64_t kills, const std::string& since,
                       uint64_t now);
// Lines for people, the proven first; what cannot be told apart are suspects. Ends with what to do.
std::vector<std::string> whose_limit(const KillFacts& facts, const Setting& setting);

// What the parent's group counted when its wait told of the SIGKILL, and what to do: empty where it
// counted nothing or was not read. A child is in its parent's group unless somebody moved it.
std::vector<std::string> group_kill_notes(const WhyScan& scan, const LogReader& log,
                                          uint64_t wait_position);

}  // namespace ovc
