// SPDX-License-Identifier: MIT
//
// See group_room.h. A group's usage counts page cache, which the kernel drops before it kills: the
// file pages on the LRU lists are not counted as used (those of tmpfs are on the anonymous ones).
#include "shim/proc/group_room.h"

#include "shim/proc/group_place.h"

namespace ovcshim {
namespace {

// Documentation/admin-guide/cgroup-v1/memory.rst, cgroup-v2.rst. v1 says 2^63 less a page for none.
struct Files {
  const char* limits[2];
  const char* usage;
  const char* cache[2];  // lines of memory.stat
};
constexpr Files kVersion1 = {{"/memory.limit_in_bytes", nullptr},
                             "/memory.usage_in_bytes",
                             {"total_inactive_file ", "total_active_file "}};
constexpr Files kVersion2 = {
    {"/memory.max", "/memory.high"}, "/memory.current", {"inactive_file ", "active_file "}};
constexpr uint64_t kNoLimit = uint64_t{1} << 60;

// kUnknown is the greatest, kInfinite next to it.
uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

uint64_t cache_in(GroupPlace& group, const Files& files) {
  uint64_t sum = 0;
  for (const char* line : files.cache) {
    const uint64_t bytes = group.figure("/memory.stat", line);
    if (bytes < kNoLimit) sum += bytes;
  }
  return sum;
}

uint64_t room_of(GroupPlace& group, const Files& files) {
  uint64_t limit = kUnknown;
  for (const char* name : files.limits)
    if (name) limit = smaller(limit, group.figure(name));
  if (limit == kUnknown) return kUnknown;
  const uint64_t usage = limit < kNoLimit ? group.figure(files.usage) : kUnknown;
  if (usage == kUnknown) return kInfinite;
  const uint64_t cache = cache_in(group, files);
  const uint64_t used = usage > cache ? usage - cache : 0;
  return limit > used ? limit - used : 0;
}

}  // namespace

uint64_t memory_group_room(const GroupFiles& where) {
  char io[2048], memory[GroupPlace::kMemory];
  GroupPlace group(where, memory);
  if (!group.find("memory", io, sizeof io)) return kUnknown;
  if (group.is_initial_root()) return kInfinite;
  if (!group.is_found()) return kUnknown;
  const Files& files = group.version() == 1 ? kVersion1 : kVersion2;
  uint64_t room = room_of(group, files);
  while (!group.is_top()) {
    group.up();
    room = smaller(room, room_of(group, files));
  }
  return room;
}

uint64_t memory_room() {
  char text[2048];
  if (read_file("/proc/meminfo", text, sizeof text) <= 0) return kUnknown;
  const uint64_t kb = find_value(text, "MemAvailable:");
  return kb < kNoLimit ? kb * 1024 : kUnknown;
}

}  // namespace ovcshim
