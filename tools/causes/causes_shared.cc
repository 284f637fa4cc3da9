// SPDX-License-Identifier: MIT
//
// System V segments, which are charged in full when they are made, and locks. Order of the rows: as
// the kernel checks.
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "tools/causes/causes_detail.h"

namespace ovc {

using ovcshim::FactKey;

namespace causes {
namespace {

bool makes_segment(const Evidence& evidence) {
  return op_of(evidence) == Op::kShmget && no_memory(evidence);
}
bool may_not_lock(const Evidence& evidence) {
  return is_lock_op(op_of(evidence)) && evidence.err() == EPERM;
}
bool locks_range(const Evidence& evidence) {
  return (op_of(evidence) == Op::kMlock || op_of(evidence) == Op::kMlock2) && no_memory(evidence);
}
bool locks_all(const Evidence& evidence) {
  return op_of(evidence) == Op::kMlockall && no_memory(evidence);
}

bool limit_is_zero(const Evidence& evidence, Finding& finding) {
  const auto limit = evidence.fact(FactKey::kRlimitMemlock);
  if (limit != 0 || capable(evidence, kCapIpcLock) == true) return false;
  finding.summary = "RLIMIT_MEMLOCK is 0: nothing may be locked without CAP_IPC_LOCK";
  add_figure(finding, "RLIMIT_MEMLOCK", limit, "bytes", "getrlimit");
  note_denied_lock(evidence, finding);
  return true;
}

// kB of the range that are locked already: the kernel does not count them twice. nullopt: not
// known.
std::optional<uint64_t> locked_in(const Evidence& evidence, uint64_t start, uint64_t end,
                                  uint64_t all_locked_kb) {
  if (all_locked_kb == 0) return 0;
  if (!evidence.mappings_complete) return std::nullopt;
  uint64_t kb = 0;
  for (const auto& m : evidence.mappings)
    if ((m.flags & ovcshim::kMapLo) && m.start < end && start < m.end)
      kb += (std::min(end, m.end) - std::max(start, m.start)) / 1024;
  return kb;
}

void say_locked(Finding& finding, uint64_t request_kb, std::string_view source, uint64_t locked_kb,
                uint64_t limit_kb) {
  finding.summary = "locked memory limit reached (RLIMIT_MEMLOCK)";
  add_figure(finding, "request", request_kb, "kB", source);
  add_figure(finding, "VmLck", locked_kb, "kB", "/proc/self/status");
  add_figure(finding, "RLIMIT_MEMLOCK", limit_kb, "kB", "getrlimit");
  miss_by(finding, locked_kb + request_kb, limit_kb, "kB");
}

bool range_over_memlock(const Evidence& evidence, Finding& finding) {
  const auto limit = rlimit_kb(evidence, FactKey::kRlimitMemlock),
             locked = evidence.fact(FactKey::kVmLckKb);
  if (!limit || !locked || capable(evidence, kCapIpcLock) != false) return false;
  const auto& args = evidence.event.base.args;
  const uint64_t page = evidence.rules.page_kb * 1024, start = args[0] / page * page;
  if (args[0] > UINT64_MAX - args[1]) return false;
  const uint64_t kb = round_to_pages_kb(args[0] + args[1] - start, evidence.rules);
  const auto again = locked_in(evidence, start, start + kb * 1024, *locked);
  if (!again || *locked + kb - *again <= *limit) return false;
  say_locked(finding, kb - *again, "the call", *locked, *limit);
  return true;
}

bool attaches(const Evidence& evidence) {
  return op_of(evidence) == Op::kShmat && no_memory(evidence);
}

bool range_not_mapped(const Evidence& evidence, Finding& finding) {
  const auto& args = evidence.event.base.args;
  if (!evidence.mappings_complete || args[0] > UINT64_MAX - args[1]) return false;
  if (mapped_until(evidence, args[0]) >= args[0] + args[1]) return false;
  finding.summary = "the address range is not mapped throughout";
  return true;
}

bool all_over_memlock(const Evidence& evidence, Finding& finding) {
  const auto limit = rlimit_kb(evidence, FactKey::kRlimitMemlock), size = vm_size_kb(evidence);
  if (!(evidence.event.base.args[0] & MCL_CURRENT) || !limit || !size || *size <= *limit)
    return false;
  if (capable(evidence, kCapIpcLock) != false) return false;
  say_locked(finding, *size, "/proc/self/status VmSize", 0, *limit);
  return true;
}

constexpr std::string_view kLocks = "memory would be locked beyond what the process may lock";

// clang-format off
constexpr CauseRow kSharedRows[] = {
    {"huge-page-group", reserves_huge_pages, over_huge_page_group, "the control group may reserve no more huge pages; it is asked before the pool", "mm/hugetlb.c hugetlb_reserve_pages()"},
    {"huge-page-pool", reserves_huge_pages, over_huge_page_pool, "huge pages are set aside beforehand; ordinary memory does not stand in for them", "mm/hugetlb.c hugetlb_reserve_pages()"},
    {"single-request-over-ram-and-swap", makes_segment, over_ram_and_swap, "one request alone is larger than the whole machine", "mm/shmem.c shmem_acct_size(), mm/util.c __vm_enough_memory()"},
    {"commit-limit", makes_segment, over_commit_limit, "the sum of what all processes were promised would pass CommitLimit", "ipc/shm.c newseg(), mm/util.c __vm_enough_memory()"},
    {"commit-limit", makes_segment, near_commit_limit, "by the recorded figures it would just have passed, but within the error of the counter that the kernel compares", "ipc/shm.c newseg(), mm/util.c __vm_enough_memory()"},
    {"rlimit-memlock", may_not_lock, limit_is_zero, kLocks, "mm/mlock.c can_do_mlock()"},
    {"rlimit-memlock", locks_range, range_over_memlock, kLocks, "mm/mlock.c do_mlock()"},
    {"bad-argument", locks_range, range_not_mapped, "the kernel rejects a range with holes", "mm/mlock.c apply_vma_lock_flags()"},
    {"max-map-count", locks_range, over_map_count, "the process has as many mappings as it may have; a lock of a part of one splits it", "mm/mlock.c mlock_fixup(), mm/vma.c split_vma()"},
    {"max-map-count", attaches, over_map_count, "the process has as many mappings as it may have", "ipc/shm.c do_shmat(), mm/mmap.c do_mmap()"},
    {"rlimit-memlock", locks_all, all_over_memlock, kLocks, "mm/mlock.c mlockall()"},
};
// clang-format on

}  // namespace
}  // namespace causes

std::span<const CauseRow> shared_causes() { return causes::kSharedRows; }

}  // namespace ovc
