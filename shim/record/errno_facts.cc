// SPDX-License-Identifier: MIT
//
// See errno_facts.h. A table at the end says which facts belong to which failure.
#include "shim/record/errno_facts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sched.h>
#include <sys/mman.h>

#include "shim/format/security_label.h"
#include "shim/proc/lines.h"
#include "shim/record/huge_facts.h"
#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

constexpr long kPrGetSeccomp = 21, kPrGetMdwe = 66;               // linux/prctl.h
constexpr uint64_t kHugetlbfs = 0x958458f6, kTmpfs = 0x01021994;  // linux/magic.h
constexpr uint64_t kShmHugetlb = 04000;                           // linux/shm.h
constexpr uint64_t kCloneNewTime = 0x80;
constexpr unsigned kHugeShift = 26, kHugeMask = 0x3f;  // MAP_HUGE_SHIFT, of MFD_ and SHM_ too

struct Failure {
  const EventBase& base;
  char* io;
  uint64_t room;
  uint64_t arg(int i) const { return base.args[i]; }
};

// ---- who may have answered in the kernel's place ----

void add_seccomp(Facts& facts, const Failure&) {
  const long mode = sys::call(__NR_prctl, kPrGetSeccomp);
  if (!sys::failed(mode)) facts.add(FactKey::kSeccomp, static_cast<uint64_t>(mode));
}

// EINVAL: a kernel before 6.3 has no such thing to be in force.
uint64_t mdwe() {
  const long bits = sys::call(__NR_prctl, kPrGetMdwe);
  return bits == -EINVAL ? 0 : sys::failed(bits) ? kUnknown : static_cast<uint64_t>(bits);
}

void add_write_execute(Facts& facts, const Failure&) { facts.add(FactKey::kMdwe, mdwe()); }

// ---- the file behind a descriptor ----

struct Statfs {  // include/uapi/asm-generic/statfs.h struct statfs, 64 bit
  long type, block, blocks, free, available, files, files_free;
  int id[2];
  long name, fragment, flags, spare[4];
};

bool read_statfs(long descriptor, Statfs& out) {
  return !sys::failed(sys::call(__NR_fstatfs, descriptor, reinterpret_cast<long>(&out)));
}

void add_file(Facts& facts, long descriptor) {
  const long flags = sys::call(__NR_fcntl, descriptor, F_GETFL);
  if (flags == -EBADF) return facts.add(FactKey::kFileOpenFlags, kNotOpen);
  if (sys::failed(flags)) return;
  facts.add(FactKey::kFileOpenFlags, static_cast<uint64_t>(flags));
  if (FileStat stat{}; file_stat(descriptor, "", stat)) facts.add(FactKey::kFileMode, stat.mode);
  const long seals = sys::call(__NR_fcntl, descriptor, F_GET_SEALS);
  if (!sys::failed(seals)) facts.add(FactKey::kFileSeals, static_cast<uint64_t>(seals));
  Statfs fs{};
  if (!read_statfs(descriptor, fs)) return;
  facts.add(FactKey::kFileFsType, static_cast<uint64_t>(fs.type));
  facts.add(FactKey::kFileFsBlock, static_cast<uint64_t>(fs.block));
  facts.add(FactKey::kFileFsFlags, static_cast<uint64_t>(fs.flags));
  facts.add(FactKey::kFileFsBlocks, static_cast<uint64_t>(fs.blocks));
  facts.add(FactKey::kFileFsFree, static_cast<uint64_t>(fs.available));
}

void add_mapped_file(Facts& facts, const Failure& f) {
  if (!(f.arg(3) & MAP_ANONYMOUS)) add_file(facts, static_cast<int>(f.arg(4)));
}
void add_first_file(Facts& facts, const Failure& f) { add_file(facts, static_cast<int>(f.arg(0))); }

// ---- huge pages ----

// By the bits of the flags that name a size, 0 of them: the default one.
uint64_t size_of_flags(const Failure& f, uint64_t flags) {
  const uint64_t bits = flags >> kHugeShift & kHugeMask;
  const uint64_t named = bits >= 10 ? uint64_t{1} << (bits - 10) : kUnknown;
  return bits == 0 ? default_huge_kb(f.io, f.room) : named;
}

// kUnknown: it asks for none.
uint64_t mapped_size(const Failure& f) {
  if (f.arg(3) & MAP_ANONYMOUS)
    return f.arg(3) & MAP_HUGETLB ? size_of_flags(f, f.arg(3)) : kUnknown;
  Statfs fs{};
  const bool huge =
      read_statfs(static_cast<int>(f.arg(4)), fs) && static_cast<uint64_t>(fs.type) == kHugetlbfs;
  return huge ? static_cast<uint64_t>(fs.block) / 1024 : kUnknown;
}
uint64_t segment_size(const Failure& f) {
  return f.arg(2) & kShmHugetlb ? size_of_flags(f, f.arg(2)) : kUnknown;
}

