// SPDX-License-Identifier: MIT
//
// What each call does to the address space. Sizes are rounded as the kernel rounds them.
#include "tools/replay/address_space.h"

#include <sys/mman.h>

#include <algorithm>

#include "tools/log/call_families.h"
#include "tools/log/kernel_numbers.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr uint64_t kDefaultHugeBytes = 2 << 20;
constexpr uint32_t kProtFlags = kMapRead | kMapWrite | kMapExec;

uint32_t prot_flags(uint64_t prot) {
  return (prot & PROT_READ ? kMapRead : 0u) | (prot & PROT_WRITE ? kMapWrite : 0u) |
         (prot & PROT_EXEC ? kMapExec : 0u);
}

MappingState state_of(const Piece& piece, bool accounted, bool touched) {
  return {.accounted = accounted,
          .noreserve = piece.noreserve == Sure::kYes,
          .writable = piece.has(kMapWrite),
          .shared = piece.has(kMapShared),
          .hugetlb = piece.has(kMapHt),
          .dont_copy = piece.has(kMapDc),
          .file = piece.has(kMapFile),
          .touched = touched};
}

constexpr Sure one_of(Sure a, Sure b) { return a == b ? a : Sure::kOpen; }

struct AdviceRow {
  uint64_t advice;
  uint32_t set, clear;                // MappingFlag
  uint32_t set_advice, clear_advice;  // AdviceFlag
};
// mm/madvise.c madvise_vma_behavior(), mm/khugepaged.c hugepage_madvise(), mm/ksm.c ksm_madvise()
constexpr AdviceRow kAdviceRows[] = {
    {MADV_NORMAL, 0, 0, 0, kAdviceSequential | kAdviceRandom},
    {MADV_RANDOM, 0, 0, kAdviceRandom, kAdviceSequential},
    {MADV_SEQUENTIAL, 0, 0, kAdviceSequential, kAdviceRandom},
    {MADV_DONTFORK, kMapDc, 0, 0, 0},
    {MADV_DOFORK, 0, kMapDc, 0, 0},
    {MADV_WIPEONFORK, kMapWf, 0, 0, 0},
    {MADV_KEEPONFORK, 0, kMapWf, 0, 0},
    {MADV_DONTDUMP, kMapDd, 0, 0, 0},
    {MADV_DODUMP, 0, kMapDd, 0, 0},
    {MADV_MERGEABLE, 0, 0, kAdviceMergeable, 0},
    {MADV_UNMERGEABLE, 0, 0, 0, kAdviceMergeable},
    {MADV_HUGEPAGE, 0, 0, kAdviceHuge, kAdviceNoHuge | kAdviceStack},
    {MADV_NOHUGEPAGE, 0, 0, kAdviceNoHuge, kAdviceHuge | kAdviceStack},
};

}  // namespace

uint64_t AddressSpace::page_up(uint64_t bytes) const {
  const uint64_t page = rules_.page_kb * 1024;
  return bytes > UINT64_MAX - page ? bytes : (bytes + page - 1) / page * page;
}

uint64_t AddressSpace::mapping_bytes(const Event& event) const {
  const uint64_t flags = event.base.args[3];
  const uint64_t shift = flags >> kMapHugeShift & 0x3f;
  uint64_t huge = shift != 0 ? uint64_t{1} << shift : kDefaultHugeBytes;
  if (!mapping_kind_of(event).hugetlb) return page_up(event.base.args[1]);
  if (!(flags & MAP_ANONYMOUS)) {  // the file's; a damaged log can say anything
    const uint64_t block = event.fact(FactKey::kFileFsBlock).value_or(0);
    huge = block != 0 && block <= uint64_t{1} << 34 ? block : kDefaultHugeBytes;
  }
  return (event.base.args[1] + huge - 1) / huge * huge;
}

// ---- the table of ranges ----

void AddressSpace::remove(uint64_t start, uint64_t end) {
  if (start >= end) return;
  split(start);
  split(end);
  const auto first = pieces_.lower_bound(start), last = pieces_.lower_bound(end);
  if (first == last) return;
  if (first != pieces_.begin() && std::prev(first)->second.end == start)
    std::prev(first)->second.joined = Sure::kNo;
  std::vector<uint64_t> gone;
  for (auto it = first; it != last; ++it)
    if (shared_.contains(it->second.object)) gone.push_back(it->second.object);
  pieces_.erase(first, last);
  for (const uint64_t object : gone) {
    const auto alive = [&](const auto& entry) { return entry.second.object == object; };
    if (std::none_of(pieces_.begin(), pieces_.end(), alive)) shared_.erase(object);
  }
}

// Puts a new mapping where nothing is, and merges it with its neighbours as the kernel does.
void AddressSpace::insert(const Piece& piece) {
  if (piece.end <= piece.start) return;
  pieces_[piece.start] = piece;
  settle(piece.start);
  settle(piece.end);
  fresh_.emplace_back(piece.start, piece.end);
}

