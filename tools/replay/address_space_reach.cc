// SPDX-License-Identifier: MIT
//
// Where a call may change an address space, and the totals of that part. See address_space.h.
#include <algorithm>

#include "tools/log/call_families.h"
#include "tools/log/kernel_numbers.h"
#include "tools/replay/address_space.h"

namespace ovc {
namespace {

void add_piece(SpaceTotals& totals, const Piece& piece) {
  totals.size += piece.kb();
  if (piece.charged == Sure::kYes) totals.charged.low += piece.kb();
  if (piece.charged != Sure::kNo) totals.charged.high += piece.kb();
}

}  // namespace

AddressSpace::Ranges AddressSpace::reach(const Event& event) const {
  const auto& args = event.base.args;
  const auto range = [&](uint64_t start, uint64_t bytes) {
    return std::pair(start, bytes > UINT64_MAX - start ? UINT64_MAX : start + bytes);
  };
  const auto result = static_cast<uint64_t>(event.base.result);
  const Ranges all = {{0, UINT64_MAX}};
  switch (event.base.op) {
    case Op::kMmap: return {range(result, mapping_bytes(event))};
    case Op::kMunmap:
    case Op::kMadvise: return {range(args[0], page_up(args[1]))};
    case Op::kMprotect:
      return args[2] & kProtGrowsdown ? all : Ranges{range(args[0], page_up(args[1]))};
    case Op::kMremap: {
      const auto before = range(args[0], page_up(args[1])), after = range(result, page_up(args[2]));
      const bool apart = before.second <= after.first || after.second <= before.first;
      if (apart) return {before, after};
      return {{std::min(before.first, after.first), std::max(before.second, after.second)}};
    }
    case Op::kBrk:
    case Op::kSbrk: {
      const uint64_t now = page_up(break_after(event.base));
      if (event.base.op == Op::kBrk && !break_) return {};  // not known: nothing is changed
      const uint64_t was = page_up(event.base.op == Op::kSbrk ? result : *break_);
      return {{std::min(was, now), std::max(was, now)}};
    }
    default: return all;
  }
}

SpaceTotals AddressSpace::totals_in(const Ranges& ranges) const {
  SpaceTotals totals;
  for (const auto& [start, end] : ranges) {
    auto at = pieces_.upper_bound(start);
    if (at != pieces_.begin()) --at;
    for (; at != pieces_.end() && at->first < end; ++at) {
      Piece part = at->second;
      part.start = std::max(part.start, start), part.end = std::min(part.end, end);
      if (part.start < part.end) add_piece(totals, part);
    }
  }
  for (const auto& [object, memory] : shared_) totals.shared_promised += memory.kb;
  return totals;
}

}  // namespace ovc
