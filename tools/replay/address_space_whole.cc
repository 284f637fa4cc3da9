// SPDX-License-Identifier: MIT
//
// The address space as a whole: taken over from the kernel's list, handed on to a child, summed up.
#include <algorithm>

#include "tools/log/kernel_numbers.h"
#include "tools/replay/address_space.h"
#include "tools/rules/heap_rules.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr uint32_t kAccess = kMapRead | kMapWrite | kMapExec | kMapShared;

void add_charge(Bounds& to, const Piece& piece) {
  if (piece.charged == Sure::kYes) to.low += piece.kb();
  if (piece.charged != Sure::kNo) to.high += piece.kb();
}

// What a list says of a mapping.
Piece piece_of(const MappingEntry& m, bool image_start) {
  const bool flags_known = (m.flags & kMapFlagsKnown) != 0;
  const bool seen_touched = !(m.flags & kMapShared) && m.anonymous_kb + m.swap_kb > 0;
  Piece p;
  p.start = m.start, p.end = m.end;
  p.flags = m.flags & ~uint32_t{kMapAc | kMapNr | kMapFlagsKnown};
  p.charged = flags_known ? sure(m.flags & kMapAc) : Sure::kOpen;
  p.noreserve = flags_known ? sure(m.flags & kMapNr) : Sure::kOpen;
  p.touched = seen_touched ? Sure::kYes : Sure::kOpen;
  p.advice = image_start ? 0 : uint32_t{kAdviceUnknown};  // the loader gives none
  p.offset = image_start ? m.start : kUnknown;
  return p;
}

}  // namespace

bool in_order(std::span<const MappingEntry> list) {
  uint64_t end = 0;
  return std::all_of(list.begin(), list.end(), [&end](const MappingEntry& m) {
    const bool follows = m.start >= end && m.end > m.start;
    end = m.end;
    return follows;
  });
}

// Fills in what the calls told of the part of a listed mapping that begins at `known`.
void AddressSpace::remember(Piece& piece, const Piece& known) const {
  piece.made_by = known.made_by, piece.charged_by = known.charged_by, piece.object = known.object,
  piece.offset = known.offset;
  piece.advice = known.advice, piece.inherited = known.inherited;
  if (piece.touched != Sure::kYes) piece.touched = known.touched;
}

// One listed mapping: as many pieces as calls made it, all joined.
void AddressSpace::take_listed(const Piece& listed, Pieces& known) {
  for (uint64_t at = listed.start; at < listed.end;) {
    const auto next = known.lower_bound(at);
    const bool here = next != known.end() && next->first == at;
    Piece p = listed;
    p.start = at;
    p.end = std::min(here                  ? next->second.end
                     : next != known.end() ? next->first
                                           : listed.end,
                     listed.end);
    if (p.offset != kUnknown) p.offset += at - listed.start;
    if (here && ((next->second.flags ^ p.flags) & kAccess) == 0) remember(p, next->second);
    else if (!p.is_private_anonymous()) p.object = next_object_++, p.offset = kUnknown;
    p.joined = sure(p.end < listed.end);
    at = p.end;
    pieces_[p.start] = p;
  }
}

// The uppermost mapping called [heap] ends with the break, if it does not begin there.
void AddressSpace::take_break(std::span<const MappingEntry> list) {
  const auto heap = std::find_if(list.rbegin(), list.rend(), [](const MappingEntry& m) {
    return (m.flags & kMapHeap) != 0 && m.start < kKernelHalf;
  });
  if (heap == list.rend()) return;
  break_was(heap_begins_at_most(list, rules_).value_or(UINT64_MAX));
  const uint64_t known = break_ ? page_up(*break_) : UINT64_MAX;
  const bool behind = known == heap->start && !heap_name_is_exact(rules_);
  if (known != heap->end && !behind) break_ = heap->end;
}

void AddressSpace::rebase(std::span<const MappingEntry> list, bool image_start) {
  age();
  for (const MappingEntry& m : list) split(m.start), split(m.end);
  Pieces known;
  known.swap(pieces_);
  contradictions_ = unclear_failures_ = 0;
  for (const MappingEntry& m : list) {
    if (m.start >= kKernelHalf || m.end <= m.start) continue;
    Piece listed = piece_of(m, image_start);
    if (listed.touched == Sure::kYes) listed.family = next_family_++;
    take_listed(listed, known);
  }
  std::erase_if(shared_, [this](const auto& memory) {
    return std::none_of(pieces_.begin(), pieces_.end(),
                        [&](const auto& p) { return p.second.object == memory.first; });
  });
  take_break(list);
}

