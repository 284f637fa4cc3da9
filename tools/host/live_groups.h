// SPDX-License-Identifier: MIT
//
// The control groups of a running process that can end or refuse a fork: task and memory limits, of
// version 1 and 2, of its own group and of every group above it that is visible here.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/host/proc_files.h"

namespace ovc {

struct GroupLimit {
  // kThrottle: memory.high, above which its members are slowed down, not killed.
  enum class Kind : uint8_t { kTasks, kMemory, kThrottle } kind = Kind::kTasks;
  unsigned version = 0;  // 1 or 2
  std::string path;      // of the group, as seen here; may be hostile
  uint64_t limit = 0;    // tasks, or bytes; kInfinite: none
  std::optional<uint64_t> used;
  bool killer_disabled = false;  // version 1, memory.oom_control
  // Memory only, bytes: of what is used the file cache, which the kernel takes back before it
  // kills; the most that was ever used; how much more swap the process may take there, by this
  // group and those below it (kInfinite: no limit).
  uint64_t cache = 0;
  std::optional<uint64_t> most, swap_room;
};

struct GroupLimits {
  std::vector<GroupLimit> limits;  // those that limit something, a group before the one above it
  bool all_visible = true;         // false: the process is in groups that no mount here shows
  // Version 2, memory.oom.group: of its own group and those above it the ones whose processes the
  // OOM killer ends all together; a group before the one above it. May be hostile.
  std::vector<std::string> killed_together;
};

GroupLimits read_group_limits(const SystemRoot& root, uint32_t pid);

// A memory group whose process may be gone: found again by the number of its folder.
struct MemoryGroupNow {
  std::string path;                            // may be hostile
  std::optional<uint64_t> limit, used, kills;  // bytes, kInfinite: none; kills of its processes
  // How often its limit was reached: version 2 with what lies below it, `oom` with no way out.
  std::optional<uint64_t> reached, oom;
  unsigned version = 0;
  bool is_root = false;  // of the hierarchy: nothing is above it
};
// And those above it, up to the top of what is mounted; empty: not found.
std::vector<MemoryGroupNow> find_memory_groups(const SystemRoot& root, uint64_t inode);

}  // namespace ovc
