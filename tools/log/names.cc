// SPDX-License-Identifier: MIT
//
// The tables of values. Sources: include/uapi/asm-generic/mman-common.h, linux/mman.h,
// linux/sched.h, linux/wait.h, asm-generic/siginfo.h. The table of calls is in op_table.cc.
#include "tools/log/names.h"

#include <fmt/format.h>
#include <string.h>
#include <sys/wait.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "tools/log/kernel_numbers.h"

namespace ovc {
namespace {

using ovcshim::FactKey;
using ovcshim::InternalsState;

struct Name {
  uint64_t value;
  std::string_view name;
};

// clang-format off
// PROT_
constexpr Name kProt[] = {
    {1, "PROT_READ"}, {2, "PROT_WRITE"}, {4, "PROT_EXEC"}, {8, "PROT_SEM"}, {0x01000000, "PROT_GROWSDOWN"}, {0x02000000, "PROT_GROWSUP"},
};
// MAP_, the low four bits (a value, not bits)
constexpr Name kMapType[] = {{1, "MAP_SHARED"}, {2, "MAP_PRIVATE"}, {3, "MAP_SHARED_VALIDATE"}, {8, "MAP_DROPPABLE"}};
// MAP_, bits
constexpr Name kMapFlags[] = {
    {0x10, "MAP_FIXED"},          {0x20, "MAP_ANONYMOUS"},     {0x40, "MAP_32BIT"},    {0x80, "MAP_ABOVE4G"},
    {0x100, "MAP_GROWSDOWN"},     {0x800, "MAP_DENYWRITE"},    {0x1000, "MAP_EXECUTABLE"}, {0x2000, "MAP_LOCKED"},
    {0x4000, "MAP_NORESERVE"},    {0x8000, "MAP_POPULATE"},    {0x10000, "MAP_NONBLOCK"},  {0x20000, "MAP_STACK"},
    {0x40000, "MAP_HUGETLB"},     {0x80000, "MAP_SYNC"},       {0x100000, "MAP_FIXED_NOREPLACE"},
};
constexpr uint64_t kMapHugetlb = 0x40000;
// MADV_
constexpr Name kMadvise[] = {
    {0, "MADV_NORMAL"},       {1, "MADV_RANDOM"},       {2, "MADV_SEQUENTIAL"},     {3, "MADV_WILLNEED"},
    {4, "MADV_DONTNEED"},     {8, "MADV_FREE"},         {9, "MADV_REMOVE"},         {10, "MADV_DONTFORK"},
    {11, "MADV_DOFORK"},      {12, "MADV_MERGEABLE"},   {13, "MADV_UNMERGEABLE"},   {14, "MADV_HUGEPAGE"},
    {15, "MADV_NOHUGEPAGE"},  {16, "MADV_DONTDUMP"},    {17, "MADV_DODUMP"},        {18, "MADV_WIPEONFORK"},
    {19, "MADV_KEEPONFORK"},  {20, "MADV_COLD"},        {21, "MADV_PAGEOUT"},       {22, "MADV_POPULATE_READ"},
    {23, "MADV_POPULATE_WRITE"}, {24, "MADV_DONTNEED_LOCKED"}, {25, "MADV_COLLAPSE"}, {100, "MADV_HWPOISON"},
    {101, "MADV_SOFT_OFFLINE"}, {102, "MADV_GUARD_INSTALL"}, {103, "MADV_GUARD_REMOVE"},
};
// CLONE_; the low byte is the signal sent when the child ends
constexpr Name kClone[] = {
    {0x100, "CLONE_VM"},              {0x200, "CLONE_FS"},              {0x400, "CLONE_FILES"},          {0x800, "CLONE_SIGHAND"},
    {0x1000, "CLONE_PIDFD"},          {0x2000, "CLONE_PTRACE"},         {0x4000, "CLONE_VFORK"},         {0x8000, "CLONE_PARENT"},
    {0x10000, "CLONE_THREAD"},        {0x20000, "CLONE_NEWNS"},         {0x40000, "CLONE_SYSVSEM"},      {0x80000, "CLONE_SETTLS"},
    {0x100000, "CLONE_PARENT_SETTID"}, {0x200000, "CLONE_CHILD_CLEARTID"}, {0x400000, "CLONE_DETACHED"}, {0x800000, "CLONE_UNTRACED"},
    {0x1000000, "CLONE_CHILD_SETTID"}, {0x2000000, "CLONE_NEWCGROUP"},  {0x4000000, "CLONE_NEWUTS"},     {0x8000000, "CLONE_NEWIPC"},
    {0x10000000, "CLONE_NEWUSER"},    {0x20000000, "CLONE_NEWPID"},     {0x40000000, "CLONE_NEWNET"},    {0x80000000, "CLONE_IO"},
    {0x100000000, "CLONE_CLEAR_SIGHAND"}, {0x200000000, "CLONE_INTO_CGROUP"},
};
// MREMAP_
constexpr Name kMremap[] = {{1, "MREMAP_MAYMOVE"}, {2, "MREMAP_FIXED"}, {4, "MREMAP_DONTUNMAP"}};
// W
constexpr Name kWaitOptions[] = {
    {1, "WNOHANG"}, {2, "WUNTRACED"}, {4, "WEXITED"}, {8, "WCONTINUED"}, {0x1000000, "WNOWAIT"},
    {0x20000000, "__WNOTHREAD"}, {0x40000000, "__WALL"}, {0x80000000, "__WCLONE"},
};
// SHM_ and IPC_, without the permissions
constexpr Name kShm[] = {
    {01000, "IPC_CREAT"}, {02000, "IPC_EXCL"}, {04000, "SHM_HUGETLB"}, {010000, "SHM_RDONLY or SHM_NORESERVE"}, {020000, "SHM_RND"},
    {040000, "SHM_REMAP"}, {0100000, "SHM_EXEC"},
};
constexpr Name kLock[] = {{1, "MLOCK_ONFAULT"}};
constexpr Name kLockall[] = {{1, "MCL_CURRENT"}, {2, "MCL_FUTURE"}, {4, "MCL_ONFAULT"}};
// O_, as shm_open takes them; the low two bits are a value
constexpr Name kOpenAccess[] = {{0, "O_RDONLY"}, {1, "O_WRONLY"}, {2, "O_RDWR"}};
constexpr Name kOpen[] = {{0100, "O_CREAT"}, {0200, "O_EXCL"}, {01000, "O_TRUNC"}, {0400000, "O_NOFOLLOW"}, {02000000, "O_CLOEXEC"}};
constexpr Name kMemfd[] = {{1, "MFD_CLOEXEC"}, {2, "MFD_ALLOW_SEALING"}, {4, "MFD_HUGETLB"}, {8, "MFD_NOEXEC_SEAL"}, {16, "MFD_EXEC"}};
constexpr Name kFalloc[] = {
    {1, "FALLOC_FL_KEEP_SIZE"}, {2, "FALLOC_FL_PUNCH_HOLE"}, {8, "FALLOC_FL_COLLAPSE_RANGE"}, {0x10, "FALLOC_FL_ZERO_RANGE"},
    {0x20, "FALLOC_FL_INSERT_RANGE"}, {0x40, "FALLOC_FL_UNSHARE_RANGE"},
};
// RLIMIT_, include/uapi/asm-generic/resource.h
constexpr Name kResources[] = {
    {0, "RLIMIT_CPU"}, {1, "RLIMIT_FSIZE"}, {2, "RLIMIT_DATA"}, {3, "RLIMIT_STACK"}, {4, "RLIMIT_CORE"}, {5, "RLIMIT_RSS"},
    {6, "RLIMIT_NPROC"}, {7, "RLIMIT_NOFILE"}, {8, "RLIMIT_MEMLOCK"}, {9, "RLIMIT_AS"}, {10, "RLIMIT_LOCKS"}, {11, "RLIMIT_SIGPENDING"},
    {12, "RLIMIT_MSGQUEUE"}, {13, "RLIMIT_NICE"}, {14, "RLIMIT_RTPRIO"}, {15, "RLIMIT_RTTIME"},
};
// P_
constexpr Name kIdTypes[] = {{0, "P_ALL"}, {1, "P_PID"}, {2, "P_PGID"}, {3, "P_PIDFD"}};
// CLD_
constexpr Name kSiCodes[] = {
    {1, "CLD_EXITED"}, {2, "CLD_KILLED"}, {3, "CLD_DUMPED"}, {4, "CLD_TRAPPED"}, {5, "CLD_STOPPED"}, {6, "CLD_CONTINUED"},
};

#define OVC_FACT(key) {static_cast<uint64_t>(FactKey::k##key), #key}
constexpr Name kFacts[] = {
    OVC_FACT(PosixNs), OVC_FACT(MonotonicNs), OVC_FACT(MemTotalKb), OVC_FACT(MemFreeKb), OVC_FACT(MemAvailableKb), OVC_FACT(BuffersKb),
    OVC_FACT(CachedKb), OVC_FACT(SwapCachedKb), OVC_FACT(SwapTotalKb), OVC_FACT(SwapFreeKb), OVC_FACT(ShmemKb), OVC_FACT(SReclaimableKb),
    OVC_FACT(KReclaimableKb), OVC_FACT(CommitLimitKb), OVC_FACT(CommittedAsKb), OVC_FACT(HugePagesTotal), OVC_FACT(HugePagesFree),
    OVC_FACT(HugePagesRsvd), OVC_FACT(HugepagesizeKb), OVC_FACT(HugetlbKb), OVC_FACT(OvercommitMemory), OVC_FACT(OvercommitRatio),
    OVC_FACT(OvercommitKbytes), OVC_FACT(UserReserveKb), OVC_FACT(AdminReserveKb), OVC_FACT(MaxMapCount), OVC_FACT(MmapMinAddr),
    OVC_FACT(VmDataKb), OVC_FACT(VmStkKb), OVC_FACT(VmLckKb), OVC_FACT(VmSizeKb), OVC_FACT(Threads), OVC_FACT(Seccomp), OVC_FACT(CapEff),
    OVC_FACT(Uid), OVC_FACT(VmPinKb), OVC_FACT(NoNewPrivs), OVC_FACT(RlimitAs), OVC_FACT(RlimitData), OVC_FACT(RlimitMemlock),
    OVC_FACT(RlimitNproc), OVC_FACT(RlimitStack), OVC_FACT(RlimitNofile), OVC_FACT(RlimitFsize), OVC_FACT(ThreadsMax), OVC_FACT(PidMax),
    OVC_FACT(TasksTotal), OVC_FACT(SchedPolicy), OVC_FACT(PidNs), OVC_FACT(PidForChildrenNs), OVC_FACT(UserNsIdentity),
    OVC_FACT(MemcgVersion), OVC_FACT(MemcgLimit), OVC_FACT(MemcgUsage), OVC_FACT(MemcgFailcnt), OVC_FACT(MemcgOom), OVC_FACT(MemcgOomKill),
    OVC_FACT(MemcgOomKillDisable), OVC_FACT(PidsMax), OVC_FACT(PidsCurrent), OVC_FACT(PidsEventsMax), OVC_FACT(VmstatOomKill),
    OVC_FACT(MapsCount), OVC_FACT(MapsAcKb), OVC_FACT(MapsAcCount), OVC_FACT(MapsDcKb), OVC_FACT(MapsNrKb), OVC_FACT(MapsBiggestAcKb),
    OVC_FACT(MapsBiggestAcStart), OVC_FACT(MapsReadNs), OVC_FACT(MapsSource), OVC_FACT(SharedWritableKb), OVC_FACT(OwnMappedKb),
    OVC_FACT(OwnCommitKb), OVC_FACT(OwnStartNs), OVC_FACT(Internals), OVC_FACT(Ring), OVC_FACT(ParentPid), OVC_FACT(CommFirst), OVC_FACT(CommSecond), OVC_FACT(RangeListed), OVC_FACT(StartTicks),
    OVC_FACT(ParentStartTicks), OVC_FACT(RehearsedMode), OVC_FACT(RehearsedLimitKb), OVC_FACT(RehearsedChargeKb),
    OVC_FACT(RehearsedCommittedKb), OVC_FACT(RehearsedAllowedKb), OVC_FACT(LogWantedKb), OVC_FACT(LogGivenKb), OVC_FACT(LogBound),
    OVC_FACT(LogBoundLeftKb), OVC_FACT(LogDevice), OVC_FACT(LogInode), OVC_FACT(GroupFiguresAgeNs),
    OVC_FACT(ProvenBy), OVC_FACT(AddressBits), OVC_FACT(PlaceFiles), OVC_FACT(BoundSlots), OVC_FACT(BoundElsewhere), OVC_FACT(BoundUnwritable),
    OVC_FACT(Mdwe), OVC_FACT(SecurityModule), OVC_FACT(FileOpenFlags), OVC_FACT(FileMode), OVC_FACT(FileFsType), OVC_FACT(FileFsBlock),
    OVC_FACT(FileFsFlags), OVC_FACT(FileFsBlocks), OVC_FACT(FileFsFree), OVC_FACT(FileSeals), OVC_FACT(HugeSizes), OVC_FACT(HugePoolKb),
    OVC_FACT(HugePoolFree), OVC_FACT(HugePoolRsvd), OVC_FACT(HugePoolSurplus), OVC_FACT(HugePoolOvercommit), OVC_FACT(HugeGroupMax),
    OVC_FACT(HugeGroupUsage), OVC_FACT(HugeGroup), OVC_FACT(HugeGroupsSeen), OVC_FACT(HugeGroupVersion), OVC_FACT(HugeGroupId),
    OVC_FACT(NamespaceLimit), OVC_FACT(NamespaceLimitKind), OVC_FACT(UsernsRestricted), OVC_FACT(UsernsClone),
    OVC_FACT(Chrooted), OVC_FACT(Egid), OVC_FACT(ShmMax), OVC_FACT(ShmAll), OVC_FACT(ShmMni), OVC_FACT(ShmUsedPages), OVC_FACT(ShmUsedIds),
    OVC_FACT(RlimitHard),
};
#undef OVC_FACT

constexpr Name kInternals[] = {
    {static_cast<uint64_t>(InternalsState::kOff), "not recorded: switched off (OVCSHIM_LIBC_INTERNALS=0)"},
    {static_cast<uint64_t>(InternalsState::kOn), "recorded"},
    {static_cast<uint64_t>(InternalsState::kUnknownLibc), "not recorded: the code of this libc is not known to the shim"},
    {static_cast<uint64_t>(InternalsState::kRefused), "not recorded: libc could not be patched"},
    {static_cast<uint64_t>(InternalsState::kThreaded), "not recorded: the process had threads before the shim started"},
    {static_cast<uint64_t>(InternalsState::kTooFar), "not recorded: no free address space near libc for the patch"},
    {static_cast<uint64_t>(InternalsState::kPartly), "recorded in part: some places in libc could not be patched"},
};

// clang-format on

template <size_t n>
const Name* find(const Name (&table)[n], uint64_t value) {
  const auto* found = std::find_if(std::begin(table), std::end(table),
                                   [=](const Name& row) { return row.value == value; });
  return found == std::end(table) ? nullptr : found;
}

template <size_t n>
void append_value(std::string& out, const Name (&table)[n], uint64_t value) {
  if (const Name* row = find(table, value)) out += row->name;
  else append_hex(out, value);
}

// A|B|0x40; `zero` if no bit is set. `first`: something stands before already.
template <size_t n>
void append_bits(std::string& out, const Name (&table)[n], uint64_t bits, std::string_view zero,
                 bool first = true) {
  if (bits == 0 && first) out += zero;
  for (const Name& row : table) {
    if ((bits & row.value) != row.value) continue;
    if (!std::exchange(first, false)) out += '|';
    out += row.name;
    bits &= ~row.value;
  }
  if (bits == 0) return;
  if (!first) out += '|';
  append_hex(out, bits);
}

}  // namespace

// By hand: addresses are half of what `ovc show` prints.
void append_hex(std::string& out, uint64_t value) {
  char text[18];
  char* at = text + sizeof text;
  do *--at = "0123456789abcdef"[value & 15];
  while (value >>= 4);
  *--at = 'x';
  *--at = '0';
  out.append(at, static_cast<size_t>(text + sizeof text - at));
}

void append_prot(std::string& out, uint64_t prot) { append_bits(out, kProt, prot, "PROT_NONE"); }

void append_mmap_flags(std::string& out, uint64_t flags) {
  const uint64_t type = flags & 15;
  append_value(out, kMapType, type);
  uint64_t bits = flags & ~uint64_t{15};
  const uint64_t huge = bits & kMapHugetlb ? bits >> kMapHugeShift & 63 : 0;
  bits &= ~(huge << kMapHugeShift);
  append_bits(out, kMapFlags, bits, "", false);
  if (huge) fmt::format_to(std::back_inserter(out), "|{}<<MAP_HUGE_SHIFT", huge);
}

void append_madvise(std::string& out, uint64_t advice) { append_value(out, kMadvise, advice); }

void append_clone_flags(std::string& out, uint64_t flags) {
  const unsigned signal = flags & 0xff;
  append_bits(out, kClone, flags & ~uint64_t{0xff}, signal ? "" : "0");
  if (signal == 0) return;
  if (flags > 0xff) out += '|';
  out += signal_name(signal);
}

void append_namespaces(std::string& out, uint64_t flags) {
  append_bits(out, kClone, flags & 0xffffffff, "0");
}
void append_mremap_flags(std::string& out, uint64_t flags) {
  append_bits(out, kMremap, flags, "0");
}
void append_wait_options(std::string& out, uint64_t options) {
  append_bits(out, kWaitOptions, options & 0xffffffff, "0");
}
void append_shm_flags(std::string& out, uint64_t flags) {
  append_bits(out, kShm, flags & ~uint64_t{0777} & 0xffffffff, "");
  if (const uint64_t mode = flags & 0777; mode || !(flags & 0xffffffff))
    fmt::format_to(std::back_inserter(out), "{}{:#o}",
                   flags & ~uint64_t{0777} & 0xffffffff ? "|" : "", mode);
}
void append_lock_flags(std::string& out, uint64_t flags) {
  append_bits(out, kLock, flags & 0xffffffff, "0");
}
void append_lockall_flags(std::string& out, uint64_t flags) {
  append_bits(out, kLockall, flags & 0xffffffff, "0");
}
void append_open_flags(std::string& out, uint64_t flags) {
  append_value(out, kOpenAccess, flags & 3);
  append_bits(out, kOpen, flags & ~uint64_t{3} & 0xffffffff, "", false);
}
void append_memfd_flags(std::string& out, uint64_t flags) {
  append_bits(out, kMemfd, flags & 0xffffffff, "0");
}
void append_falloc_mode(std::string& out, uint64_t mode) {
  append_bits(out, kFalloc, mode & 0xffffffff, "0");
}
void append_resource(std::string& out, uint64_t resource) {
  append_value(out, kResources, resource & 0xffffffff);
}
void append_idtype(std::string& out, uint64_t idtype) { append_value(out, kIdTypes, idtype); }
void append_si_code(std::string& out, uint64_t code) { append_value(out, kSiCodes, code); }

void append_wait_status(std::string& out, int status) {
  if (WIFEXITED(status)) fmt::format_to(std::back_inserter(out), "exited, {}", WEXITSTATUS(status));
  else if (WIFSIGNALED(status))
    fmt::format_to(std::back_inserter(out), "killed by {}{}",
                   signal_name(static_cast<unsigned>(WTERMSIG(status))),
                   WCOREDUMP(status) ? ", core dumped" : "");
  else if (WIFSTOPPED(status))
    fmt::format_to(std::back_inserter(out), "stopped by {}",
                   signal_name(static_cast<unsigned>(WSTOPSIG(status))));
  else if (WIFCONTINUED(status)) out += "continued";
  else append_hex(out, static_cast<uint32_t>(status));
}

std::string errno_name(unsigned value) {
  const char* name = value > 0 && value < 4096 ? strerrorname_np(static_cast<int>(value)) : nullptr;
  return name ? name : fmt::format("errno {}", value);
}

std::string signal_name(unsigned value) {
  const char* name = value > 0 && value < 65 ? sigabbrev_np(static_cast<int>(value)) : nullptr;
  if (name) return fmt::format("SIG{}", name);
  return value >= 32 && value <= 64 ? fmt::format("SIGRT_{}", value - 32)
                                    : fmt::format("signal {}", value);
}

std::string_view fact_name(uint32_t key) {
  const Name* row = find(kFacts, key);
  return row ? row->name : std::string_view{};
}

std::string internals_text(uint64_t word) {
  const auto what = ovcshim::internals_of(word);
  const Name* row = find(kInternals, static_cast<uint64_t>(what.state));
  std::string text(row ? row->name : "not known");
  const bool refused = what.state == InternalsState::kRefused;
  if (!what.mem_error || (!refused && what.state != InternalsState::kPartly)) return text;
  text += fmt::format(" (/proc/self/mem: {}", errno_name(what.mem_error));
  if (what.mprotect_error)
    text += fmt::format("; mprotect: {}, as under MemoryDenyWriteExecute or SELinux",
                        errno_name(what.mprotect_error));
  else if (what.filtered) text += "; mprotect not tried under a seccomp filter";
  return text + ")";
}

}  // namespace ovc
