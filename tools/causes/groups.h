// SPDX-License-Identifier: MIT
//
// The control groups as a snapshot's text lists them (shim/format/log_format.h, Op::kSnapshot).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/log/log_reader.h"

namespace ovc {

struct GroupFigures {
  unsigned version = 0, level = 0;                       // level 0: the process's own
  std::string path;                                      // as the process saw it; may be hostile
  std::optional<uint64_t> limit, used, refusals, kills;  // kInfinite: no limit
  bool limits() const { return limit && *limit < ovcshim::kInfinite; }
  bool is_full() const { return limits() && used && *used >= *limit; }
};

// Own group first. controller: "pids" or "memory".
std::vector<GroupFigures> groups_of(const Event& snapshot, std::string_view controller);

// "/sys/fs/cgroup/memory/a: memory limit 400 MiB, ...": the nearest group with a limit, for people.
// nullopt: none was recorded.
std::optional<std::string> memory_group_text(const Event& snapshot);

}  // namespace ovc