void add_mapped_pool(Facts& facts, const Failure& f) { add_huge_pool(facts, mapped_size(f), f.io); }
void add_mapped_sizes(Facts& facts, const Failure& f) {
  if (f.arg(3) & MAP_HUGETLB) add_huge_sizes(facts, f.io);
}
void add_segment_pool(Facts& facts, const Failure& f) {
  if (!(f.arg(2) & kShmHugetlb)) return;
  add_huge_pool(facts, segment_size(f), f.io);
  if (f.base.err == EINVAL) add_huge_sizes(facts, f.io);
}
void add_filled_pool(Facts& facts, const Failure& f) {
  Statfs fs{};
  if (read_statfs(static_cast<int>(f.arg(0)), fs) && static_cast<uint64_t>(fs.type) == kHugetlbfs)
    add_huge_pool(facts, static_cast<uint64_t>(fs.block) / 1024, f.io);
}
void add_memfd_sizes(Facts& facts, const Failure& f) {
  if (f.arg(0) & MFD_HUGETLB) add_huge_sizes(facts, f.io);
}

// ---- shared memory of System V ----

void add_segments(Facts& facts, const Failure& f) {
  facts.add(FactKey::kShmMax, read_number("/proc/sys/kernel/shmmax"));
  facts.add(FactKey::kShmAll, read_number("/proc/sys/kernel/shmall"));
  facts.add(FactKey::kShmMni, read_number("/proc/sys/kernel/shmmni"));
  struct {  // include/uapi/linux/shm.h struct shm_info
    int used;
    unsigned long total, resident, swapped, attempts, successes;
  } info{};
  constexpr long kShmInfo = 14;
  if (!sys::failed(sys::call(__NR_shmctl, 0, kShmInfo, reinterpret_cast<long>(&info)))) {
    facts.add(FactKey::kShmUsedPages, info.total);
    facts.add(FactKey::kShmUsedIds, static_cast<uint64_t>(info.used));
  }
  add_segment_pool(facts, f);
}

// ---- namespaces ----

constexpr struct {
  uint64_t flag;
  const char* limit;
} kNamespaces[] = {
    {CLONE_NEWUSER, "/proc/sys/user/max_user_namespaces"},
    {CLONE_NEWNS, "/proc/sys/user/max_mnt_namespaces"},
    {CLONE_NEWPID, "/proc/sys/user/max_pid_namespaces"},
    {CLONE_NEWNET, "/proc/sys/user/max_net_namespaces"},
    {CLONE_NEWIPC, "/proc/sys/user/max_ipc_namespaces"},
    {CLONE_NEWUTS, "/proc/sys/user/max_uts_namespaces"},
    {CLONE_NEWCGROUP, "/proc/sys/user/max_cgroup_namespaces"},
    {kCloneNewTime, "/proc/sys/user/max_time_namespaces"},
};

void add_namespace_limit(Facts& facts, uint64_t flags) {
  uint64_t lowest = kUnknown, kind = 0;
  for (const auto& row : kNamespaces) {
    const uint64_t limit = flags & row.flag ? read_number(row.limit) : kUnknown;
    if (limit < lowest) lowest = limit, kind = row.flag;
  }
  facts.add(FactKey::kNamespaceLimit, lowest);
  if (kind) facts.add(FactKey::kNamespaceLimitKind, kind);
}

// "36 35 98:0 /mnt1 /mnt2 rw ...": the number of the mount at "/"; 0: there is none, kUnknown: the
// file cannot be read.
uint64_t root_mount(const char* mountinfo, const Failure& f) {
  Lines lines(mountinfo, f.io, f.room);
  uint64_t found = kUnknown;
  while (const char* line = lines.next()) {
    const char* field = line;
    int spaces = 4;
    for (; *field && spaces > 0; ++field) spaces -= *field == ' ';
    if (spaces > 0) continue;  // the rest of a line longer than the buffer
    if (found == kUnknown) found = 0;
    if (field[0] == '/' && field[1] == ' ') found = parse_number(line);
  }
  return found;
}

// After chroot into a plain directory no mount stands at "/". Whose root is the mount that is the
// first process's root has not left it.
uint64_t chrooted(const Failure& f) {
  const uint64_t own = root_mount("/proc/self/mountinfo", f);
  if (own == kUnknown || own == 0) return own == 0 ? 1 : kUnknown;
  return own == root_mount("/proc/1/mountinfo", f) ? 0 : kUnknown;
}

