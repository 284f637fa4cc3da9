// SPDX-License-Identifier: MIT
//
// See log_path.h. No environment variable and no descriptor leads an exec'd child to its tree,
// since the program could see them; instead the child asks the logs of its user which of them knows
// its ancestors.
#include "shim/record/log_path.h"

#include <fcntl.h>

#include "shim/format/log_format.h"
#include "shim/proc/proc_files.h"
#include "shim/record/directory.h"
#include "shim/record/process.h"
#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

constexpr char kIndexPrefix[] = ".ovcshim.";

void add_command(PathText& text) {
  char comm[20];
  const long n = read_file("/proc/self/comm", comm, sizeof comm);
  if (n <= 1) return text.add("unknown");
  // No name leads out of the folder: no separator, and none that begins like "." or "..".
  for (long i = 0; i < n && comm[i] != '\n'; ++i)
    text.add(comm[i] == '/' || comm[i] < ' ' || (i == 0 && comm[i] == '.') ? '_' : comm[i]);
}

long read_at(long fd, void* to, uint64_t bytes, uint64_t offset) {
  return sys::call(__NR_pread64, fd, reinterpret_cast<long>(to), static_cast<long>(bytes),
                   static_cast<long>(offset));
}

bool is_log_of_this_boot(long fd) {
  struct {
    char magic[16];
    uint32_t endian, version, machine, ready;
  } head{};
  char boot[40]{}, now[40]{};
  if (read_at(fd, &head, sizeof head, 0) != sizeof head ||
      !sys::equal(head.magic, kMagic, sizeof kMagic))
    return false;
  if (head.endian != kEndianMark || head.version != kFormatVersion || !head.ready) return false;
  if (read_at(fd, boot, sizeof boot, offsetof(FileHeader, boot_id)) != sizeof boot) return false;
  return read_file("/proc/sys/kernel/random/boot_id", now, sizeof now) > 36 &&
         sys::equal(boot, now, 36);
}

bool slot_matches(long fd, uint32_t index, uint32_t pid, uint64_t start) {
  ProcessSlot slot;
  uint64_t table[2];
  if (read_at(fd, table, sizeof table, offsetof(FileHeader, processes)) != sizeof table)
    return false;
  if (read_at(fd, &slot, offsetof(ProcessSlot, comm), table[0] + index * sizeof slot) !=
      offsetof(ProcessSlot, comm))
    return false;
  return slot.pid == pid && slot.start_ticks == start;
}

bool knows_one(long fd, const uint32_t* index, uint32_t pid, uint64_t start) {
  for (uint32_t i = 0; i < kProcessSlots; ++i)
    if (index[i] == pid && slot_matches(fd, i, pid, start)) return true;
  return false;
}

bool is_candidate(const char* name) {
  const uint64_t len = sys::length(name);
  if (len > 9 && sys::equal(name, kIndexPrefix, 9)) return true;
  return len > 12 && sys::equal(name, "ovcshim.", 8) && sys::equal(name + len - 4, ".ovc", 4);
}

// Without a link; not so below a folder there.
bool is_found_by_name(const char* path) {
  constexpr uint64_t kPrefix = sizeof kFallbackDirectory - 1;
  if (!sys::equal(path, kFallbackDirectory, kPrefix)) return false;
  for (const char* c = path + kPrefix; *c; ++c)
    if (*c == '/') return false;
  return is_candidate(path + kPrefix);
}

// A link must be our own; what it leads to is checked by log_knows.
bool target_of(const char* name, char* path, uint64_t room) {
  PathText text{path, path + room};
  text.add(kFallbackDirectory);
  text.add(name);
  if (!text.fits) return false;
  if (name[0] != '.') return true;
  FileStat st{};
  if (!file_stat(AT_FDCWD, path, st) || st.uid != effective_user()) return false;
  char link[kPathRoom];
  const long n = sys::call(__NR_readlinkat, AT_FDCWD, reinterpret_cast<long>(path),
                           reinterpret_cast<long>(link), sizeof link - 1);
  if (sys::failed(n) || link[0] != '/' || static_cast<uint64_t>(n) >= room) return false;
  sys::copy(path, link, static_cast<uint64_t>(n));
  path[n] = '\0';
  FileStat target{};
  if (file_stat(AT_FDCWD, path, target)) return true;
  text.at = link;  // the log is gone: so goes the link
  text.end = link + sizeof link;
  text.add(kFallbackDirectory);
  text.add(name);
  sys::call(__NR_unlinkat, AT_FDCWD, reinterpret_cast<long>(link), 0);
  return false;
}