// Applies `what` to the pieces in a range; it says whether it changed one.
template <typename Change>
void AddressSpace::change(uint64_t start, uint64_t end, Change what) {
  split(start);
  split(end);
  std::vector<std::pair<uint64_t, bool>> changed;
  for (auto it = pieces_.lower_bound(start); it != pieces_.end() && it->first < end; ++it)
    changed.emplace_back(it->first, what(it->second));
  part(end);
  for (const auto& [at, now] : changed) part(at);
  bool before = false;
  for (const auto& [at, now] : changed) {
    if (before || now) settle_changed(at, before, now);
    before = now;
  }
  if (before) settle_changed(end, true, false);
}

// End of what is mapped without a hole from `start` on.
uint64_t AddressSpace::mapped_until(uint64_t start) const {
  auto it = pieces_.upper_bound(start);
  if (it == pieces_.begin()) return start;
  for (--it; it != pieces_.end() && it->first <= start && it->second.end > start; ++it)
    start = it->second.end;
  return start;
}

// ---- calls ----

// Of a granted call: are the ranges that its record names a process's? Those of a damaged record
// can be anything. Here and nowhere else, so that no sum of an address and a size wraps below.
bool AddressSpace::is_possible(const Event& event) const {
  const auto& args = event.base.args;
  const auto result = static_cast<uint64_t>(event.base.result);
  const auto fits = [](uint64_t start, uint64_t bytes) {
    return start < kKernelHalf && bytes < kKernelHalf - start;
  };
  switch (event.base.op) {
    case Op::kMmap: return fits(result, mapping_bytes(event)) && mapping_bytes(event) != 0;
    case Op::kMunmap:
    case Op::kMprotect:
    case Op::kMadvise: return args[1] == 0 || fits(args[0], page_up(args[1]));
    case Op::kMremap:
      return fits(args[0], page_up(args[1])) && fits(result, page_up(args[2])) && args[2] != 0;
    case Op::kBrk:
    case Op::kSbrk: return break_after(event.base) < kKernelHalf;
    default: return true;
  }
}

void AddressSpace::apply(const Event& event) {
  age();
  now_ = event.position;
  const auto& args = event.base.args;
  if (!event.returned()) return;
  if (event.failed()) return apply_failure(event);
  if (!is_possible(event)) return void(++contradictions_);
  switch (event.base.op) {
    case Op::kMmap: return apply_mmap(event);
    case Op::kMunmap: return remove(args[0], args[0] + page_up(args[1]));
    case Op::kMremap: return apply_mremap(event);
    case Op::kMprotect: return apply_mprotect(event);
    case Op::kMadvise: return apply_madvise(event);
    case Op::kBrk:
      break_was(break_after(event.base));
      return apply_brk(break_after(event.base), event.position);
    case Op::kSbrk: {
      // It returns the break that it found. What had moved it unseen (malloc, where the calls that
      // libc makes inside itself are not recorded) is made up for.
      const uint64_t found = static_cast<uint64_t>(event.base.result),
                     left = break_after(event.base);
      break_was(std::min(found, left));
      if (!break_) break_ = found;
      const bool seen = page_up(*break_) == page_up(found) || page_up(*break_) == page_up(left);
      if (!seen) ++contradictions_, apply_brk(found, kUnknown);
      return apply_brk(left, event.position);
    }
    default: return;
  }
}

Piece AddressSpace::new_piece(const Event& event, uint64_t bytes) {
  const auto& args = event.base.args;
  const MappingKind kind = mapping_kind_of(event, rules_);
  Piece p;
  p.start = static_cast<uint64_t>(event.base.result);
  p.end = p.start + bytes;
  p.made_by = event.position;
  p.flags = prot_flags(args[2]) | (kind.shared ? kMapShared : 0u) | (kind.hugetlb ? kMapHt : 0u) |
            (kind.file || kind.hugetlb ? kMapFile : 0u) | (args[3] & MAP_GROWSDOWN ? kMapGd : 0u) |
            (args[3] & MAP_LOCKED ? kMapLo : 0u) |
            (kind.droppable ? uint32_t{kMapWf | kMapDd} : 0u);
  if (args[3] & MAP_STACK) p.advice |= kAdviceStack;
  const MappingRow* row = mapping_row(kind, rules_);
  p.charged = kind.shared ? Sure::kNo : row ? sure(row->cost == Cost::kLength) : Sure::kOpen;
  MappingKind as_writable = kind;  // the kernel decides on VM_NORESERVE whatever the protection
  as_writable.writable = true;
  const MappingRow* writable_row = mapping_row(as_writable, rules_);
  if (kind.noreserve || kind.droppable)
    p.noreserve = writable_row ? sure(writable_row->cost != Cost::kLength) : Sure::kOpen;
  p.offset = p.start;
  if (kind.file || kind.shared || kind.hugetlb)
    p.object = next_object_++, p.offset = kind.file ? args[5] : 0;
  if (kind.shared && !kind.file && row && row->cost == Cost::kLength)
    shared_[p.object] = {bytes / 1024};
  return p;
}