void add_namespaces(Facts& facts, const Failure& f) {
  add_namespace_limit(facts, f.arg(0));
  if (!(f.arg(0) & CLONE_NEWUSER)) return;
  facts.add(FactKey::kUsernsRestricted,
            read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"));
  facts.add(FactKey::kUsernsClone, read_number("/proc/sys/kernel/unprivileged_userns_clone"));
  facts.add(FactKey::kChrooted, chrooted(f));
  const long group = sys::call(__NR_getegid);
  if (!sys::failed(group)) facts.add(FactKey::kEgid, static_cast<uint64_t>(group));
}

// ---- limits ----

void add_hard_limit(Facts& facts, const Failure& f) {
  struct {
    uint64_t current, maximum;
  } limit{};
  if (sys::call(__NR_prlimit64, 0, static_cast<long>(f.arg(0)), 0,
                reinterpret_cast<long>(&limit)) == 0)
    facts.add(FactKey::kRlimitHard, limit.maximum == UINT64_MAX ? kInfinite : limit.maximum);
}

// ---- the table ----

// err 0: any.
constexpr struct {
  Op op;
  int err;
  void (*add)(Facts&, const Failure&);
} kRows[] = {
    {Op::kMmap, EINVAL, add_mapped_file},        {Op::kMmap, EINVAL, add_mapped_sizes},
    {Op::kMmap, EACCES, add_mapped_file},        {Op::kMmap, EACCES, add_write_execute},
    {Op::kMmap, EPERM, add_mapped_file},         {Op::kMmap, EBADF, add_mapped_file},
    {Op::kMmap, ENODEV, add_mapped_file},        {Op::kMmap, EOPNOTSUPP, add_mapped_file},
    {Op::kMmap, ENOMEM, add_mapped_file},        {Op::kMmap, ENOMEM, add_mapped_pool},
    {Op::kMprotect, EACCES, add_write_execute},  {Op::kShmget, EINVAL, add_segments},
    {Op::kShmget, ENOSPC, add_segments},         {Op::kShmget, ENOMEM, add_segment_pool},
    {Op::kShmget, EPERM, add_segment_pool},      {Op::kMemfdCreate, EINVAL, add_memfd_sizes},
    {Op::kMemfdCreate, ENODEV, add_memfd_sizes}, {Op::kFtruncate, 0, add_first_file},
    {Op::kFallocate, 0, add_first_file},         {Op::kPosixFallocate, 0, add_first_file},
    {Op::kFallocate, ENOSPC, add_filled_pool},   {Op::kPosixFallocate, ENOSPC, add_filled_pool},
    {Op::kClone, ENOSPC, add_namespaces},        {Op::kClone, EPERM, add_namespaces},
    {Op::kClone, EACCES, add_namespaces},        {Op::kUnshare, ENOSPC, add_namespaces},
    {Op::kUnshare, EPERM, add_namespaces},       {Op::kUnshare, EACCES, add_namespaces},
    {Op::kSetrlimit, EPERM, add_hard_limit},
};

}  // namespace

// Without a module that labels processes a read is EINVAL (security/security.c
// security_getprocattr()).
void add_security_module(Facts& facts, char* io, uint64_t room) {
  ProcFile file("/proc/thread-self/attr/current");
  if (!file.ok()) return;
  const long n = file.read(io, room - 1);
  if (n == -EINVAL)
    facts.add(FactKey::kSecurityModule, static_cast<uint64_t>(SecurityModule::kNone));
  if (n <= 0) return;
  io[n] = '\0';
  const auto enforces = [] { return read_number("/sys/fs/selinux/enforce"); };
  facts.add(FactKey::kSecurityModule, static_cast<uint64_t>(module_of_label(io, enforces)));
}

void add_errno_facts(Facts& facts, const EventBase& base, char* io, uint64_t room) {
  const Failure failure{base, io, room};
  if (base.err == EACCES || base.err == EPERM) add_security_module(facts, io, room);
  if (base.err != ENOMEM && base.err != EEXIST && base.err != ENOENT) add_seccomp(facts, failure);
  for (const auto& row : kRows)
    if (row.op == base.op && (row.err == 0 || row.err == base.err)) row.add(facts, failure);
}

uint64_t huge_kb_asked_for(const EventBase& base, char* io, uint64_t room) {
  const Failure failure{base, io, room};
  if (base.err != ENOMEM) return kUnknown;
  return base.op == Op::kMmap     ? mapped_size(failure)
         : base.op == Op::kShmget ? segment_size(failure)
                                  : kUnknown;
}

// Huge pages begin at multiples of their size, in memory and in the file; most mappings do not.
static bool may_be_huge_file(const EventBase& base) {
#if defined(__x86_64__)
  constexpr uint64_t kSmallest = 2 << 20;
#else
  constexpr uint64_t kSmallest = 64 << 10;  // of 4 kB pages that lie side by side
#endif
  return (static_cast<uint64_t>(base.result) | base.args[5]) % kSmallest == 0;
}

bool maps_special_file(const EventBase& base) {
  if (base.op != Op::kMmap || (base.args[3] & MAP_ANONYMOUS)) return false;
  return (base.args[3] & 0xf) != MAP_PRIVATE || may_be_huge_file(base);
}

void add_file_system(Facts& facts, const EventBase& base) {
  const bool is_private = (base.args[3] & 0xf) == MAP_PRIVATE;
  Statfs fs{};
  if (!read_statfs(static_cast<int>(base.args[4]), fs)) return;
  const auto type = static_cast<uint64_t>(fs.type);
  if (!is_private && type != kHugetlbfs && type != kTmpfs) return;
  facts.add(FactKey::kFileFsType, type);
  facts.add(FactKey::kFileFsBlock, static_cast<uint64_t>(fs.block));
  if (is_private) return;
  facts.add(FactKey::kFileFsBlocks, static_cast<uint64_t>(fs.blocks));
  facts.add(FactKey::kFileFsFree, static_cast<uint64_t>(fs.available));
}

}  // namespace ovcshim
