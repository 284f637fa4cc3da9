// SPDX-License-Identifier: MIT
//
// See proc_files.h. Each group of figures is a table of {line, key}; the order is that of the
// kernel's files.
#include "shim/proc/proc_files.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "shim/format/meminfo_lines.h"
#include "shim/proc/lines.h"
#include "shim/proc/proc_file.h"
#include "shim/sys/auxv.h"
#include "shim/sys/sys.h"

namespace ovcshim {

using sys::starts_with;

namespace {

struct Line {
  const char* name;
  FactKey key;
};

// Is `line` one of these?
template <size_t kCount>
void add_line(Facts& facts, const char* line, const Line (&rows)[kCount]) {
  for (const Line& row : rows)
    if (starts_with(line, row.name))
      return facts.add(row.key, parse_number(line + sys::length(row.name)));
}

}  // namespace

const char* next_line(const char* s) {
  while (*s && *s != '\n') ++s;
  return *s ? s + 1 : nullptr;
}

long read_file(const char* path, char* to, uint64_t room) {
  ProcFile file(path);
  if (!file.ok()) return -1;
  uint64_t have = 0;
  // The kernel hands out as much as there is, or as fits a page of its own: less is the end.
  constexpr long kMore = 2048;
  for (long n = kMore; n >= kMore && have < room - 1;) {
    n = file.read(to + have, room - 1 - have);
    if (n > 0) have += static_cast<uint64_t>(n);
  }
  to[have] = '\0';
  return static_cast<long>(have);
}

uint64_t parse_number(const char* s, const char** rest) {
  while (*s == ' ' || *s == '\t') ++s;
  if (starts_with(s, "max") || starts_with(s, "unlimited")) return kInfinite;
  if (*s < '0' || *s > '9') return kUnknown;
  uint64_t value = 0;
  while (*s >= '0' && *s <= '9') value = value * 10 + static_cast<uint64_t>(*s++ - '0');
  if (rest) *rest = s;
  return value;
}

uint64_t find_value(const char* text, const char* name) {
  const uint64_t len = sys::length(name);
  for (const char* line = text; line; line = next_line(line))
    if (starts_with(line, name)) return parse_number(line + len);
  return kUnknown;
}

// Not statx: old container runtimes refuse it. AT_EMPTY_PATH has been known since Linux 2.6.39.
static uint64_t in_ns(int64_t seconds, int64_t ns) {
  return static_cast<uint64_t>(seconds) * 1'000'000'000 + static_cast<uint64_t>(ns);
}

bool file_stat(long descriptor, const char* path, FileStat& out) {
  struct stat st {};
  if (!sys::failed(sys::call(__NR_newfstatat, descriptor, reinterpret_cast<long>(path),
                             reinterpret_cast<long>(&st), AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))) {
    out = {static_cast<uint64_t>(st.st_size),
           in_ns(st.st_ctim.tv_sec, st.st_ctim.tv_nsec),
           st.st_uid,
           st.st_mode,
           st.st_ino,
           st.st_dev};
    return true;
  }
  struct statx stx {};
  if (sys::failed(sys::call(__NR_statx, descriptor, reinterpret_cast<long>(path),
                            AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS,
                            reinterpret_cast<long>(&stx))))
    return false;
  out = {stx.stx_size, in_ns(stx.stx_ctime.tv_sec, stx.stx_ctime.tv_nsec),
         stx.stx_uid,  stx.stx_mode,
         stx.stx_ino,  makedev(stx.stx_dev_major, stx.stx_dev_minor)};
  return true;
}

uint32_t effective_user() {
  const long user = sys::call(__NR_geteuid);
  if (!sys::failed(user)) return static_cast<uint32_t>(user);
  uint32_t users[3]{};
  if (!sys::failed(sys::call(__NR_getresuid, reinterpret_cast<long>(users),
                             reinterpret_cast<long>(users + 1), reinterpret_cast<long>(users + 2))))
    return users[1];
  return g_auxv ? static_cast<uint32_t>(auxv_value(g_auxv, AT_EUID)) : UINT32_MAX;
}

uint32_t starting_user() {
  return g_auxv ? static_cast<uint32_t>(auxv_value(g_auxv, AT_EUID)) : effective_user();
}

uint64_t read_number(const char* path) {
  char text[32];
  return read_file(path, text, sizeof text) > 0 ? parse_number(text) : kUnknown;
}

void add_meminfo(Facts& facts, char* io, uint64_t room) {
  Lines file("/proc/meminfo", io, room);
  while (const char* text = file.next())
    for (const MeminfoLine& line : kMeminfoLines)
      if (starts_with(text, line.name))
        facts.add(line.key, parse_number(text + sys::length(line.name)));
}

void add_overcommit(Facts& facts) {
  static constexpr Line kFiles[] = {
      {"/proc/sys/vm/overcommit_memory", FactKey::kOvercommitMemory},
      {"/proc/sys/vm/overcommit_ratio", FactKey::kOvercommitRatio},
      {"/proc/sys/vm/overcommit_kbytes", FactKey::kOvercommitKbytes},
      {"/proc/sys/vm/user_reserve_kbytes", FactKey::kUserReserveKb},
      {"/proc/sys/vm/admin_reserve_kbytes", FactKey::kAdminReserveKb},
      {"/proc/sys/vm/max_map_count", FactKey::kMaxMapCount},
      {"/proc/sys/vm/mmap_min_addr", FactKey::kMmapMinAddr},
  };
  for (const Line& file : kFiles) facts.add(file.key, read_number(file.name));
}

namespace {

void note_sizes(const char* line, MemorySizes& sizes) {
  static constexpr struct {
    const char* name;
    uint64_t MemorySizes::*field;
  } kSizes[] = {{"VmSize:", &MemorySizes::vm_size_kb},
                {"VmRSS:", &MemorySizes::resident_kb},
                {"VmData:", &MemorySizes::data_kb},
                {"VmStk:", &MemorySizes::stack_kb}};
  for (const auto& row : kSizes)
    if (starts_with(line, row.name)) sizes.*row.field = parse_number(line + sys::length(row.name));
}

}  // namespace

void add_status(Facts& facts, char* io, uint64_t room, MemorySizes* sizes) {
  static constexpr Line kLines[] = {
      {"Uid:", FactKey::kUid},
      {"VmSize:", FactKey::kVmSizeKb},
      {"VmLck:", FactKey::kVmLckKb},
      {"VmPin:", FactKey::kVmPinKb},
      {"VmData:", FactKey::kVmDataKb},
      {"VmStk:", FactKey::kVmStkKb},
      {"Threads:", FactKey::kThreads},
      {"Seccomp:", FactKey::kSeccomp},
      {"Seccomp_filters:", FactKey::kSeccompFilters},
      {"NoNewPrivs:", FactKey::kNoNewPrivs},
  };
  Lines file("/proc/thread-self/status", io, room);  // "Groups:" alone can be longer than the room
  while (const char* line = file.next()) {
    add_line(facts, line, kLines);
    if (sizes) note_sizes(line, *sizes);
    // fs/proc/array.c: what is wanted stands before these
    if (starts_with(line, "Seccomp_filters:") || starts_with(line, "Speculation")) return;
    if (!starts_with(line, "CapEff:\t")) continue;
    uint64_t value = 0;
    for (const char* c = line + 8; *c; ++c)
      value = value << 4 | static_cast<uint64_t>(*c <= '9' ? *c - '0' : *c - 'a' + 10);
    facts.add(FactKey::kCapEff, value);
  }
}

namespace {

constexpr struct {
  const char* line;  // of /proc/PID/limits (fs/proc/base.c lnames)
  long resource;
  FactKey key;
} kLimits[] = {
    {"Max address space", 9, FactKey::kRlimitAs},
    {"Max data size", 2, FactKey::kRlimitData},
    {"Max locked memory", 8, FactKey::kRlimitMemlock},
    {"Max processes", 6, FactKey::kRlimitNproc},
    {"Max stack size", 3, FactKey::kRlimitStack},
    {"Max open files", 7, FactKey::kRlimitNofile},
    {"Max file size", 1, FactKey::kRlimitFsize},
};

// The soft limit; kUnknown if it cannot be had.
uint64_t limit_of(long resource) {
  struct {
    uint64_t current, maximum;
  } limit;
  if (sys::call(__NR_prlimit64, 0, resource, 0, reinterpret_cast<long>(&limit)) != 0)
    return kUnknown;
  return limit.current == UINT64_MAX ? kInfinite : limit.current;
}

}  // namespace

// All by one file, or one by one where that cannot be read.
void add_limits(Facts& facts, char* io, uint64_t room) {
  const bool read = read_file("/proc/thread-self/limits", io, room) > 0;
  for (const auto& row : kLimits) {
    const uint64_t value = read ? find_value(io, row.line) : kUnknown;
    facts.add(row.key, value == kUnknown ? limit_of(row.resource) : value);
  }
}

uint64_t namespace_inode(const char* path) {
  char link[64];
  const long n = sys::call(__NR_readlinkat, AT_FDCWD, reinterpret_cast<long>(path),
                           reinterpret_cast<long>(link), sizeof link - 1);
  if (n == -2 /* ENOENT */) return 0;
  if (sys::failed(n)) return kUnknown;
  link[n] = '\0';
  const char* c = link;
  while (*c && *c != '[') ++c;
  return *c ? parse_number(c + 1) : kUnknown;
}

namespace {

// kernel/user_namespace.c: the initial namespace maps 0 0 4294967295. A child namespace can carry
// the same map, so this is necessary, not sufficient.
uint64_t identity_map(char* io, uint64_t room) {
  if (read_file("/proc/self/uid_map", io, room) <= 0) return kUnknown;
  const char* rest = io;
  const uint64_t first = parse_number(io, &rest);
  const uint64_t second = parse_number(rest, &rest);
  return first == 0 && second == 0 && parse_number(rest) == 4294967295u;
}

// loadavg: "0.00 0.01 0.05 2/133 4711": the number behind the slash counts all tasks of the host.
uint64_t tasks_total(char* io, uint64_t room) {
  if (read_file("/proc/loadavg", io, room) <= 0) return kUnknown;
  const char* c = io;
  while (*c && *c != '/') ++c;
  return *c ? parse_number(c + 1) : kUnknown;
}

}  // namespace

void add_tasks(Facts& facts, char* io, uint64_t room) {
  facts.add(FactKey::kThreadsMax, read_number("/proc/sys/kernel/threads-max"));
  facts.add(FactKey::kPidMax, read_number("/proc/sys/kernel/pid_max"));
  facts.add(FactKey::kTasksTotal, tasks_total(io, room));
  const long policy = sys::call(__NR_sched_getscheduler, 0);
  if (!sys::failed(policy)) facts.add(FactKey::kSchedPolicy, static_cast<uint64_t>(policy));
  facts.add(FactKey::kPidNs, namespace_inode("/proc/self/ns/pid"));
  facts.add(FactKey::kPidForChildrenNs, namespace_inode("/proc/thread-self/ns/pid_for_children"));
  facts.add(FactKey::kUserNsIdentity, identity_map(io, room));
}

void add_oom_kills(Facts& facts, char* io, uint64_t room) {
  // oom_kill stands near the end of a file larger than our buffer: read on until it is found.
  ProcFile file("/proc/vmstat");
  if (!file.ok()) return;
  uint64_t value = kUnknown, kept = 0;
  while (value == kUnknown && kept < room - 1) {
    const long n = file.read(io + kept, room - 1 - kept);
    if (n <= 0) break;
    const uint64_t have = kept + static_cast<uint64_t>(n);
    uint64_t whole = have;  // only whole lines are parsed; the cut one waits for the next round
    while (whole > 0 && io[whole - 1] != '\n') --whole;
    const char cut = io[whole];
    io[whole] = '\0';
    value = find_value(io, "oom_kill ");
    io[whole] = cut;
    for (uint64_t i = whole; i < have; ++i) io[i - whole] = io[i];
    kept = have - whole;
  }
  facts.add(FactKey::kVmstatOomKill, value);
}

}  // namespace ovcshim
