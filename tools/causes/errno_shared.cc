// SPDX-License-Identifier: MIT
//
// The rows of System V segments and of locks. See errno_rows.h.
#include <sys/mman.h>

#include "tools/causes/errno_rows.h"

namespace ovc::causes {

using ovcshim::FactKey;

namespace on_shared {
namespace {

constexpr uint64_t kHugetlb = 04000, kRound = 020000, kRemap = 040000;  // linux/shm.h
constexpr uint64_t kIpcPrivate = 0, kMlockOnfault = 1;
constexpr uint64_t kAllLockFlags = MCL_CURRENT | MCL_FUTURE | 4 /* MCL_ONFAULT */;

uint64_t size_of(const Evidence& e) { return args_of(e)[1]; }
bool is_new(const Evidence& e) { return args_of(e)[0] == kIpcPrivate; }

// ---- shmget ----

Holds no_size(const Evidence& e) {
  return size_of(e) != 0 ? Holds::kNo : is_new(e) ? Holds::kYes : Holds::kMaybe;
}
Holds over_shmmax(const Evidence& e) {
  const auto max = e.fact(FactKey::kShmMax);
  if (!max) return Holds::kMaybe;
  return size_of(e) <= *max ? Holds::kNo : is_new(e) ? Holds::kYes : Holds::kMaybe;
}
Holds no_huge_size(const Evidence& e) {
  return args_of(e)[2] & kHugetlb ? no_such_huge_page(e, args_of(e)[2]) : Holds::kNo;
}
Holds there_but_smaller(const Evidence& e) { return maybe_if(!is_new(e) && size_of(e) != 0); }
Holds over_shmall(const Evidence& e) {
  const auto all = e.fact(FactKey::kShmAll), used = e.fact(FactKey::kShmUsedPages);
  if (!all || !used) return Holds::kMaybe;
  const uint64_t pages = size_of(e) / page_bytes(e) + in_page(e, size_of(e));
  return holds_if(*used >= *all || pages > *all - *used);
}
Holds over_shmmni(const Evidence& e) {
  const auto most = e.fact(FactKey::kShmMni), used = e.fact(FactKey::kShmUsedIds);
  return most && used ? holds_if(*used >= *most) : Holds::kMaybe;
}
Holds may_not_use_huge(const Evidence& e) { return holds_if(args_of(e)[2] & kHugetlb); }

void say_shmmax(const Evidence& e, Finding& finding) {
  add_figure(finding, "request", size_of(e), "bytes", "the call");
  add_figure(finding, "kernel.shmmax", e.fact(FactKey::kShmMax), "bytes",
             "/proc/sys/kernel/shmmax");
}
void say_shmall(const Evidence& e, Finding& finding) {
  add_figure(finding, "request", size_of(e) / page_bytes(e) + in_page(e, size_of(e)), "pages",
             "the call");
  add_figure(finding, "in use", e.fact(FactKey::kShmUsedPages), "pages", "shmctl(SHM_INFO)");
  add_figure(finding, "kernel.shmall", e.fact(FactKey::kShmAll), "pages",
             "/proc/sys/kernel/shmall");
}
void say_shmmni(const Evidence& e, Finding& finding) {
  add_figure(finding, "segments", e.fact(FactKey::kShmUsedIds), "segments", "shmctl(SHM_INFO)");
  add_figure(finding, "kernel.shmmni", e.fact(FactKey::kShmMni), "segments",
             "/proc/sys/kernel/shmmni");
}

// ---- shmat, shmdt ----

Holds attach_in_page(const Evidence& e) {
  return holds_if(in_page(e, args_of(e)[1]) && !(args_of(e)[2] & kRound));
}
Holds replaces_nothing(const Evidence& e) {
  return holds_if(args_of(e)[1] == 0 && (args_of(e)[2] & kRemap));
}
Holds negative_id(const Evidence& e) { return holds_if(static_cast<int>(args_of(e)[0]) < 0); }
Holds place_taken(const Evidence& e) {
  return maybe_if(args_of(e)[1] != 0 && !(args_of(e)[2] & kRemap));
}
Holds address_in_page(const Evidence& e) { return holds_if(in_page(e, args_of(e)[0])); }

// ---- locks ----

Holds range_wraps(const Evidence& e) {
  const auto& args = args_of(e);
  const uint64_t len = page_align(e, args[1] + args[0] % page_bytes(e));
  return holds_if(args[0] / page_bytes(e) * page_bytes(e) + len < args[0]);
}
Holds lock_flag_unknown(const Evidence& e) {
  return holds_if(op_of(e) == Op::kMlock2 && (args_of(e)[2] & ~kMlockOnfault));
}
bool brings_pages_in(const Evidence& e) {
  return op_of(e) == Op::kMlock || !(args_of(e)[2] & kMlockOnfault);
}
template <typename Ask>
bool any_in_range(const Evidence& e, Ask ask) {
  const auto& args = args_of(e);
  for (const auto& m : mappings_around(e))
    if (m.start < args[0] + args[1] && args[0] < m.end && ask(m.flags)) return true;
  return false;
}
// The limit itself has a row in causes_shared.cc; this one is for what it could not decide.
Holds limit_not_excluded(const Evidence& e) {
  const auto limit = e.fact(FactKey::kRlimitMemlock), locked = e.fact(FactKey::kVmLckKb);
  if (capable(e, kCapIpcLock) == true || (limit && *limit >= ovcshim::kInfinite)) return Holds::kNo;
  const uint64_t most_kb = args_of(e)[1] / 1024 + 2 * e.rules.page_kb;
  return maybe_if(!limit || !locked || *locked + most_kb > *limit / 1024);
}
Holds mappings_not_excluded(const Evidence& e) {
  const auto count = map_count(e), most = e.fact(FactKey::kMaxMapCount);
  return maybe_if(!knows_around(e) && (!count || !most || *count >= *most));
}
Holds no_access(const Evidence& e) {
  constexpr uint32_t kAny = ovcshim::kMapRead | ovcshim::kMapWrite | ovcshim::kMapExec;
  if (!brings_pages_in(e)) return Holds::kNo;
  if (!knows_around(e)) return Holds::kMaybe;
  if (!any_in_range(e, [](uint32_t flags) { return !(flags & kAny); })) return Holds::kNo;
  return limit_not_excluded(e) == Holds::kNo ? Holds::kYes : Holds::kMaybe;
}
Holds beyond_file(const Evidence& e) {
  if (!brings_pages_in(e)) return Holds::kNo;
  if (!knows_around(e)) return Holds::kMaybe;
  return maybe_if(any_in_range(e, [](uint32_t flags) { return flags & ovcshim::kMapFile; }));
}
void say_memlock(const Evidence& e, Finding& finding) {
  add_figure(finding, "VmLck", e.fact(FactKey::kVmLckKb), "kB", "/proc/self/status");
  add_figure(finding, "RLIMIT_MEMLOCK", rlimit_kb(e, FactKey::kRlimitMemlock), "kB", "getrlimit");
  note_denied_lock(e, finding);
}

void say_lock_all(const Evidence& e, Finding& finding) {
  add_figure(finding, "VmSize", vm_size_kb(e), "kB", "/proc/self/status");
  add_figure(finding, "RLIMIT_MEMLOCK", rlimit_kb(e, FactKey::kRlimitMemlock), "kB", "getrlimit");
  note_denied_lock(e, finding);
}

Holds lockall_flags(const Evidence& e) {
  const uint64_t flags = args_of(e)[0];
  return holds_if(flags == 0 || (flags & ~kAllLockFlags) || flags == 4);
}

constexpr std::string_view kNewSeg = "ipc/shm.c newseg()", kAttach = "ipc/shm.c do_shmat()",
                           kLock = "mm/mlock.c";
using enum Op;

// clang-format off
constexpr ErrnoRow kRows[] = {
    {kShmget, EINVAL, no_size, kBadArgument, "the size is 0", kNewSeg},
    {kShmget, EINVAL, over_shmmax, kSegmentLimit, "the segment is larger than kernel.shmmax", kNewSeg, say_shmmax},
    {kShmget, EINVAL, no_huge_size, kBadArgument, "the machine has no huge pages of the size asked for (/sys/kernel/mm/hugepages)", kNewSeg},
    {kShmget, EINVAL, there_but_smaller, kBadArgument, "a segment with this key exists and is smaller than asked for", "ipc/shm.c shm_more_checks()"},
    {kShmget, ENOSPC, over_shmall, kSegmentLimit, "all segments together would be larger than kernel.shmall", kNewSeg, say_shmall},
    {kShmget, ENOSPC, over_shmmni, kSegmentLimit, "there are as many segments as kernel.shmmni allows", "ipc/util.c ipc_addid()", say_shmmni},
    {kShmget, ENOENT, nullptr, kBadArgument, "there is no segment with this key, and IPC_CREAT is not given", "ipc/util.c ipcget_public()"},
    {kShmget, EEXIST, nullptr, kBadArgument, "a segment with this key exists already (IPC_CREAT and IPC_EXCL)", "ipc/util.c ipcget_public()"},
    {kShmget, EACCES, nullptr, kNotPermitted, "the segment with this key does not permit this access", "ipc/util.c ipcperms()"},
    {kShmget, ENFILE, nullptr, "file-max", "the host has as many open files as fs.file-max allows", "fs/file_table.c alloc_empty_file()"},
    {kShmget, EPERM, may_not_use_huge, kNotPermitted, "SHM_HUGETLB needs CAP_IPC_LOCK, or the group named in vm.hugetlb_shm_group", "fs/hugetlbfs/inode.c can_do_hugetlb_shm()"},
    {kShmat, EINVAL, negative_id, kBadArgument, "the identifier is negative", kAttach},
    {kShmat, EINVAL, attach_in_page, kBadArgument, "the address is not at the start of a page, and SHM_RND is not given", kAttach},
    {kShmat, EINVAL, replaces_nothing, kBadArgument, "SHM_REMAP needs an address", kAttach},
    {kShmat, EINVAL, place_taken, kBadArgument, "something is mapped at the address already, and SHM_REMAP is not given", kAttach},
    {kShmat, EINVAL, nullptr, kBadArgument, "there is no segment with this identifier", "ipc/util.c ipc_obtain_object_check()"},
    {kShmat, EIDRM, nullptr, kBadArgument, "the segment has been removed", kAttach},
    {kShmat, EACCES, nullptr, kNotPermitted, "the segment does not permit this access", "ipc/util.c ipcperms()"},
    {kShmat, EAGAIN, nullptr, "rlimit-memlock", "mlockall(MCL_FUTURE) is in force, and the segment would be locked beyond RLIMIT_MEMLOCK", "mm/mmap.c mlock_future_ok()", say_memlock},
    {kShmat, ENFILE, nullptr, "file-max", "the host has as many open files as fs.file-max allows", "fs/file_table.c alloc_empty_file()"},
    {kShmdt, EINVAL, address_in_page, kBadArgument, "the address is not at the start of a page", "ipc/shm.c ksys_shmdt()"},
    {kShmdt, EINVAL, nullptr, kBadArgument, "no segment is attached at the address", "ipc/shm.c ksys_shmdt()"},
    {kMlock, EINVAL, lock_flag_unknown, kBadArgument, "a flag is given that mlock2 does not know", kLock},
    {kMlock, EINVAL, range_wraps, kBadArgument, "the range reaches beyond the last address", kLock},
    {kMlock, EAGAIN, nullptr, "unknown", "not all pages of the range could be brought into memory", "mm/mlock.c __mlock_posix_error_return()"},
    {kMlock, ENOMEM, limit_not_excluded, "rlimit-memlock", "locked memory limit (RLIMIT_MEMLOCK)", "mm/mlock.c do_mlock()", say_memlock},
    {kMlock, ENOMEM, mappings_not_excluded, "max-map-count", "as many mappings as vm.max_map_count allows; a lock of a part of one splits it", "mm/mlock.c mlock_fixup()"},
    {kMlock, ENOMEM, no_access, kBadArgument, "a part of the range permits no access (PROT_NONE): its pages cannot be brought in", "mm/gup.c check_vma_flags()"},
    {kMlock, ENOMEM, beyond_file, kBadArgument, "a part of the range lies beyond the end of its file: there is no page to bring in", "mm/mlock.c __mlock_posix_error_return()"},
    {kMlockall, EINVAL, lockall_flags, kBadArgument, "MCL_CURRENT or MCL_FUTURE has to be given, and no flag that is not known", kLock},
    {kMlockall, ENOMEM, nullptr, "rlimit-memlock", "all of the process's memory would be locked beyond RLIMIT_MEMLOCK", "mm/mlock.c mlockall()", say_lock_all},
    {kMunlock, EINVAL, range_wraps, kBadArgument, "the range reaches beyond the last address", kLock},
    {kMunlock, ENOMEM, nullptr, kBadArgument, "the address range is not mapped throughout, or a mapping more would be needed (vm.max_map_count)", kLock},
};
// clang-format on

}  // namespace
}  // namespace on_shared

std::span<const ErrnoRow> shared_errnos() { return on_shared::kRows; }

}  // namespace ovc::causes