// That it does not fit what is there already means nothing.
void AddressSpace::reapply(const Event& event) {
  const uint64_t contradictions = contradictions_;
  apply(event);
  contradictions_ = contradictions;
}

void AddressSpace::take_over(uint64_t start, uint64_t end, std::span<const MappingEntry> list) {
  remove(start, end);
  for (const MappingEntry& m : list) {
    if (m.start >= end || m.end <= start || m.start >= kKernelHalf) continue;
    Piece piece = piece_of(m, false);
    piece.start = std::max(m.start, start), piece.end = std::min(m.end, end);
    if (!piece.is_private_anonymous()) piece.object = next_object_++;
    insert(piece);
  }
}

void AddressSpace::take_over(uint64_t start, uint64_t end, const AddressSpace& other) {
  remove(start, end);
  auto it = other.pieces_.upper_bound(start);
  if (it != other.pieces_.begin()) --it;
  for (; it != other.pieces_.end() && it->first < end; ++it) {
    Piece piece = it->second;
    const uint64_t cut = piece.start < start ? start - piece.start : 0;
    if (piece.offset != kUnknown) piece.offset += cut;
    piece.start += cut, piece.end = std::min(piece.end, end);
    piece.object = piece.is_private_anonymous() ? 0 : next_object_++;
    piece.family = 0, piece.joined = Sure::kNo;
    insert(piece);
  }
}

bool AddressSpace::set_stack_kb(uint64_t kb) {
  const auto grows = [](const auto& entry) { return entry.second.has(kMapGd); };
  if (std::count_if(pieces_.begin(), pieces_.end(), grows) != 1) return false;
  const auto it = std::find_if(pieces_.begin(), pieces_.end(), grows);
  Piece stack = it->second;
  if (kb == 0 || kb >= stack.end / 1024) return false;
  stack.start = stack.end - kb * 1024;
  pieces_.erase(it);
  remove(stack.start, stack.end);
  pieces_[stack.start] = stack;
  return true;
}

// mm/mmap.c dup_mmap()
AddressSpace AddressSpace::forked() const {
  AddressSpace child = *this;
  child.carried_.clear();
  child.age();
  for (auto it = child.pieces_.begin(); it != child.pieces_.end();) {
    Piece& p = it->second;
    if (p.has(kMapDc)) {
      if (it != child.pieces_.begin()) std::prev(it)->second.joined = Sure::kNo;
      it = child.pieces_.erase(it);
      continue;
    }
    p.flags &= ~uint32_t{kMapLo};
    p.inherited = p.touched;
    p.family = 0;
    if (p.has(kMapWf))
      p.touched = p.inherited = Sure::kNo, child.fresh_.emplace_back(p.start, p.end);
    ++it;
  }
  return child;
}

SpaceTotals AddressSpace::totals() const {
  SpaceTotals t;
  Bounds run;
  uint64_t run_start = 0, end = 0;
  Sure joined = Sure::kNo;
  for (const auto& [start, p] : pieces_) {
    t.size += p.kb();
    // mm/vma.c vm_stat_account(), mm/internal.h is_data_mapping(), is_stack_mapping()
    if (p.has(kMapGd) || (p.has(kMapWrite) && !p.has(kMapShared))) t.data += p.kb();
    add_charge(t.charged, p);
    if (!p.has(kMapDc)) add_charge(t.at_fork, p);
    if (p.noreserve == Sure::kYes) t.noreserve += p.kb();
    if (p.has(kMapShared) && p.made_by == kUnknown && !p.has(kMapOwn)) t.shared_unknown += p.kb();
    if (start != end) joined = Sure::kNo;
    if (joined != Sure::kYes) run.low = 0, run_start = start;
    if (joined == Sure::kNo) run.high = 0;
    add_charge(run, p);
    if (run.low > t.biggest.low) t.biggest.low = run.low, t.biggest_start = run_start;
    t.biggest.high = std::max(t.biggest.high, run.high);
    joined = p.joined, end = p.end;
  }
  for (const auto& [object, memory] : shared_) t.shared_promised += memory.kb;
  return t;
}

}  // namespace ovc
