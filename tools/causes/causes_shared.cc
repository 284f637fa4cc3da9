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

// ---- shmget: ipc/shm.c newseg(), ipc/util.c ipcget_public() ----

constexpr uint64_t kShmHugetlb = 04000;

bool segment_refused(const Evidence& evidence) {
  return op_of(evidence) == Op::kShmget && evidence.err() == EINVAL;
}
bool no_segment_left(const Evidence& evidence) {
  return op_of(evidence) == Op::kShmget && evidence.err() == ENOSPC;
}

bool segment_too_large(const Evidence& evidence, Finding& finding) {
  const auto most = evidence.fact(FactKey::kShmMax);
  const uint64_t size = args_of(evidence)[1];
  if (!most || size <= *most) return false;
  finding.summary = "larger than a segment of shared memory may be (kernel.shmmax)";
  add_figure(finding, "request", size, "bytes", "the call");
  add_figure(finding, "kernel.shmmax", most, "bytes", "shmctl(IPC_INFO)");
  miss_by(finding, size, *most, "bytes");
  return true;
}

bool segment_empty_or_smaller(const Evidence& evidence, Finding& finding) {
  const auto& args = args_of(evidence);
  const auto most = evidence.fact(FactKey::kShmMax);
  const bool has_key = static_cast<uint32_t>(args[0]) != 0;  // IPC_PRIVATE
  if (evidence.fact(FactKey::kSeccomp) != 0 || (args[2] & kShmHugetlb)) return false;
  if (!has_key && args[1] == 0) {
    finding.summary = "the size of a new segment is 0";
    return true;
  }
  if (!has_key || args[1] == 0 || !most || args[1] > *most) return false;
  finding.summary = "a segment of this key exists and is smaller than asked for";
  add_figure(finding, "request", args[1], "bytes", "the call");
  return true;
}

bool pages_used_up(const Evidence& evidence, Finding& finding) {
  const auto most = evidence.fact(FactKey::kShmAll), used = evidence.fact(FactKey::kShmPages);
  const uint64_t page = evidence.rules.page_kb * 1024, size = args_of(evidence)[1];
  const uint64_t wanted = size / page + (size % page != 0);
  if (!most || !used || *used > UINT64_MAX / 2 || *used + wanted <= *most) return false;
  finding.summary = "as much System V shared memory as there may be (kernel.shmall)";
  add_figure(finding, "request", wanted, "pages", "the call");
  add_figure(finding, "in use", used, "pages", "shmctl(SHM_INFO)");
  add_figure(finding, "kernel.shmall", most, "pages", "shmctl(IPC_INFO)");
  miss_by(finding, *used + wanted, *most, "pages");
  return true;
}

bool segments_used_up(const Evidence& evidence, Finding& finding) {
  const auto most = evidence.fact(FactKey::kShmMni), used = evidence.fact(FactKey::kShmSegments);
  if (!most || !used || *used < *most) return false;
  finding.summary = "as many segments of shared memory as there may be (kernel.shmmni)";
  add_figure(finding, "in use", used, "segments", "shmctl(SHM_INFO)");
  add_figure(finding, "kernel.shmmni", most, "segments", "shmctl(IPC_INFO)");
  miss_by(finding, *used + 1, *most, "segments");
  return true;
}

// ---- files ----

bool fills_file(const Evidence& evidence) {
  const Op op = op_of(evidence);
  return evidence.err() == ENOSPC &&
         (op == Op::kFallocate || op == Op::kPosixFallocate || op == Op::kFtruncate);
}

std::string_view filesystem_name(uint64_t type) {
  constexpr uint64_t kTmpfs = 0x01021994, kHugetlbfs = 0x958458f6;
  return type == kTmpfs       ? "a tmpfs, as /dev/shm is"
         : type == kHugetlbfs ? "a hugetlbfs"
                              : "a filesystem";
}

// What was filled before the refusal is given back, so the room is that before the call.
bool filesystem_full(const Evidence& evidence, Finding& finding) {
  const auto type = evidence.fact(FactKey::kFsType), free = evidence.fact(FactKey::kFsFreeBytes),
             all = evidence.fact(FactKey::kFsBytes);
  const auto& args = args_of(evidence);
  const bool by_mode = op_of(evidence) == Op::kFallocate;  // fd, mode, offset, length
  const uint64_t wanted = op_of(evidence) == Op::kFtruncate ? args[1] : args[by_mode ? 3 : 2];
  if (!type || !free || !all || *all == 0 || wanted <= *free) return false;
  finding.summary = std::string("the file's filesystem has no room left: it is ") +
                    std::string(filesystem_name(*type));
  add_figure(finding, "request", wanted / 1024, "kB", "the call");
  add_figure(finding, "free", *free / 1024, "kB", "fstatfs");
  add_figure(finding, "size", *all / 1024, "kB", "fstatfs");
  miss_by(finding, wanted / 1024, *free / 1024, "kB");
  return true;
}

bool limit_is_zero(const Evidence& evidence, Finding& finding) {
  const auto limit = evidence.fact(FactKey::kRlimitMemlock);
  if (limit != 0 || capable(evidence, kCapIpcLock) != false) return false;
  finding.summary = "RLIMIT_MEMLOCK is 0: nothing may be locked without CAP_IPC_LOCK";
  add_figure(finding, "RLIMIT_MEMLOCK", limit, "bytes", "getrlimit");
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
    {"single-request-over-ram-and-swap", makes_segment, over_ram_and_swap, "one request alone is larger than the whole machine", "mm/shmem.c shmem_acct_size(), mm/util.c __vm_enough_memory()"},
    {"commit-limit", makes_segment, over_commit_limit, "the sum of what all processes were promised would pass CommitLimit", "ipc/shm.c newseg(), mm/util.c __vm_enough_memory()"},
    {"commit-limit", makes_segment, near_commit_limit, "by the recorded figures it would just have passed, but within the error of the counter that the kernel compares", "ipc/shm.c newseg(), mm/util.c __vm_enough_memory()"},
    {"shmmax", segment_refused, segment_too_large, "one segment may not be larger", "ipc/shm.c newseg()"},
    {"bad-argument", segment_refused, segment_empty_or_smaller, "the kernel rejects the arguments themselves", "ipc/shm.c newseg(), shm_more_checks()"},
    {"shmall", no_segment_left, pages_used_up, "all segments of the IPC namespace together may not be larger", "ipc/shm.c newseg()"},
    {"shmmni", no_segment_left, segments_used_up, "the IPC namespace may not have more segments", "ipc/util.c ipc_addid()"},
    {"no-space", fills_file, filesystem_full, "memory for the file comes out of its filesystem's size, whatever the machine has free", "mm/shmem.c shmem_fallocate()"},
    {"rlimit-memlock", may_not_lock, limit_is_zero, kLocks, "mm/mlock.c can_do_mlock()"},
    {"rlimit-memlock", locks_range, range_over_memlock, kLocks, "mm/mlock.c do_mlock()"},
    {"bad-argument", locks_range, range_not_mapped, "the kernel rejects a range with holes", "mm/mlock.c apply_vma_lock_flags()"},
    {"rlimit-memlock", locks_all, all_over_memlock, kLocks, "mm/mlock.c mlockall()"},
};
// clang-format on

}  // namespace
}  // namespace causes

std::span<const CauseRow> shared_causes() { return causes::kSharedRows; }

}  // namespace ovc
