// SPDX-License-Identifier: MIT
//
// What mremap does: memory grows, shrinks, and goes from one place to another. See address_space.h.
#include <algorithm>
#include <utility>

#include "tools/log/kernel_numbers.h"
#include "tools/replay/address_space.h"

namespace ovc {

using namespace ovcshim;

// Clones the end of a mapping: the growth has the properties of what grows.
void AddressSpace::extend(uint64_t at, uint64_t bytes, uint64_t position) {
  if (bytes == 0) return;
  const auto it = pieces_.lower_bound(at);
  if (it == pieces_.begin() || std::prev(it)->second.end != at) {
    ++contradictions_;
    remove(at, at + bytes);
    return fill_untold(at, bytes);
  }
  if (it != pieces_.end() && it->first < at + bytes) ++contradictions_;
  remove(at, at + bytes);
  Piece& last = std::prev(pieces_.lower_bound(at))->second;
  Piece grown = last;
  grown.start = at, grown.end = at + bytes;
  if (grown.offset != kUnknown) grown.offset += last.end - last.start;
  grown.made_by = position;
  grown.joined = Sure::kNo;
  last.joined = Sure::kYes;
  pieces_[at] = grown;
  settle(grown.end);
  fresh_.emplace_back(at, grown.end);
}

// What came from where nothing was known to be: it is there, and all else is open.
void AddressSpace::fill_untold(uint64_t start, uint64_t bytes) {
  const uint64_t end = start + bytes;
  for (uint64_t at = start; (at = mapped_until(at)) < end;) {
    const auto next = pieces_.lower_bound(at);
    Piece p;
    p.start = at, p.end = next == pieces_.end() ? end : std::min(end, next->first);
    p.flags = kMapRead | kMapWrite;
    p.charged = p.noreserve = p.touched = Sure::kOpen;
    p.advice = kAdviceUnknown, p.offset = kUnknown;
    pieces_[p.start] = p;
    settle(p.start);
    settle(p.end);
  }
}

AddressSpace::Carried AddressSpace::take(uint64_t start, uint64_t bytes, bool keep) {
  Carried carried;
  split(start);
  split(start + bytes);
  for (auto it = pieces_.lower_bound(start); it != pieces_.end() && it->first < start + bytes;
       ++it) {
    carried.pieces.push_back(it->second);
    if (keep && it->second.is_private_anonymous())
      it->second.touched = Sure::kOpen, it->second.family = 0;
  }
  carried.known = !carried.pieces.empty() && mapped_until(start) >= start + bytes;
  if (keep) return carried;
  // not remove(): shared memory lives on at its new place
  pieces_.erase(pieces_.lower_bound(start), pieces_.lower_bound(start + bytes));
  if (const auto it = pieces_.lower_bound(start);
      it != pieces_.begin() && std::prev(it)->second.end == start)
    std::prev(it)->second.joined = Sure::kNo;
  return carried;
}

void AddressSpace::put(Carried carried, uint64_t old_start, uint64_t new_start, uint64_t bytes) {
  if (!carried.known) ++contradictions_;
  for (Piece& p : carried.pieces) {
    // mm/vma.c copy_vma(): memory that was never touched forgets where it was made
    if (p.is_private_anonymous() && p.touched != Sure::kYes)
      p.offset = p.touched == Sure::kNo ? p.start - old_start + new_start : kUnknown;
    p.start = p.start - old_start + new_start, p.end = p.end - old_start + new_start;
    pieces_[p.start] = p;
  }
  if (!carried.known) fill_untold(new_start, bytes);
  if (carried.pieces.empty()) return;
  pieces_[carried.pieces.back().start].joined = Sure::kNo;
  settle(new_start, Changed::kRight);
  settle(new_start + bytes, Changed::kLeft);
}

bool AddressSpace::gives_back(const Event& event) {
  const auto& args = event.base.args;
  if (event.base.op != Op::kMremap || !event.returned() || event.failed() || args[1] == 0 ||
      (args[3] & kMremapDontunmap))
    return false;
  return static_cast<uint64_t>(event.base.result) != args[0] || args[2] < args[1];
}

void AddressSpace::leave(const Event& event) {
  if (!is_possible(event)) return;
  const auto& args = event.base.args;
  const uint64_t old_bytes = page_up(args[1]), new_bytes = page_up(args[2]);
  const bool moves = static_cast<uint64_t>(event.base.result) != args[0];
  if (new_bytes < old_bytes) remove(args[0] + new_bytes, args[0] + old_bytes);
  carried_[event.position] =
      moves ? take(args[0], std::min(old_bytes, new_bytes), false) : Carried{};
}

void AddressSpace::apply_mremap(const Event& event) {
  const auto& args = event.base.args;
  const uint64_t old_start = args[0], old_bytes = page_up(args[1]), new_bytes = page_up(args[2]);
  const uint64_t new_start = static_cast<uint64_t>(event.base.result);
  if (old_bytes == 0) {  // a second mapping of shared memory
    const auto it = pieces_.upper_bound(old_start);
    if (it == pieces_.begin()) return void(++contradictions_);
    Piece copy = std::prev(it)->second;
    if (copy.offset != kUnknown) copy.offset += old_start - copy.start;
    copy.start = new_start, copy.end = new_start + new_bytes, copy.made_by = event.position,
    copy.joined = Sure::kNo;
    remove(copy.start, copy.end);
    return insert(copy);
  }
  const uint64_t kept = std::min(old_bytes, new_bytes);
  auto carried = carried_.extract(event.position);
  if (!carried && new_bytes < old_bytes) remove(old_start + new_bytes, old_start + old_bytes);
  if (new_start != old_start) {
    Carried moved = carried ? std::move(carried.mapped()) : Carried{};
    if (!carried) moved = take(old_start, kept, (args[3] & kMremapDontunmap) != 0);
    remove(new_start, new_start + new_bytes);
    put(std::move(moved), old_start, new_start, kept);
  }
  extend(new_start + kept, new_bytes - kept, event.position);
}

}  // namespace ovc
