// SPDX-License-Identifier: MIT
//
// What a refused call may have done all the same. Most change nothing.
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "tools/replay/address_space.h"

namespace ovc {

using namespace ovcshim;

// What a refused call may have done to a range: charged or not, one mapping or not, only a list can
// tell.
void AddressSpace::doubt(uint64_t start, uint64_t end) {
  ++unclear_failures_;
  split(start);
  split(end);
  for (auto it = pieces_.lower_bound(start); it != pieces_.end() && it->first < end; ++it) {
    if (!it->second.has(kMapShared) && it->second.noreserve != Sure::kYes)
      it->second.charged = Sure::kOpen;
    it->second.joined = Sure::kOpen;
    if (it != pieces_.begin() && std::prev(it)->second.joined == Sure::kYes)
      std::prev(it)->second.joined = Sure::kOpen;
  }
}

// mprotect goes mapping by mapping (mm/mprotect.c do_mprotect_pkey()) and stops where it is refused
// or at the first hole.
void AddressSpace::apply_refused_mprotect(const Event& event) {
  const uint64_t start = event.base.args[0], end = start + page_up(event.base.args[1]),
                 hole = mapped_until(start);
  if (event.base.err == EINVAL || hole == start || end <= start) return;
  // Where no charge and no limit can refuse it, ENOMEM means the hole.
  const auto largest = guess_limit_kb(rules_);
  const bool granted = rules_.mode == kModeAlways ||
                       (rules_.mode == kModeGuess && largest && (end - start) / 1024 <= *largest);
  if (event.base.err == ENOMEM && hole < end && granted && !data_limited_)
    return protect_range(start, hole, event.base.args[2]);
  const auto first = std::prev(pieces_.upper_bound(start));
  if (first->second.end < end) doubt(start, std::min(hole, end));
}

// So does madvise (mm/madvise.c madvise_walk_vmas()), but it passes over holes and says ENOMEM at
// its end.
void AddressSpace::apply_refused_madvise(const Event& event) {
  const uint64_t start = event.base.args[0], end = start + page_up(event.base.args[1]);
  if (event.base.err == ENOMEM) return advise_range(start, end, event.base.args[2]);
  if (event.base.err != EINVAL || event.base.args[2] != MADV_WIPEONFORK) return;
  auto it = pieces_.upper_bound(start);
  if (it != pieces_.begin()) --it;
  for (; it != pieces_.end(); ++it)  // refused for files and shared memory
    if (it->second.end > start && it->second.has(kMapShared | kMapFile))
      return advise_range(start, std::min(end, it->first), MADV_WIPEONFORK);
}

// Most refused calls change nothing. MAP_FIXED up to 6.11 has already unmapped what was there when
// its charge is refused; MREMAP_FIXED unmaps its target first (mm/mremap.c mremap_to()).
void AddressSpace::apply_failure(const Event& event) {
  const auto& args = event.base.args;
  const bool asked = !(event.base.flags & (kInjected | kRehearsed));
  if (!asked || args[1] == 0) return;
  if (event.base.op == Op::kMprotect) return apply_refused_mprotect(event);
  if (event.base.op == Op::kMadvise) return apply_refused_madvise(event);
  if (event.base.op == Op::kMremap && (args[3] & MREMAP_FIXED) && event.base.err != EINVAL)
    return doubt(args[4], args[4] + page_up(args[2]));
  if (event.base.op != Op::kMmap || !(args[3] & MAP_FIXED) || event.base.err != ENOMEM) return;
  const ChangeRow* row = change_row(Change::kReplaceFixed, {}, rules_);
  if (!row || row->effect == Effect::kCharge) doubt(args[0], args[0] + page_up(args[1]));
}

}  // namespace ovc