bool search(Directory& directory, const Family& family, char* path, uint64_t room) {
  while (const char* name = directory.next())
    if (is_candidate(name) && target_of(name, path, room) &&
        log_knows(path, family.pids, family.starts, family.count))
      return true;
  return false;
}

}  // namespace

bool has_placeholder(const char* pattern) {
  for (; *pattern; ++pattern) {
    if (pattern[0] != '%') continue;
    if (pattern[1] == 'c' || pattern[1] == 'p') return true;
    if (pattern[1] == '%') ++pattern;
  }
  return false;
}

bool expand_template(const char* pattern, char* to, uint64_t room) {
  PathText text{to, to + room};
  for (const char* c = pattern; *c; ++c) {
    if (c[0] == '%' && c[1] == 'c') add_command(text), ++c;
    else if (c[0] == '%' && c[1] == 'p')
      text.add_number(static_cast<uint64_t>(sys::call(__NR_getpid))), ++c;
    else if (c[0] == '%' && c[1] == '%') text.add('%'), ++c;
    else text.add(*c);
  }
  return text.fits && text.at > to;
}

bool second_log_name(const char* first, char* to, uint64_t room) {
  uint64_t stem = sys::length(first);
  if (stem > 4 && sys::equal(first + stem - 4, ".ovc", 4)) stem -= 4;
  if (stem + 1 >= room) return false;
  sys::copy(to, first, stem);
  PathText text{to + stem, to + room};
  text.add(".uid");
  text.add_number(static_cast<uint64_t>(sys::call(__NR_geteuid)));
  text.add(first + stem);
  return text.fits;
}

bool log_knows(const char* path, const uint32_t* pids, const uint64_t* start_ticks,
               unsigned count) {
  const long fd = sys::call(__NR_openat, AT_FDCWD, reinterpret_cast<long>(path),
                            O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (sys::failed(fd)) return false;
  bool known = false;
  uint32_t index[kProcessSlots];
  if (is_log_of_this_boot(fd) && read_at(fd, index, sizeof index, kPidIndexOffset) == sizeof index)
    for (unsigned i = 0; i < count && !known; ++i)
      known = knows_one(fd, index, pids[i], start_ticks[i]);
  sys::call(__NR_close, fd);
  return known;
}

void read_family(Family& family, uint32_t last) {
  auto pid = static_cast<uint32_t>(sys::call(__NR_getpid));
  while (family.count < Family::kMost && pid > last) {
    const StatFields stat = read_stat(pid);
    if (stat.start_ticks == kUnknown) return;
    family.pids[family.count] = pid;
    family.starts[family.count++] = stat.start_ticks;
    pid = static_cast<uint32_t>(stat.parent_pid);
  }
}

bool find_tree(char* path, uint64_t room) {
  char io[2048];
  Directory directory(kFallbackDirectory, io, sizeof io);
  if (!directory.ok()) return false;
  Family family;
  read_family(family, 1);
  return family.count && search(directory, family, path, room);
}

void index_tree(const char* path) {
  if (is_found_by_name(path)) return;
  char whole[kPathRoom], name[64];
  PathText text{whole, whole + sizeof whole};
  if (path[0] != '/') {
    const long n = sys::call(__NR_getcwd, reinterpret_cast<long>(whole), sizeof whole);
    if (sys::failed(n) || whole[0] != '/') return;
    text.at = whole + sys::length(whole);
    text.add('/');
  }
  text.add(path);
  if (!text.fits) return;
  PathText link{name, name + sizeof name};
  link.add(kFallbackDirectory);
  link.add(kIndexPrefix);
  link.add_number(static_cast<uint64_t>(sys::call(__NR_getpid)));
  if (sys::call(__NR_symlinkat, reinterpret_cast<long>(whole), AT_FDCWD,
                reinterpret_cast<long>(name)) != -17 /* EEXIST */)
    return;
  sys::call(__NR_unlinkat, AT_FDCWD, reinterpret_cast<long>(name),
            0);  // an earlier process with our pid
  sys::call(__NR_symlinkat, reinterpret_cast<long>(whole), AT_FDCWD, reinterpret_cast<long>(name));
}

}  // namespace ovcshim
