// SPDX-License-Identifier: MIT
//
// See group_place.h. The kernel writes both paths, of /proc/PID/cgroup and of mountinfo's field 4,
// as seen from the reader's cgroup namespace (kernel/cgroup/cgroup.c cgroup_show_path()), so the
// one can be taken off the other.
#include "shim/proc/group_place.h"

#include <fcntl.h>

#include "shim/proc/lines.h"
#include "shim/proc/proc_files.h"
#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

constexpr uint64_t kInitialCgroupNs = 0xEFFFFFFB;  // include/linux/proc_ns.h
constexpr uint64_t kNoMount = UINT64_MAX;

bool same(const char* a, const char* b) {
  while (*a && *a == *b) ++a, ++b;
  return *a == *b;
}

// Appends; false if it does not fit.
bool put(char* to, uint64_t room, uint64_t& length, const char* s) {
  const uint64_t more = sys::length(s);
  if (length + more >= room) return false;
  sys::copy(to + length, s, more + 1);
  length += more;
  return true;
}

// The word at `at`, terminated; `at` moves behind it. nullptr at the end.
char* word(char*& at) {
  if (!*at) return nullptr;
  char* start = at;
  while (*at && *at != ' ') ++at;
  if (*at) *at++ = '\0';
  return start;
}

// "\040" and the like, in place (fs/proc_namespace.c mangle()).
char* unescaped(char* text) {
  char* to = text;
  for (const char* from = text; *from; ++to) {
    const bool octal = from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] && from[3];
    *to = octal ? static_cast<char>((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'))
                : *from;
    from += octal ? 4 : 1;
  }
  *to = '\0';
  return text;
}

// Is `name` among the words between commas? `end`: what ends the list.
bool among(const char* list, const char* name, char end) {
  const uint64_t len = sys::length(name);
  while (*list && *list != end) {
    if (sys::equal(list, name, len) && (list[len] == ',' || list[len] == end || !list[len]))
      return true;
    while (*list && *list != ',' && *list != end) ++list;
    if (*list == ',') ++list;
  }
  return false;
}

// What is left of `path` below `top`; nullptr if it is not below it.
const char* below(const char* path, const char* top) {
  if (same(top, "/")) return same(path, "/") ? "" : path;
  while (*top && *top == *path) ++top, ++path;
  if (*top || (*path && *path != '/')) return nullptr;
  return path;
}

// "8:12" as the kernel packs it for statx.
uint64_t device_of(const char* text) {
  const char* rest = text;
  const uint64_t major = parse_number(text, &rest);
  return *rest == ':' ? major << 32 | parse_number(rest + 1) : kUnknown;
}

struct Where {
  uint64_t mount_id, device, inode;
};
// Of a folder; false if there is none.
bool where_is(const char* path, Where& out) {
  constexpr long kMountId = 0x1000;
  uint32_t raw[64]{};  // struct statx: mask is word 0, ino 8 and 9, dev_major 34, dev_minor 35,
                       // mnt_id 36 and 37
  const long answer = sys::call(__NR_statx, AT_FDCWD, reinterpret_cast<long>(path),
                                AT_SYMLINK_NOFOLLOW, kMountId | 0x7ff, reinterpret_cast<long>(raw));
  if (sys::failed(answer)) return false;
  out.mount_id =
      raw[0] & kMountId ? static_cast<uint64_t>(raw[37]) << 32 | raw[36] : kNoMount;  // since 5.8
  out.device = static_cast<uint64_t>(raw[34]) << 32 | raw[35];
  out.inode = static_cast<uint64_t>(raw[9]) << 32 | raw[8];
  return true;
}

}  // namespace

// "9:pids:/a/b"; "0::/a" is version 2, which has what no line of version 1 names.
GroupPlace::Path GroupPlace::path_in(char* line, const char* controller) {
  char* at = line;
  while (*at && *at != ':') ++at;
  if (*at) ++at;
  const bool v2 = *at == ':', v1 = !v2 && among(at, controller, ':');
  while (*at && *at != ':') ++at;
  if (!(v1 || v2) || *at != ':' || at[1] != '/') return Path::kNone;
  uint64_t length = 0;
  if (!put(group_, kPathRoom, length, at + 1)) return Path::kTooLong;
  version_ = v1 ? 1 : 2;
  return v1 ? Path::kOwn : Path::kUnified;
}

bool GroupPlace::own_path(const char* controller, char* io, uint64_t room) {
  Path path = Path::kNone;
  bool found = false;
  const auto look_at = [&](char* line) {
    path = path_in(line, controller);
    found |= path == Path::kOwn || path == Path::kUnified;
    return path == Path::kNone || path == Path::kUnified;  // go on
  };
  if (!own_groups_) {
    Lines lines(files_.cgroup, io, room);
    for (char* line = lines.next(); line && look_at(line);) line = lines.next();
  }
  for (const char* at = own_groups_; at && *at; at = next_line(at)) {
    uint64_t length = 0;
    for (; at[length] && at[length] != '\n' && length < room - 1; ++length) io[length] = at[length];
    io[length] = '\0';
    if (!look_at(io)) break;
  }
  return found && path != Path::kTooLong;
}

bool GroupPlace::take(const char* point, const char* rest) {
  char* const path = built_;
  uint64_t length = 0;
  if (!put(path, kPathRoom, length, files_.before_points) || !put(path, kPathRoom, length, point) ||
      !put(path, kPathRoom, length, rest))
    return false;
  if (is_found() && !same(path, path_)) ambiguous_ = true;
  sys::copy(path_, path, length + 1);
  length_ = length;
  prefix_ = sys::length(files_.before_points);
  top_ = prefix_ + sys::length(point);
  return true;
}

