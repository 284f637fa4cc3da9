// SPDX-License-Identifier: MIT
//
// See group_room.h. A group's usage counts page cache, which the kernel drops before it kills: the
// file pages on the LRU lists are not counted as used (those of tmpfs are on the anonymous ones).
#include "shim/proc/group_room.h"

#include "shim/proc/proc_files.h"
#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

// Documentation/admin-guide/cgroup-v1/memory.rst, cgroup-v2.rst. v1 says 2^63 less a page for none.
struct Files {
  const char* root;
  const char* limits[2];
  const char* usage;
  const char* cache[2];  // lines of memory.stat
};
constexpr Files kVersion1 = {"/sys/fs/cgroup/memory",
                             {"/memory.limit_in_bytes", nullptr},
                             "/memory.usage_in_bytes",
                             {"total_inactive_file ", "total_active_file "}};
constexpr Files kVersion2 = {"/sys/fs/cgroup",
                             {"/memory.max", "/memory.high"},
                             "/memory.current",
                             {"inactive_file ", "active_file "}};
constexpr uint64_t kNoLimit = uint64_t{1} << 60;

// kUnknown is the greatest, kInfinite next to it.
uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

struct Path {
  char text[600];
  uint64_t length = 0;
  void add(const char* s) {
    while (*s && *s != '\n' && length < sizeof text - 1) text[length++] = *s++;
    text[length] = '\0';
  }
  void cut(uint64_t to) { text[length = to] = '\0'; }
};

uint64_t number_in(Path& group, const char* name) {
  const uint64_t before = group.length;
  group.add(name);
  const uint64_t value = read_number(group.text);
  group.cut(before);
  return value;
}

uint64_t cache_in(Path& group, const Files& files) {
  char text[4096];
  const uint64_t before = group.length;
  group.add("/memory.stat");
  const long n = read_file(group.text, text, sizeof text);
  group.cut(before);
  uint64_t sum = 0;
  for (const char* line : files.cache) {
    const uint64_t bytes = n > 0 ? find_value(text, line) : kUnknown;
    if (bytes < kNoLimit) sum += bytes;
  }
  return sum;
}

uint64_t room_of(Path& group, const Files& files) {
  uint64_t limit = kUnknown;
  for (const char* name : files.limits)
    if (name) limit = smaller(limit, number_in(group, name));
  if (limit == kUnknown) return kUnknown;
  const uint64_t usage = limit < kNoLimit ? number_in(group, files.usage) : kUnknown;
  if (usage == kUnknown) return kInfinite;
  const uint64_t cache = cache_in(group, files);
  const uint64_t used = usage > cache ? usage - cache : 0;
  return limit > used ? limit - used : 0;
}

// From the group up to the mount's root. Where the group's path lies outside what is mounted, the
// root alone can be read, and is ours.
uint64_t smallest_room(const Files& files, const char* group) {
  Path path;
  path.add(files.root);
  const uint64_t root = path.length;
  path.add(group);
  uint64_t room = kUnknown;
  for (;;) {
    if (path.length > root && path.text[path.length - 1] == '/') path.cut(path.length - 1);
    room = smaller(room, room_of(path, files));
    if (path.length <= root) return room;
    while (path.text[path.length - 1] != '/') path.cut(path.length - 1);
  }
}

}  // namespace

uint64_t memory_group_room() {
  char text[2048];
  if (read_file("/proc/thread-self/cgroup", text, sizeof text) <= 0) return kUnknown;
  const char* path = nullptr;
  for (const char* line = text; line && *line; line = next_line(line))
    if (has_controller(line, "memory", &path)) return smallest_room(kVersion1, path);
  for (const char* line = text; line && *line; line = next_line(line))
    if (has_controller(line, "", &path)) return smallest_room(kVersion2, path);
  return kUnknown;
}

uint64_t memory_room() {
  char text[2048];
  if (read_file("/proc/meminfo", text, sizeof text) <= 0) return kUnknown;
  const uint64_t kb = find_value(text, "MemAvailable:");
  return kb < kNoLimit ? kb * 1024 : kUnknown;
}

}  // namespace ovcshim
