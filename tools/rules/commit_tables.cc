// SPDX-License-Identifier: MIT
//
// THE tables of the kernel's commit accounting, and the look-up of a row. Read from the kernel's
// sources 5.10 to 7.2; versions without a commit in the text are good to one release. Each row is
// held against the running kernel by commit_rules_rows_test.cc, and so against others by
// tests/kernels.
#include <algorithm>
#include <iterator>

#include "tools/rules/commit_rules.h"

namespace ovc {
namespace {

using ovcshim::FactKey;
using enum Tri;

constexpr uint8_t kAll = 0b111, k01 = 0b011, k2 = 0b100;
constexpr KernelVersion kDroppableSince{6, 11};

// What a mapping is charged when it is made.
// shared file writable noreserve hugetlb droppable modes cost
// clang-format off
constexpr MappingRow kMappingRows[] = {
    {kAny, kAny, kAny, kAny, kYes, kAny, kAll, Cost::kNone, "huge pages come from a pool of their own, anonymous or of a file on hugetlbfs or of MFD_HUGETLB",
     "mm/vma.c accountable_mapping()"},
    {kAny, kAny, kAny, kAny, kNo, kYes, kAll, Cost::kNone, "droppable memory promises nothing", "mm/mmap.c do_mmap()", kDroppableSince},
    {kYes, kYes, kAny, kAny, kNo, kAny, kAll, Cost::kNone, "the file is its own backing store", "mm/vma.c accountable_mapping()"},
    {kYes, kNo, kAny, kYes, kNo, kAny, k01, Cost::kTouched, "shared anonymous, MAP_NORESERVE honoured",
     "mm/shmem.c shmem_acct_blocks()"},
    {kYes, kNo, kAny, kYes, kNo, kAny, k2, Cost::kLength, "shared anonymous, MAP_NORESERVE ignored in mode 2",
     "mm/shmem.c shmem_acct_size()"},
    {kYes, kNo, kAny, kNo, kNo, kAny, kAll, Cost::kLength, "shared anonymous, whatever its protection", "mm/shmem.c shmem_acct_size()"},
    {kNo, kAny, kNo, kAny, kNo, kAny, kAll, Cost::kNone, "private and not writable", "mm/vma.c accountable_mapping()"},
    {kNo, kAny, kYes, kYes, kNo, kAny, k01, Cost::kNone, "private writable, MAP_NORESERVE honoured", "mm/mmap.c do_mmap()"},
    {kNo, kAny, kYes, kYes, kNo, kAny, k2, Cost::kLength, "private writable, MAP_NORESERVE ignored in mode 2", "mm/mmap.c do_mmap()"},
    {kNo, kAny, kYes, kNo, kNo, kAny, kAll, Cost::kLength, "private writable", "mm/vma.c accountable_mapping()"},
};
// clang-format on

// What a change costs or gives back.
// change, ac nr writable shared hugetlb dontcopy file touched, effect
// clang-format off
constexpr ChangeRow kChangeRows[] = {
    {Change::kGainWrite, kNo, kNo, kNo, kNo, kNo, kAny, kAny, kAny, Effect::kCharge, "a private mapping becomes writable for the first time",
     "mm/mprotect.c mprotect_fixup()"},
    {Change::kGainWrite, kAny, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kNothing,
     "already charged, already writable, shared, huge or MAP_NORESERVE", "mm/mprotect.c mprotect_fixup()"},
    {Change::kLoseWrite, kYes, kAny, kAny, kNo, kAny, kAny, kNo, kNo, Effect::kRelease, "anonymous memory that was never written to",
     "mm/mprotect.c mprotect_fixup()", {6, 7}, {}},
    {Change::kLoseWrite, kAny, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kNothing, "the charge stays until it is unmapped",
     "mm/mprotect.c mprotect_fixup()"},
    {Change::kUnmap, kYes, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kRelease, "accounted pages are given back",
     "mm/vma.c vms_complete_munmap_vmas()"},
    {Change::kUnmap, kNo, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kNothing,
     "not accounted here; a shared object gives back when its last user goes", "mm/vma.c vms_complete_munmap_vmas()"},
    {Change::kReplaceFixed, kAny, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kChargeLessOld,
     "MAP_FIXED is charged what it adds", "mm/vma.c __mmap_prepare()", {6, 12}, {}},
    {Change::kReplaceFixed, kAny, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kCharge,
     "MAP_FIXED unmaps first, then asks for the whole length", "mm/mmap.c mmap_region()", {}, {6, 12}},
    {Change::kGrow, kYes, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kCharge, "mremap is charged the growth",
     "mm/mremap.c vrm_calc_charge()"},
    {Change::kGrow, kNo, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kNothing, "growth of what is not accounted",
     "mm/mremap.c vrm_calc_charge()"},
    {Change::kShrink, kYes, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kRelease, "mremap unmaps the tail", "mm/mremap.c shrink_vma()"},
    {Change::kShrink, kNo, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kNothing, "the tail was not accounted", "mm/mremap.c shrink_vma()"},
    {Change::kMove, kYes, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kCheckOnly, "a move of the same size asks for 0 pages",
     "mm/mremap.c vrm_charge()", {6, 1}, {}},
    {Change::kMove, kAny, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kNothing, "a move of the same size", "mm/mremap.c move_vma()"},
    {Change::kMoveKeepOld, kYes, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kCharge, "MREMAP_DONTUNMAP: both mappings stay accounted",
     "mm/mremap.c vrm_calc_charge()", {5, 7}, {}},
    {Change::kMoveKeepOld, kNo, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kNothing, "not accounted", "mm/mremap.c vrm_calc_charge()", {5, 7}, {}},
    {Change::kBrkGrow, kAny, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kCharge, "the heap is always accounted",
     "mm/vma.c do_brk_flags()"},
    {Change::kBrkShrink, kAny, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kRelease, "accounted pages are given back", "mm/mmap.c brk()"},
    {Change::kStackGrow, kYes, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kCharge, "each growth; a refusal is SIGSEGV, not an errno",
     "mm/vma.c acct_stack_growth()"},
    {Change::kStackGrow, kNo, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kNothing, "not accounted", "mm/vma.c acct_stack_growth()"},
    {Change::kMadvise, kAny, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kNothing, "commit is virtual: giving pages up changes nothing",
     "mm/madvise.c"},
    {Change::kFork, kYes, kAny, kAny, kAny, kAny, kNo, kAny, kAny, Effect::kCharge, "every accounted mapping again, one by one",
     "mm/mmap.c dup_mmap()"},
    {Change::kFork, kAny, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kNothing, "not accounted, or MADV_DONTFORK", "mm/mmap.c dup_mmap()"},
    {Change::kForkSharedMemory, kAny, kAny, kAny, kAny, kAny, kAny, kAny, kAny, Effect::kNothing,
     "vfork and CLONE_VM share the parent's memory", "kernel/fork.c copy_mm()"},
};
// clang-format on

// clang-format off
constexpr SharedRow kSharedRows[] = {
    {SharedObject::kHuge, kAny, kAll, Cost::kNone, "huge pages come from a pool of their own, reserved by the mapping or by shmget",
     "fs/hugetlbfs/inode.c hugetlb_file_setup(), hugetlbfs_file_mmap()"},
    {SharedObject::kSysV, kNo, kAll, Cost::kLength, "shmget is promised the whole segment, until it is removed and the last user is gone",
     "ipc/shm.c newseg(); mm/shmem.c shmem_acct_size()"},
    {SharedObject::kSysV, kYes, k2, Cost::kLength, "mode 2 does not know SHM_NORESERVE", "ipc/shm.c newseg()"},
    {SharedObject::kSysV, kYes, kAll, Cost::kTouched, "SHM_NORESERVE: page by page", "mm/shmem.c shmem_acct_blocks()"},
    {SharedObject::kFile, kAny, kAll, Cost::kTouched,
     "page by page; a refusal is ENOSPC to write(2) and SIGBUS to a touch, until the file is cut or its last user is gone",
     "mm/shmem.c shmem_inode_acct_blocks()"},
};
// clang-format on

// Mode 0 before 5.2, in the order of the removed code; the request passes iff it is smaller than
// the sum.
// clang-format off
constexpr GuessStep kGuessSteps[] = {
    {'+', FactKey::kMemFreeKb, "free pages", false},
    {'+', FactKey::kCachedKb, "page cache", false},
    {'+', FactKey::kBuffersKb, "page cache: buffers", false},
    {'+', FactKey::kSwapCachedKb, "page cache: swap cache", false},
    {'-', FactKey::kShmemKb, "shared memory, which cannot be dropped", false},
    {'+', FactKey::kSwapFreeKb, "free swap", false},
    {'+', FactKey::kSReclaimableKb, "reclaimable slab", false, {}, {4, 20}},
    {'+', FactKey::kKReclaimableKb, "reclaimable slab and other reclaimable kernel memory", false, {4, 20}, {}},
    {'-', FactKey::kNone, "totalreserve_pages; refused outright if not even these are left", false},
    {'-', FactKey::kAdminReserveKb, "admin_reserve_kbytes", true, {3, 10}, {}},
    {'-', FactKey::kNone, "3 % of the estimate", true, {}, {3, 10}},
};
// clang-format on

// A table of {modes} x {kinds} must answer every question: each combination has a row in each mode.
consteval bool mapping_rows_are_total() {
  for (unsigned bits = 0; bits < 64; ++bits)
    for (unsigned mode = 0; mode < 3; ++mode) {
      const bool found =
          std::any_of(std::begin(kMappingRows), std::end(kMappingRows), [=](const MappingRow& row) {
            return (row.modes >> mode & 1) && !row.since.known() && !row.until.known() &&
                   matches(row.shared, bits & 1) && matches(row.file, bits & 2) &&
                   matches(row.writable, bits & 4) && matches(row.noreserve, bits & 8) &&
                   matches(row.hugetlb, bits & 16) && matches(row.droppable, bits & 32);
          });
      if (!found) return false;
    }
  return true;
}
static_assert(mapping_rows_are_total());

}  // namespace

std::optional<bool> holds(KernelVersion since, KernelVersion until, const HostRules& rules) {
  if (!since.known() && !until.known()) return true;
  if (!rules.kernel.known()) return std::nullopt;
  return rules.kernel >= since && (!until.known() || rules.kernel < until);
}

std::span<const MappingRow> mapping_rows() { return kMappingRows; }

const MappingRow* mapping_row(const MappingKind& kind, const HostRules& rules) {
  for (const auto& row : kMappingRows) {
    const bool same_kind =
        matches(row.shared, kind.shared) && matches(row.file, kind.file) &&
        matches(row.writable, kind.writable) && matches(row.noreserve, kind.noreserve) &&
        matches(row.hugetlb, kind.hugetlb) && matches(row.droppable, kind.droppable);
    if (!same_kind) continue;
    const auto version = holds(row.since, row.until, rules);
    if (!version || (row.modes != kAll && !rules.mode)) return nullptr;
    if (*version && (row.modes == kAll || (*rules.mode < 3 && row.modes >> *rules.mode & 1)))
      return &row;
  }
  return nullptr;
}

std::span<const SharedRow> shared_rows() { return kSharedRows; }

const SharedRow* shared_row(SharedObject object, bool noreserve, const HostRules& rules) {
  for (const auto& row : kSharedRows) {
    if (row.object != object || !matches(row.noreserve, noreserve)) continue;
    if (row.modes == kAll && row.noreserve != kYes) return &row;
    if (!rules.mode || *rules.mode > 2) return nullptr;
    if (row.modes >> *rules.mode & 1) return &row;
  }
  return nullptr;
}

std::span<const ChangeRow> change_rows() { return kChangeRows; }

const ChangeRow* change_row(Change change, const MappingState& state, const HostRules& rules) {
  for (const auto& row : kChangeRows) {
    const bool same = row.change == change && matches(row.accounted, state.accounted) &&
                      matches(row.noreserve, state.noreserve) &&
                      matches(row.writable, state.writable) && matches(row.shared, state.shared) &&
                      matches(row.hugetlb, state.hugetlb) &&
                      matches(row.dont_copy, state.dont_copy) && matches(row.file, state.file) &&
                      matches(row.touched, state.touched);
    if (!same) continue;
    const auto version = holds(row.since, row.until, rules);
    if (!version) return nullptr;
    if (*version) return &row;
  }
  return nullptr;
}

std::span<const GuessStep> guess_steps() { return kGuessSteps; }

}  // namespace ovc
