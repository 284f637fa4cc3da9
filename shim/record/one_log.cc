// SPDX-License-Identifier: MIT
//
// One log file: see one_log.h. A log is created exclusively, mode 0600, no symbolic link followed,
// allocated in full (so a full disk is an error here and never a SIGBUS later), mapped, and its
// descriptor closed before the program runs.
#include "shim/record/one_log.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>

#include "shim/format/version.h"
#include "shim/proc/host_files.h"
#include "shim/proc/proc_files.h"
#include "shim/record/clock.h"
#include "shim/record/log_path.h"
#include "shim/record/log_size.h"
#include "shim/sys/auxv.h"

namespace ovcshim {
namespace {

// Filesystems without fallocate, and filters that refuse it: writing zeros reserves the blocks just
// as well, only slower.
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
  const bool never = result == -EOPNOTSUPP || result == -ENOSYS || result == -EPERM;
  return never || result == -EACCES ? write_zeros(fd, bytes) : result;
}

// What a process under RLIMIT_AS may map of it: all, all but the call lane, or nothing.
uint64_t mappable(const FileHeader& h) {
  const uint64_t most = mappable_bytes();
  if (h.file_bytes <= most) return h.file_bytes;
  return h.calls.offset <= most ? h.calls.offset : 0;
}

void place_growth(unsigned char* area, uint64_t bytes) {
  const GrowthLayout l = growth_layout(bytes, kProcessSlots);
  g.growth = {};
  if (!l.table_count) return;
  g.growth.spaces = reinterpret_cast<ProcessSpace*>(area + l.spaces);
  g.growth.index = reinterpret_cast<uint64_t*>(area + l.index);
  g.growth.rows = reinterpret_cast<CallTotals*>(area + l.rows);
  g.growth.arena = reinterpret_cast<uint64_t*>(area + l.arena);
  g.growth.tables = reinterpret_cast<OwnerTable*>(area + l.tables);
  g.growth.index_words = l.index_words, g.growth.row_count = l.row_count;
  g.growth.arena_words = l.arena_words, g.growth.table_count = l.table_count;
  g.growth.header = reinterpret_cast<GrowthHeader*>(area);
}

void place_readings(unsigned char* area, uint64_t bytes) {
  const ReadingsLayout l = readings_layout(bytes);
  g.readings = {};
  if (!l.cells) return;
  g.readings = {reinterpret_cast<ReadingsHeader*>(area),
                reinterpret_cast<ReadingCell*>(area + sizeof(ReadingsHeader)), l};
}

void place_memory(unsigned char* area, uint64_t bytes) {
  const uint64_t units = bytes / sizeof(MemoryUnit);
  g.memory = {reinterpret_cast<MemoryUnit*>(area), units >= kLeastMemoryUnits ? units : 0,
              &g.header->memory_cursor, 0};
}

bool map_log(long fd, const FileHeader& h, Problem& problem) {
  const uint64_t bytes = mappable(h);
  if (!bytes) {
    problem.too_large = true;
    return problem.set("RLIMIT_AS leaves no room to map the log beside the program");
  }
  const long at =
      sys::call(__NR_mmap, 0, static_cast<long>(bytes), 3 /* RW */, 1 /* SHARED */, fd, 0);
  if (sys::failed(at)) return problem.set("cannot map", at);
  auto* base = reinterpret_cast<unsigned char*>(at);
  g.header = reinterpret_cast<FileHeader*>(base);
  touch_for_writing(g.header->ready);
  g.retired = reinterpret_cast<RetiredTotals*>(base + kRetiredOffset);
  g.groups = reinterpret_cast<GroupMemo*>(base + kGroupMemoOffset);
  g.pid_index = reinterpret_cast<uint32_t*>(base + kPidIndexOffset);
  g.processes = reinterpret_cast<ProcessSlot*>(base + h.processes.offset);
  g.stripes = base + h.stripes.offset;
  g.stripe_count = static_cast<uint32_t>(h.stripes.bytes / kStripeBytes);
  g.events = {reinterpret_cast<Slot*>(base + h.events.offset), h.events.bytes / kSlotBytes,
              &g.header->event_cursor, 0};
  g.vitals = {reinterpret_cast<Slot*>(base + h.vitals.offset), h.vitals.bytes / kSlotBytes,
              &g.header->vital_cursor, kVitalBit};
  place_growth(base + h.growth.offset, h.growth.bytes);
  place_readings(base + h.readings.offset, h.readings.bytes);
  place_memory(base + h.memory.offset, h.memory.bytes);
  g.chunks = base + h.calls.offset;
  g.chunk_count = bytes > h.calls.offset ? h.calls.bytes / kChunkBytes : 0;
  g.mapped_bytes = bytes;
  advise_log(false);
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

// AT_PAGESZ. x86-64 has one size only; on aarch64 a kernel may be built for pages of 16 or 64 kB.
// Where /proc is not mounted the smallest is written, and sums there may be too small.
uint64_t page_bytes() {
  constexpr uint64_t kPageSizeEntry = 6;
  uint64_t entries[128];  // pairs of type and value
  const long n = read_file("/proc/self/auxv", reinterpret_cast<char*>(entries), sizeof entries);
  for (long i = 0; (i + 2) * 8 <= n; i += 2)
    if (entries[i] == kPageSizeEntry && entries[i + 1] >= kPageBytes) return entries[i + 1];
  return kPageBytes;
}

// A kernel for aarch64 may be built for 36 to 52 bits. It puts the first stack at the upper end of
// the addresses, less a random part that is far smaller than half of them.
void add_address_bits([[maybe_unused]] Facts& facts) {
#if defined(__aarch64__)
  const uint64_t on_stack = g_auxv ? auxv_value(g_auxv, AT_RANDOM) : 0;
  if (on_stack)
    facts.add(FactKey::kAddressBits, static_cast<uint64_t>(64 - __builtin_clzll(on_stack)));
#endif
}

// Only of a log that is smaller than asked for.
void add_size(Facts& facts, const FileHeader& layout, const LogSize& size) {
  if (size.bound == LogBound::kNone) return;
  facts.add(FactKey::kLogWantedKb, size.wanted_bytes / 1024);
  facts.add(FactKey::kLogGivenKb, layout.file_bytes / 1024);
  facts.add(FactKey::kLogBound, static_cast<uint64_t>(size.bound));
  if (size.left_bytes < kInfinite) facts.add(FactKey::kLogBoundLeftKb, size.left_bytes / 1024);
}

void add_file(Facts& facts, long fd) {
  FileStat st{};
  if (!file_stat(fd, "", st)) return;
  facts.add(FactKey::kLogDevice, st.device);
  facts.add(FactKey::kLogInode, st.inode);
}

void read_host(FileHeader& h, const FileHeader& layout, const LogSize& size, long fd) {
  char io[2048];
  Facts facts{h.host, sizeof h.host / sizeof h.host[0] - 1};
  add_address_bits(facts);
  add_meminfo(facts, io, sizeof io);
  add_overcommit(facts);
  facts.add(FactKey::kThreadsMax, read_number("/proc/sys/kernel/threads-max"));
  facts.add(FactKey::kPidMax, read_number("/proc/sys/kernel/pid_max"));
  add_oom_kills(facts, io, sizeof io);
  add_kernel_totals(facts);
  add_foreign_files(facts);
  add_size(facts, layout, size);
  add_file(facts, fd);
  h.page_size = page_bytes();
  h.cpus_online = cpus_online();
  read_kernel(h);
}

void copy_cut(char* to, uint64_t room, const char* from) {
  const uint64_t len = from ? sys::length(from) : 0;
  sys::copy(to, from, len < room ? len : room - 1);
}

uint64_t flags_of(const FileHeader& layout) {
  return kTwoRings | (layout.memory.bytes ? kMemoryRing : 0);
}

void fill_header(FileHeader& h, const FileHeader& layout, const LogSize& size, const LogWish& wish,
                 long fd) {
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
  h.events = layout.events, h.calls = layout.calls, h.growth = layout.growth,
  h.readings = layout.readings, h.memory = layout.memory;
  h.incompatible_flags = flags_of(layout);
  read_host(h, layout, size, fd);
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

// Of a log that was made where it is, its maker has seen to that.
bool is_where_made(const FileHeader& h, const FileStat& st) {
  constexpr uint64_t kHostFacts = sizeof h.host / sizeof h.host[0];
  return fact_in(h.host, kHostFacts, FactKey::kLogDevice) == st.device &&
         fact_in(h.host, kHostFacts, FactKey::kLogInode) == st.inode;
}

constexpr struct {
  LogBound bound;
  const char* why;
  int err;  // 0: none goes with it
} kBounds[] = {
    {LogBound::kMemoryGroup, "the memory group leaves no room for a log in memory", 0},
    {LogBound::kMemory, "too little memory is left for a log in memory", 0},
    {LogBound::kFreeSpace, "cannot allocate", ENOSPC},
    {LogBound::kRlimitAs, "RLIMIT_AS leaves no room to map the log beside the program", 0},
    {LogBound::kRlimitFsize, "RLIMIT_FSIZE is too small for the log", EFBIG},
};

bool no_room(const LogSize& size, Problem& problem) {
  for (const auto& row : kBounds)
    if (row.bound == size.bound) return problem.set(row.why, -row.err);
  return false;
}

// What the filesystem does not give after all (a quota, room kept for others) is asked for again in
// an eighth of the size.
long allocate_fitting(long fd, LogSize& size, FileHeader& layout) {
  for (;;) {
    lay_out(layout, size);
    const long result = allocate(fd, layout.file_bytes);
    if (result != -ENOSPC && result != -EDQUOT) return result;
    sys::call(__NR_ftruncate, fd, 0);  // what write_zeros had got by then
    if (!make_fit(size, LogBound::kQuota, kUnknown, layout.file_bytes / kShareOfRest))
      return result;
  }
}

bool fill_new(long fd, const LogWish& wish, Problem& problem) {
  LogSize size = wanted_size(wish);
  if (!keeps_its_room(fd, problem)) return false;
  if (!fit_all(size, fd)) return no_room(size, problem);
  FileHeader layout{};
  const long result = allocate_fitting(fd, size, layout);
  if (sys::failed(result)) return problem.set("cannot allocate", result);
  if (!map_log(fd, layout, problem)) return false;
  fill_header(*g.header, layout, size, wish, fd);
  return true;
}

bool same_boot(const FileHeader& h) {
  char now[48]{};
  return read_file("/proc/sys/kernel/random/boot_id", now, sizeof now) > 36 &&
         sys::equal(h.boot_id, now, 36);
}

// The program has run no code yet, but for one that was attached to.
uint32_t own_user() { return g.attached ? effective_user() : starting_user(); }

// What the file says of itself must hold before anything is mapped by it.
bool usable(const FileHeader& h, uint64_t file_bytes) {
  if (!sys::equal(h.magic, kMagic, sizeof kMagic) || h.endian != kEndianMark ||
      h.version != kFormatVersion || !h.ready)
    return false;
  FileHeader layout{};
  lay_out(layout, {.events_bytes = h.vitals.bytes + h.events.bytes,
                   .calls_bytes = h.calls.bytes,
                   .stripes = h.stripes.bytes / kStripeBytes,
                   .growth_bytes = h.growth.bytes,
                   .readings = h.readings.bytes != 0});
  const bool as_laid_out =
      layout.file_bytes == h.file_bytes && h.stripes.bytes >= kStripeBytes &&
      layout.stripes.bytes == h.stripes.bytes && layout.vitals.offset == h.vitals.offset &&
      layout.vitals.bytes == h.vitals.bytes && layout.events.offset == h.events.offset &&
      layout.growth.offset == h.growth.offset && layout.growth.bytes == h.growth.bytes &&
      (!h.readings.bytes || layout.readings.offset == h.readings.offset) &&
      layout.readings.bytes == h.readings.bytes && layout.memory.offset == h.memory.offset &&
      layout.memory.bytes == h.memory.bytes && layout.calls.offset == h.calls.offset;
  return as_laid_out && h.file_bytes == file_bytes && h.vitals.bytes >= kSlotBytes * kMaxParts &&
         h.incompatible_flags == flags_of(layout) && same_boot(h);
}

// Another process may be between creating the file and filling it: what changed just now and does
// not begin like something else is worth half a second, since that process may have lost its
// processor there.
bool read_ready_header(long fd, FileHeader& h, uint64_t changed_ns) {
  const bool is_fresh = clock_pair().posix_ns / 1000000000 - changed_ns / 1000000000 <= 2;
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

}  // namespace

void advise_log(bool mapped_again) {
  const auto base = reinterpret_cast<long>(g.header), whole = static_cast<long>(g.mapped_bytes);
  const long calls = g.chunk_count ? reinterpret_cast<long>(g.chunks) - base : whole;
  // Read-ahead would fill up to read_ahead_kb at each first touch, milliseconds (mm/filemap.c
  // filemap_fault()).
  sys::call(__NR_madvise, base, calls, 1 /* MADV_RANDOM */);
  // what a mapping begins with
  if (mapped_again && calls < whole)
    sys::call(__NR_madvise, base + calls, whole - calls, 0 /* MADV_NORMAL */);
}

bool create_log(const char* path, const LogWish& wish, Problem& problem) {
  const long fd = sys::call(__NR_openat, AT_FDCWD, reinterpret_cast<long>(path),
                            O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (sys::failed(fd)) return problem.set("cannot create", fd);
  g.use_tsc = counter_is_steady();
  const bool ok = fill_new(fd, wish, problem);
  sys::call(__NR_close, fd);
  if (!ok) sys::call(__NR_unlinkat, AT_FDCWD, reinterpret_cast<long>(path), 0);
  return ok;
}

bool join_log(const char* path, Problem& problem, bool* foreign) {
  const long fd = sys::call(__NR_openat, AT_FDCWD, reinterpret_cast<long>(path),
                            O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  problem.unopened = sys::failed(fd);
  if (problem.unopened) return problem.set("cannot open", fd);
  FileStat st{};
  FileHeader h;
  const bool told = file_stat(fd, "", st);
  bool ok = told && st.is_regular() && st.uid == own_user();
  if (!ok)
    problem.set(told ? "not a regular file of this user"
                     : "the kernel does not say whose file this is (newfstatat and statx fail):");
  // The size may have to be asked for again: it is final only when the header is ready.
  *foreign = ok && (!read_ready_header(fd, h, st.changed_ns) ||
                    (st.bytes != h.file_bytes && !file_stat(fd, "", st)) || !usable(h, st.bytes));
  if (*foreign) ok = problem.set("not a log of this boot and version");
  if (ok) ok = (is_where_made(h, st) || keeps_its_room(fd, problem)) && map_log(fd, h, problem);
  sys::call(__NR_close, fd);
  g.joined = ok;
  if (ok) g.use_tsc = h.clock != static_cast<uint32_t>(Clock::kMonotonicNs);
  return ok;
}

}  // namespace ovcshim
