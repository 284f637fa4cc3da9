// SPDX-License-Identifier: MIT
//
// Which neighbours the kernel keeps as one mapping: mm/vma.c can_vma_merge_before(),
// can_vma_merge_after() and vma_merge_new_range() of 6.18; older kernels have the same conditions
// in mm/mmap.c vma_merge(), but for the heap and for the anon_vma, as said there. Whether the
// kernel was built with names of anonymous memory (CONFIG_ANON_VMA_NAME) is seen in its lists;
// soft-dirty marks (CONFIG_MEM_SOFT_DIRTY) keep nothing apart.
#include <algorithm>

#include "tools/replay/address_space.h"

namespace ovc {
namespace {

using namespace ovcshim;

// is_mergeable_vma(): vm_flags must be equal. Names given by the kernel ([heap]) are no part of
// them.
constexpr uint32_t kFlagsThatPart = kMapRead | kMapWrite | kMapExec | kMapShared | kMapDc | kMapWf |
                                    kMapHt | kMapGd | kMapLo | kMapSl | kMapDd | kMapFile |
                                    kMapSpecial;

constexpr Sure both(Sure a, Sure b) {
  return a == Sure::kNo || b == Sure::kNo     ? Sure::kNo
         : a == Sure::kYes && b == Sure::kYes ? Sure::kYes
                                              : Sure::kOpen;
}
constexpr Sure equal(Sure a, Sure b) {
  return a == Sure::kOpen || b == Sure::kOpen ? Sure::kOpen : sure(a == b);
}

Sure same_advice(const Piece& a, const Piece& b, KernelVersion kernel) {
  constexpr KernelVersion kStackHintSince{6, 7};  // c4608d1bf7c6
  uint32_t differ = a.advice ^ b.advice;
  if (((a.advice | b.advice) & kAdviceUnknown) != 0) return Sure::kOpen;
  if (kernel.known() && kernel < kStackHintSince) differ &= ~uint32_t{kAdviceStack};
  return differ == 0 ? Sure::kYes
         : (differ & ~uint32_t{kAdviceStack | kAdviceNoHuge}) == 0 && (differ & kAdviceStack)
             ? Sure::kOpen
             : Sure::kNo;
}

// Anonymous memory may be named; the names are not recorded.
Sure same_name(const Piece& a, const Piece& b) {
  if (a.has(kMapNamedAnon) != b.has(kMapNamedAnon)) return Sure::kNo;
  return a.has(kMapNamedAnon) ? Sure::kOpen : Sure::kYes;
}

Sure contiguous(const Piece& a, const Piece& b) {
  if (a.offset == kUnknown || b.offset == kUnknown) return Sure::kOpen;
  return sure(a.offset + (a.end - a.start) == b.offset);
}

// is_mergeable_anon_vma(): one of them has none, and the other's came not from a parent; or both
// are the same. Up to 6.15 a range that was changed or moved and has one fits to none without
// (879bca0a2c4f); after it, one that was moved may fit even if it came from a parent (mremap up to
// 6.19).
Sure same_anon_vma(const Piece& a, const Piece& b, Changed changed, KernelVersion kernel) {
  constexpr KernelVersion kChangedFitsSince{6, 16};
  if (a.family != 0 && a.family == b.family) return Sure::kYes;
  if (a.touched == Sure::kNo && b.touched == Sure::kNo) return Sure::kYes;
  if (a.touched != Sure::kNo && b.touched != Sure::kNo) return Sure::kOpen;
  const Piece& other = a.touched == Sure::kNo ? b : a;
  if (changed == (&other == &a ? Changed::kLeft : Changed::kRight) &&
      (kernel < kChangedFitsSince || other.inherited != Sure::kNo))
    return Sure::kOpen;
  return other.inherited == Sure::kNo                         ? Sure::kYes
         : both(other.inherited, other.touched) == Sure::kYes ? Sure::kNo
                                                              : Sure::kOpen;
}

}  // namespace

Sure AddressSpace::same_backing(const Piece& a, const Piece& b) const {
  if (a.has(kMapSpecial)) return Sure::kNo;
  if (a.is_private_anonymous()) return both(contiguous(a, b), same_name(a, b));
  if (a.object == b.object) return contiguous(a, b);
  if (shared_.contains(a.object) || shared_.contains(b.object)) return Sure::kNo;
  return both(Sure::kOpen, contiguous(a, b));  // the same file mapped twice, or two files
}

Sure AddressSpace::can_join(const Piece& a, const Piece& b, Changed changed) const {
  if (((a.flags ^ b.flags) & kFlagsThatPart) != 0) return Sure::kNo;
  Sure answer = both(equal(a.charged, b.charged), equal(a.noreserve, b.noreserve));
  answer = both(answer, same_advice(a, b, rules_.kernel));
  answer = both(answer, same_backing(a, b));
  return answer == Sure::kNo || a.has(kMapShared)
             ? answer
             : both(answer, same_anon_vma(a, b, changed, rules_.kernel));
}

// Cuts the piece that holds `address`; as far as the kernel is concerned nothing has happened yet.
void AddressSpace::split(uint64_t address) {
  auto it = pieces_.upper_bound(address);
  if (it == pieces_.begin()) return;
  Piece& left = std::prev(it)->second;
  if (left.start == address || left.end <= address) return;
  Piece right = left;
  right.start = address;
  if (right.offset != kUnknown) right.offset += address - left.start;
  left.end = address;
  left.joined = Sure::kYes;
  pieces_.emplace(address, right);
}

// The two sides of a boundary that the kernel looks at now.
void AddressSpace::settle(uint64_t boundary, Changed changed) {
  const auto right = pieces_.find(boundary);
  if (right == pieces_.end() || right == pieces_.begin()) return;
  const auto left = std::prev(right);
  if (left->second.end != boundary) return;
  left->second.joined = can_join(left->second, right->second, changed);
  share_history(left, right);
}

// Does what ends with the break reach into the heap, or is it only what lies below its beginning?
// That a mapping is called [heap] does not tell: see tools/rules/heap_rules.h.
Sure AddressSpace::is_heap_below(uint64_t heap_end) const {
  if (heap_start_) return sure(heap_end > *heap_start_);
  if (heap_end > heap_start_at_most_) return Sure::kYes;
  const auto behind = pieces_.lower_bound(heap_end);
  const bool called_so = behind != pieces_.begin() && std::prev(behind)->second.has(kMapHeap);
  return called_so ? Sure::kOpen : Sure::kNo;
}

// A heap that grew from `start` to `end`. Since 6.1 (2e7ce7d354f2), mm/mmap.c sys_brk() looks only
// at what ends there and is heap itself: beside the end of .bss, where a host without address
// randomisation has it, the first brk makes a mapping of its own. Older kernels merge whatever
// fits, but those of distributions may have the newer code.
void AddressSpace::settle_heap(uint64_t start, uint64_t end) {
  constexpr KernelVersion kHeapAloneSince{6, 1};
  for (const uint64_t boundary : {start, end}) {
    const auto right = pieces_.find(boundary);
    if (right == pieces_.end() || right == pieces_.begin()) continue;
    const auto left = std::prev(right);
    if (left->second.end != boundary) continue;
    const Sure heap = boundary == start ? is_heap_below(start) : Sure::kNo;
    if (heap == Sure::kYes) {
      settle(boundary);
      continue;
    }
    const bool alone =
        heap == Sure::kNo && rules_.kernel.known() && !(rules_.kernel < kHeapAloneSince);
    left->second.joined =
        alone ? Sure::kNo : both(Sure::kOpen, can_join(left->second, right->second));
    share_history(left, right);
  }
}

// What differs is no longer one mapping; to be said before anything is joined anew.
void AddressSpace::part(uint64_t boundary) {
  const auto right = pieces_.find(boundary);
  if (right == pieces_.end() || right == pieces_.begin()) return;
  Piece& left = std::prev(right)->second;
  if (left.end == boundary && can_join(left, right->second) == Sure::kNo) left.joined = Sure::kNo;
}

// After a change of one side or both: what was one mapping and was changed alike still is one.
void AddressSpace::settle_changed(uint64_t boundary, bool left_changed, bool right_changed) {
  const auto right = pieces_.find(boundary);
  if (right == pieces_.end() || right == pieces_.begin()) return;
  const auto left = std::prev(right);
  if (left->second.end != boundary) return;
  if (left_changed && right_changed && left->second.joined == Sure::kYes &&
      ((left->second.flags ^ right->second.flags) & kFlagsThatPart) == 0 &&
      left->second.advice == right->second.advice)
    return;
  settle(boundary, right_changed ? Changed::kRight : Changed::kLeft);
}

// One mapping has one anon_vma: what is known of either side holds for the whole run.
void AddressSpace::share_history(Pieces::iterator left, Pieces::iterator right) {
  Piece &a = left->second, &b = right->second;
  if (a.joined == Sure::kNo || a.has(kMapShared)) return;
  if (a.joined == Sure::kOpen) {
    if (a.touched != b.touched) {
      if (a.touched == Sure::kNo) a.touched = Sure::kOpen;
      if (b.touched == Sure::kNo) b.touched = Sure::kOpen;
    }
    return;
  }
  const Sure touched = either(a.touched, b.touched), inherited = either(a.inherited, b.inherited);
  const uint64_t family = a.family != 0 ? a.family : b.family;
  const auto take = [&](Piece& p) {
    if (p.touched == touched && p.inherited == inherited && p.family == family) return false;
    p.touched = touched, p.inherited = inherited, p.family = family;
    return true;
  };
  for (auto it = left; take(it->second) && it != pieces_.begin();) {
    --it;
    if (it->second.joined != Sure::kYes) break;
  }
  for (auto it = right; take(it->second) && it->second.joined == Sure::kYes;) ++it;
}

// What could be written since the last call may have been.
void AddressSpace::age() {
  for (const auto& [start, end] : fresh_)
    for (auto it = pieces_.lower_bound(start); it != pieces_.end() && it->first < end; ++it)
      if (it->second.touched == Sure::kNo && it->second.has(kMapWrite))
        it->second.touched = Sure::kOpen;
  fresh_.clear();
}

std::vector<Mapping> AddressSpace::mappings() const {
  std::vector<Mapping> list;
  Sure before = Sure::kNo;
  for (const auto& [start, piece] : pieces_) {
    const bool adjacent = !list.empty() && list.back().end() == start;
    if (!adjacent) before = Sure::kNo;
    if (before != Sure::kYes) {
      if (!list.empty()) list.back().more_behind = before;
      list.push_back({{}, before, Sure::kNo});
    }
    list.back().pieces.push_back(piece);
    before = piece.joined;
  }
  return list;
}

}  // namespace ovc