void AddressSpace::apply_mmap(const Event& event) {
  const uint64_t bytes = mapping_bytes(event), start = static_cast<uint64_t>(event.base.result);
  const auto next = pieces_.lower_bound(start);
  const bool there = (next != pieces_.end() && next->first < start + bytes) ||
                     (next != pieces_.begin() && std::prev(next)->second.end > start);
  if (there && !(event.base.args[3] & MAP_FIXED)) ++contradictions_;
  remove(start, start + bytes);
  insert(new_piece(event, bytes));
}

void AddressSpace::protect(Piece& piece, uint32_t prot) {
  const bool was_writable = piece.has(kMapWrite), writable = (prot & kMapWrite) != 0;
  const auto after = [&](Change change, bool accounted, bool touched) {
    const ChangeRow* row = change_row(change, state_of(piece, accounted, touched), rules_);
    if (!row) return Sure::kOpen;
    return row->effect == Effect::kCharge    ? Sure::kYes
           : row->effect == Effect::kRelease ? Sure::kNo
                                             : sure(accounted);
  };
  const auto over = [&](Change change, bool touched) {
    if (piece.charged != Sure::kOpen) return after(change, piece.charged == Sure::kYes, touched);
    return one_of(after(change, true, touched), after(change, false, touched));
  };
  const Change change = writable ? Change::kGainWrite : Change::kLoseWrite;
  Sure charged = piece.touched == Sure::kOpen ? one_of(over(change, true), over(change, false))
                                              : over(change, piece.touched == Sure::kYes);
  if (writable && !was_writable && piece.noreserve == Sure::kOpen) charged = Sure::kOpen;
  if (charged == Sure::kYes && piece.charged == Sure::kNo) piece.charged_by = now_;
  piece.charged = charged;
  piece.flags = (piece.flags & ~kProtFlags) | prot;
}

void AddressSpace::apply_mprotect(const Event& event) {
  const auto& args = event.base.args;
  uint64_t start = args[0];
  const uint64_t end = args[0] + page_up(args[1]);
  if (args[2] & kProtGrowsdown) {
    const auto it = pieces_.upper_bound(start);
    if (it != pieces_.begin() && std::prev(it)->second.has(kMapGd))
      start = std::prev(it)->second.start;
  }
  if (mapped_until(start) < end) ++contradictions_;
  protect_range(start, end, args[2]);
}

void AddressSpace::protect_range(uint64_t start, uint64_t end, uint64_t wanted) {
  const uint32_t prot = prot_flags(wanted);
  change(start, end, [&](Piece& piece) {
    if ((piece.flags & kProtFlags) == prot) return false;  // mprotect_fixup() leaves at once
    protect(piece, prot);
    return true;
  });
  fresh_.emplace_back(start, end);
}

void AddressSpace::apply_madvise(const Event& event) {
  const auto& args = event.base.args;
  advise_range(args[0], args[0] + page_up(args[1]), args[2]);
}

void AddressSpace::advise_range(uint64_t start, uint64_t end, uint64_t advice_given) {
  if (end <= start) return;
  if (advice_given ==
      kAdviceGuardInstall) {  // mm/madvise.c madvise_guard_install(): needs an anon_vma
    change(start, end, [](Piece& piece) { return piece.touched = Sure::kYes, false; });
    return;
  }
  for (const AdviceRow& row : kAdviceRows) {
    if (row.advice != advice_given) continue;
    change(start, end, [&](Piece& piece) {
      const uint32_t flags = (piece.flags & ~row.clear) | row.set;
      const uint32_t advice = (piece.advice & ~row.clear_advice) | row.set_advice;
      const bool changed = flags != piece.flags || advice != piece.advice;
      piece.flags = flags, piece.advice = advice;
      return changed;
    });
  }
}

// The kernel lets it come no lower than the heap's beginning.
void AddressSpace::break_was(uint64_t address) {
  heap_start_at_most_ = std::min(heap_start_at_most_, address);
}

void AddressSpace::apply_brk(uint64_t new_break, uint64_t position) {
  const std::optional<uint64_t> old = break_;
  break_ = new_break;
  if (!old || page_up(*old) == page_up(new_break)) return;
  if (new_break < *old) return remove(page_up(new_break), page_up(*old));
  Piece p;
  p.start = page_up(*old), p.end = page_up(new_break);
  p.flags = kMapRead | kMapWrite | kMapHeap;
  p.charged = Sure::kYes;
  p.offset = p.start;
  p.made_by = position;
  const auto at = pieces_.lower_bound(p.start);
  if (at != pieces_.end() && at->first < p.end) ++contradictions_;
  remove(p.start, p.end);
  pieces_[p.start] = p;
  settle_heap(p.start, p.end);
  fresh_.emplace_back(p.start, p.end);
}

}  // namespace ovc
