// SPDX-License-Identifier: MIT
//
// See log_file.h. A log is created exclusively, mode 0600, no symbolic link followed, allocated in
// full (so a full disk is an error here and never a SIGBUS later), mapped, and its descriptor
// closed before the program runs.
#include "shim/record/log_file.h"
#include "shim/record/clock.h"

#include <errno.h>
#include <fcntl.h>

#include "shim/format/version.h"
#include "shim/proc/host_files.h"
#include "shim/proc/proc_files.h"
#include "shim/record/log_path.h"

namespace ovcshim {
namespace {

struct Problem {
  const char* why = nullptr;
  int err = 0;
  bool set(const char* text, long result = 0) {
    why = text;
    err = sys::failed(result) ? static_cast<int>(-result) : 0;
    return false;
  }
};

uint64_t round_up(uint64_t bytes) { return (bytes + kPageBytes - 1) & ~(kPageBytes - 1); }

void lay_out(FileHeader& h, const LogWish& wish) {
  uint64_t at = kHeaderBytes;
  auto area = [&at](auto& a, uint64_t bytes) {
    a = {at, round_up(bytes)};
    at += a.bytes;
  };
  area(h.processes, kProcessSlots * sizeof(ProcessSlot));
  area(h.stripes, kStripes * kStripeBytes);
  // a quarter for what must last
  const uint64_t vitals = round_up(wish.events_bytes / 4);
  area(h.vitals, vitals);
  area(h.events, round_up(wish.events_bytes) - vitals);
  area(h.calls, wish.calls_bytes);
  h.file_bytes = at;
}

// Would allocating raise SIGXFSZ? Asked first, since a signal is nothing the program expects.
bool allowed_by_fsize(uint64_t bytes) {
  struct {
    uint64_t current, maximum;
  } limit{UINT64_MAX, 0};
  sys::call(__NR_prlimit64, 0, 1 /* RLIMIT_FSIZE */, 0, reinterpret_cast<long>(&limit));
  return limit.current >= bytes;
}

// Filesystems without fallocate: writing zeros reserves the blocks just as well, only slower.
long write_zeros(long fd, uint64_t bytes) {
  static constexpr char kZeros[16384]{};
  for (uint64_t at = 0; at < bytes;) {
    const uint64_t n = bytes - at < sizeof kZeros ? bytes - at : sizeof kZeros;
    const long got = sys::call(__NR_pwrite64, fd, reinterpret_cast<long>(kZeros),
                               static_cast<long>(n), static_cast<long>(at));
    if (got <= 0) return got ? got : -ENOSPC;
    at += static_cast<uint64_t>(got);
  }
  return 0;
}

long allocate(long fd, uint64_t bytes) {
  const long result = sys::call(__NR_fallocate, fd, 0, 0, static_cast<long>(bytes));
  return result == -EOPNOTSUPP ? write_zeros(fd, bytes) : result;
}

// A program that lives under RLIMIT_AS must not lose a share of it that it could feel.
uint64_t mappable(const FileHeader& h) {
  struct {
    uint64_t current, maximum;
  } limit{UINT64_MAX, 0};
  sys::call(__NR_prlimit64, 0, 9 /* RLIMIT_AS */, 0, reinterpret_cast<long>(&limit));
  if (limit.current == UINT64_MAX || h.file_bytes <= limit.current / 32) return h.file_bytes;
  return h.calls.offset <= limit.current / 32 ? h.calls.offset : 0;
}

bool map_log(long fd, const FileHeader& h, Problem& problem) {
  const uint64_t bytes = mappable(h);
  if (!bytes) return problem.set("RLIMIT_AS leaves no room to map the log beside the program");
  const long at =
      sys::call(__NR_mmap, 0, static_cast<long>(bytes), 3 /* RW */, 1 /* SHARED */, fd, 0);
  if (sys::failed(at)) return problem.set("cannot map", at);
  auto* base = reinterpret_cast<unsigned char*>(at);
  // What lies before the call lane is touched here and there: read-ahead would fill up to
  // read_ahead_kb at each first touch, milliseconds (mm/filemap.c filemap_fault()). The call lane
  // is written from end to end, where it pays.
  sys::call(__NR_madvise, at, static_cast<long>(bytes < h.calls.offset ? bytes : h.calls.offset),
            1 /* MADV_RANDOM */);
  g.header = reinterpret_cast<FileHeader*>(base);
  g.retired = reinterpret_cast<RetiredTotals*>(base + kRetiredOffset);
  g.pid_index = reinterpret_cast<uint32_t*>(base + kPidIndexOffset);
  g.processes = reinterpret_cast<ProcessSlot*>(base + h.processes.offset);
  g.stripes = base + h.stripes.offset;
  g.events = {reinterpret_cast<Slot*>(base + h.events.offset), h.events.bytes / kSlotBytes,
              &g.header->event_cursor, 0};
  g.vitals = {reinterpret_cast<Slot*>(base + h.vitals.offset), h.vitals.bytes / kSlotBytes,
              &g.header->vital_cursor, kVitalBit};
  g.chunks = base + h.calls.offset;
  g.chunk_count = bytes > h.calls.offset ? h.calls.bytes / kChunkBytes : 0;
  g.mapped_bytes = bytes;
  return true;
}

// struct new_utsname: six fields of 65 bytes.
void read_kernel(FileHeader& h) {
  char names[6][65]{};
  sys::call(__NR_uname, reinterpret_cast<long>(names));
  sys::copy(h.kernel_release, names[2], 65);
  sys::copy(h.kernel_version, names[3], 65);
  char boot[48]{};
  if (read_file("/proc/sys/kernel/random/boot_id", boot, sizeof boot) > 36)
    sys::copy(h.boot_id, boot, 36);
}

uint64_t cpus_online() {
  char text[128];
  uint64_t n = 0;
  if (read_file("/sys/devices/system/cpu/online", text, sizeof text) <=
      0) {  // no /sys: those we may run on are a lower bound
    uint64_t set[16]{};
    sys::call(__NR_sched_getaffinity, 0, sizeof set, reinterpret_cast<long>(set));
    for (uint64_t word : set) n += static_cast<uint64_t>(__builtin_popcountl(word));
    return n ? n : kUnknown;
  }
  for (const char* c = text; *c >= '0' && *c <= '9';) {  // "0-3,6,8-9"
    const uint64_t first = parse_number(c, &c);
    uint64_t last = first;
    if (*c == '-' && (last = parse_number(c + 1, &c)) == kUnknown) return kUnknown;
    n += last - first + 1;
    if (*c == ',') ++c;
  }
  return n;
}

void read_host(FileHeader& h) {
  char io[2048];
  Facts facts{h.host, sizeof h.host / sizeof h.host[0] - 1};
  add_meminfo(facts, io, sizeof io);
  add_overcommit(facts);
  facts.add(FactKey::kThreadsMax, read_number("/proc/sys/kernel/threads-max"));
  facts.add(FactKey::kPidMax, read_number("/proc/sys/kernel/pid_max"));
  add_oom_kills(facts, io, sizeof io);
  add_kernel_totals(facts);
  add_foreign_files(facts);
  h.page_size = 4096;
  h.cpus_online = cpus_online();
  read_kernel(h);
}

void copy_cut(char* to, uint64_t room, const char* from) {
  const uint64_t len = from ? sys::length(from) : 0;
  sys::copy(to, from, len < room ? len : room - 1);
}

void fill_header(FileHeader& h, const FileHeader& layout, const LogWish& wish) {
  sys::copy(h.magic, kMagic, sizeof kMagic);
  h.endian = kEndianMark;
  h.version = kFormatVersion;
#if defined(__x86_64__)
  h.machine = static_cast<uint32_t>(Machine::kX86_64);
  h.clock = static_cast<uint32_t>(g.use_tsc ? Clock::kTsc : Clock::kMonotonicNs);
#else
  h.machine = static_cast<uint32_t>(Machine::kAarch64);
  h.clock = static_cast<uint32_t>(g.use_tsc ? Clock::kCntvct : Clock::kMonotonicNs);
  h.caller_shift = 2;
#endif
  h.file_bytes = layout.file_bytes;
  h.processes = layout.processes, h.stripes = layout.stripes, h.vitals = layout.vitals,
  h.events = layout.events, h.calls = layout.calls;
  h.incompatible_flags = kTwoRings;
  read_host(h);
  h.created = h.newest = clock_pair();
  h.min_size = wish.min_size;
  h.stack_depth = wish.stack_depth;
  h.follow = wish.follow;
  sys::copy(h.shim_version, kVersion, sizeof kVersion);
  copy_cut(h.inject, sizeof h.inject, wish.inject);
  copy_cut(h.rehearse, sizeof h.rehearse, wish.rehearse);
  __atomic_store_n(&h.ready, 1, __ATOMIC_RELEASE);
}

// btrfs asks for new room at each write to a clean page, whatever was allocated: with a full disk
// that is SIGBUS, or (a file marked NOCOW, since Linux 6.17) a commit of the filesystem for each
// fault, which all but stops the program (fs/btrfs/file.c btrfs_page_mkwrite()).
bool keeps_its_room(long fd, Problem& problem) {
  constexpr long kBtrfs = 0x9123683e;
  long disk[15]{};  // struct statfs: f_type is its first word
  if (sys::failed(sys::call(__NR_fstatfs, fd, reinterpret_cast<long>(disk))) || disk[0] != kBtrfs)
    return true;
  return problem.set(
      "a full btrfs would stop the program at its log; OVCSHIM_LOG=/dev/shm/NAME is safe");
}

bool fill_new(long fd, const LogWish& wish, Problem& problem) {
  FileHeader layout{};
  lay_out(layout, wish);
  if (!allowed_by_fsize(layout.file_bytes))
    return problem.set("RLIMIT_FSIZE is too small for the log", -EFBIG);
  if (!keeps_its_room(fd, problem)) return false;
  const long result = allocate(fd, layout.file_bytes);
  if (sys::failed(result)) return problem.set("cannot allocate", result);
  if (!map_log(fd, layout, problem)) return false;
  fill_header(*g.header, layout, wish);
  return true;
}

bool create(const char* path, const LogWish& wish, Problem& problem) {
  const long fd = sys::call(__NR_openat, AT_FDCWD, reinterpret_cast<long>(path),
                            O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (sys::failed(fd)) return problem.set("cannot create", fd);
  const bool ok = fill_new(fd, wish, problem);
  sys::call(__NR_close, fd);
  if (!ok) sys::call(__NR_unlinkat, AT_FDCWD, reinterpret_cast<long>(path), 0);
  return ok;
}

bool same_boot(const FileHeader& h) {
  char now[48]{};
  return read_file("/proc/sys/kernel/random/boot_id", now, sizeof now) > 36 &&
         sys::equal(h.boot_id, now, 36);
}

// What the file says of itself must hold before anything is mapped by it.
bool usable(const FileHeader& h, uint64_t file_bytes) {
  if (!sys::equal(h.magic, kMagic, sizeof kMagic) || h.endian != kEndianMark ||
      h.version != kFormatVersion || !h.ready)
    return false;
  FileHeader layout{};
  lay_out(layout, {.events_bytes = h.vitals.bytes + h.events.bytes, .calls_bytes = h.calls.bytes});
  const bool as_laid_out =
      layout.file_bytes == h.file_bytes && layout.vitals.offset == h.vitals.offset &&
      layout.vitals.bytes == h.vitals.bytes && layout.events.offset == h.events.offset &&
      layout.calls.offset == h.calls.offset;
  return as_laid_out && h.file_bytes == file_bytes && h.vitals.bytes >= kSlotBytes * kMaxParts &&
         h.incompatible_flags == kTwoRings && same_boot(h);
}

// Another process may be between creating the file and filling it: what changed just now and does
// not begin like something else is worth half a second, since that process may have lost its
// processor there.
bool read_ready_header(long fd, FileHeader& h, uint64_t changed_s) {
  const bool is_fresh = clock_pair().posix_ns / 1000000000 - changed_s <= 2;
  for (int tries = is_fresh ? 2000 : 1; tries; --tries) {
    const long n = sys::call(__NR_pread64, fd, reinterpret_cast<long>(&h), sizeof h, 0);
    if (sys::failed(n) && n != -EINTR)
      return false;  // what cannot be read will not become readable
    if (n == static_cast<long>(sizeof h) && h.ready) return true;
    if (n > 0 && h.magic[0] && h.magic[0] != kMagic[0]) return false;
    struct {
      long sec, nsec;
    } pause{0, 250000};
    sys::call(__NR_nanosleep, reinterpret_cast<long>(&pause), 0);
  }
  return false;
}

bool join(const char* path, Problem& problem, bool* foreign) {
  const long fd = sys::call(__NR_openat, AT_FDCWD, reinterpret_cast<long>(path),
                            O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (sys::failed(fd)) return problem.set("cannot open", fd);
  FileStat st{};
  FileHeader h;
  bool ok = file_stat(fd, "", st) && st.is_regular() &&
            st.uid == static_cast<uint32_t>(sys::call(__NR_geteuid));
  if (!ok) problem.set("not a regular file of this user");
  // The size is asked for again: it is final only when the header is ready.
  *foreign = ok && (!read_ready_header(fd, h, st.changed_s) || !file_stat(fd, "", st) ||
                    !usable(h, st.bytes));
  if (*foreign) ok = problem.set("not a log of this boot and version");
  if (ok) ok = keeps_its_room(fd, problem) && map_log(fd, h, problem);
  sys::call(__NR_close, fd);
  g.joined = ok;
  return ok;
}

// An old log under the wanted name is evidence: it is kept as PATH.old.
bool move_aside(const char* path) {
  char old[kPathRoom + 8];
  const uint64_t len = sys::length(path);
  if (len >= kPathRoom) return false;
  sys::copy(old, path, len);
  sys::copy(old + len, ".old", 5);
  return !sys::failed(sys::call(__NR_renameat2, AT_FDCWD, reinterpret_cast<long>(path), AT_FDCWD,
                                reinterpret_cast<long>(old), 0));
}

bool looks_like_a_log(const char* path) {
  char magic[16]{};
  const long fd = sys::call(__NR_openat, AT_FDCWD, reinterpret_cast<long>(path),
                            O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (sys::failed(fd)) return false;
  const long n = sys::call(__NR_read, fd, reinterpret_cast<long>(magic), sizeof magic);
  sys::call(__NR_close, fd);
  return n == sizeof magic && sys::equal(magic, kMagic, sizeof kMagic);
}

bool create_indexed(const char* path, const LogWish& wish, Problem& problem) {
  if (!create(path, wish, problem)) return false;
  // A name without placeholders leads descendants here by itself.
  if (!wish.path_template || has_placeholder(wish.path_template)) index_tree(path);
  return true;
}

bool create_or_join(const char* path, const LogWish& wish, Problem& problem) {
  if (create_indexed(path, wish, problem)) return true;
  if (problem.err != EEXIST) return false;
  bool foreign = false;
  if (join(path, problem, &foreign)) return true;
  // Only our own kind is moved: somebody's data under that name stays where it is.
  if (!foreign || !looks_like_a_log(path) || !move_aside(path)) return false;
  return create_indexed(path, wish, problem);
}

bool open_by_template(const LogWish& wish, Problem& problem, char* path, uint64_t room) {
  const char* pattern = wish.path_template ? wish.path_template : kDefaultTemplate;
  if (!expand_template(pattern, path, room))
    return problem.set("OVCSHIM_LOG: the name is empty or too long");
  if (create_or_join(path, wish, problem)) return true;
  if (wish.path_template) return false;
  sys::copy(path, kFallbackDirectory, sizeof kFallbackDirectory - 1);
  if (!expand_template(kDefaultTemplate, path + sizeof kFallbackDirectory - 1,
                       room - sizeof kFallbackDirectory))
    return false;
  return create_or_join(path, wish, problem);
}

}  // namespace

bool open_log(const LogWish& wish, const char** why, int* err, char* path, uint64_t room) {
  Problem problem;
  const bool fixed_name = wish.path_template && !has_placeholder(wish.path_template);
  bool foreign = false;
  if (!fixed_name && find_tree(path, room) && join(path, problem, &foreign)) return true;
  const bool ok = open_by_template(wish, problem, path, room);
  *why = problem.why;
  *err = problem.err;
  return ok;
}

}  // namespace ovcshim