// id parent dev ROOT POINT options [tags] - TYPE source SUPER-OPTIONS
void GroupPlace::try_mount(char* line, const char* controller) {
  char* at = line;
  const char* id = word(at);
  word(at);
  const char* device = word(at);
  char *root = word(at), *point = word(at);
  const char* kind = point;
  while (kind && !same(kind, "-")) kind = word(at);
  const char *type = kind ? word(at) : nullptr, *source = type ? word(at) : nullptr;
  const char* options = source ? word(at) : nullptr;
  if (!options || !same(type, version_ == 1 ? "cgroup" : "cgroup2")) return;
  if (version_ == 1 && !among(options, controller, '\0')) return;
  unescaped(root), unescaped(point);
  const char* rest = below(group_, root);
  char* const path = built_;
  uint64_t length = 0;
  Where where{kNoMount, 0, 0};
  if (!put(path, kPathRoom, length, files_.before_points) || !put(path, kPathRoom, length, point) ||
      !put(path, kPathRoom, length, rest ? rest : "") || !where_is(path, where))
    return;
  const bool here = where.mount_id != kNoMount ? where.mount_id == parse_number(id)
                                               : where.device == device_of(device);
  if (files_.real && !here) return;  // something else is mounted over it
  if (rest) {
    take(point, rest);
    inode_ = where.inode, device_ = where.device;
  } else if (!is_found()) {
    sys::copy(other_, path, length + 1);
    other_length_ = length, other_inode_ = where.inode;
  }
}

bool GroupPlace::holds_us(char* io, uint64_t room) {
  char* const path = built_;
  uint64_t length = 0;
  if (!put(path, kPathRoom, length, other_) || !put(path, kPathRoom, length, "/cgroup.procs"))
    return false;
  constexpr int kMostLines = 4096;
  const auto pid = static_cast<uint64_t>(sys::call(__NR_getpid));
  Lines lines(path, io, room);
  char* line = nullptr;
  for (int i = 0; i < kMostLines && (line = lines.next()); ++i)
    if (parse_number(line) == pid) return true;
  return false;
}

void GroupPlace::look_at_mounts(const char* controller, char* io, uint64_t room) {
  Lines lines(files_.mountinfo, io, room);
  while (char* line = lines.next()) try_mount(line, controller);
}

bool GroupPlace::find(const char* controller, char* io, uint64_t room) {
  if (!own_path(controller, io, room)) return false;
  initial_root_ = same(group_, "/") && namespace_inode(files_.namespace_link) == kInitialCgroupNs;
  if (initial_root_) return true;
  look_at_mounts(controller, io, room);
  if (ambiguous_) length_ = 0;
  if (is_found() || !other_length_ || !holds_us(io, room)) return true;
  prefix_ = sys::length(files_.before_points);
  sys::copy(path_, other_, other_length_ + 1);
  length_ = top_ = other_length_;
  inode_ = other_inode_;
  holds_us_ = true;
  return true;
}

// That a group holds this process says nothing of the next one.
void GroupPlace::note(GroupMemo::Place& memo) const {
  uint64_t length = 0, path_length = 0;
  const char* path = initial_root_ ? "" : path_;
  memo.version = 0;
  if (holds_us_ || !put(memo.group, sizeof memo.group, length, group_) ||
      !put(memo.path, sizeof memo.path, path_length, path))
    return;
  memo.inode = inode_, memo.device = device_;
  memo.version = version_;
}

// A folder with that number on that file system is that group, from wherever one looks at it.
bool GroupPlace::find_again(const char* controller, const GroupMemo::Place& memo, char* io,
                            uint64_t room) {
  if (memo.version == 0 || !own_path(controller, io, room) || version_ != memo.version ||
      !same(group_, memo.group))
    return false;
  initial_root_ = !memo.path[0];
  if (initial_root_) return true;
  Where where{kNoMount, 0, 0};
  length_ = top_ = 0;
  if (!put(path_, kPathRoom, length_, memo.path) || !where_is(path_, where)) return false;
  top_ = length_;
  inode_ = where.inode, device_ = where.device;
  return inode_ == memo.inode && device_ == memo.device;
}

bool GroupPlace::has(const char* file) {
  uint64_t length = length_;
  if (!put(path_, kPathRoom, length, file)) return false;
  const long answer = sys::call(__NR_faccessat, AT_FDCWD, reinterpret_cast<long>(path_), 0);
  path_[length_] = '\0';
  return !sys::failed(answer);
}

void GroupPlace::figures(const char* file, const char* const* lines, uint64_t* values, int count) {
  uint64_t length = length_;
  for (int i = 0; i < count; ++i) values[i] = kUnknown;
  if (!put(path_, kPathRoom, length, file)) return;
  char io[512];  // memory.stat is longer: line by line
  Lines text(path_, io, sizeof io);
  unsigned missing = (1u << count) - 1;
  while (const char* at = missing ? text.next() : nullptr) {
    for (int i = 0; i < count; ++i) {
      const uint64_t name = lines[i] ? sys::length(lines[i]) : 0;
      if (!(missing >> i & 1) || (name && !sys::equal(at, lines[i], name))) continue;
      values[i] = parse_number(at + name);
      missing &= ~(1u << i);
    }
  }
  path_[length_] = '\0';
}

// Files that only the root has, or that all but the root have (kernel/cgroup/cgroup.c
// cgroup_base_files, cgroup-v1.c cgroup1_base_files).
bool GroupPlace::is_root(unsigned version) {
  return version == 1 ? has("/release_agent") : has("/cgroup.procs") && !has("/cgroup.type");
}

void GroupPlace::up() {
  while (length_ > top_ && path_[length_ - 1] != '/') --length_;
  if (length_ > top_) --length_;
  path_[length_] = '\0';
}

}  // namespace ovcshim
