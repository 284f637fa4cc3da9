// SPDX-License-Identifier: MIT
#include "tools/replay/list_among_calls.h"

#include <algorithm>
#include <utility>

#include "tools/log/kernel_numbers.h"

namespace ovc {
namespace {

using namespace ovcshim;
using Range = std::pair<uint64_t, uint64_t>;  // [first, second)

bool meet(const Range& a, const Range& b) { return a.first < b.second && b.first < a.second; }

struct Move {
  Range from, to;
};

// Of a granted mremap; nullopt for a call that carries nothing from one place to another.
std::optional<Move> move_of(const Event& call) {
  constexpr uint64_t kPage = 4096;
  const auto& args = call.base.args;
  const auto page_up = [](uint64_t bytes) { return (bytes + kPage - 1) & ~(kPage - 1); };
  const uint64_t old_bytes = page_up(args[1]), new_bytes = page_up(args[2]);
  const auto result = static_cast<uint64_t>(call.base.result);
  if (call.base.op != Op::kMremap || call.failed()) return std::nullopt;
  if (result == args[0] && new_bytes <= old_bytes) return std::nullopt;
  Move move{{args[0], args[0] + std::max(old_bytes, kPage)}, {result, result + new_bytes}};
  if (result == args[0]) move.to.first += old_bytes;
  return move;
}

class Reconciled {
 public:
  Reconciled(AddressSpace& space, const PartedList& list) : space_(space), list_(list) {
    // What lies between two parts was looked for with the second.
    for (const ListPart& part : list.parts)
      readings_.push_back(
          {part.first == 0 ? 0 : list.entries[part.first - 1].end, part.from, part.to});
  }

  void run(bool image_start, const CallsMeanwhile& calls) {
    const AddressSpace without_list = space_;
    space_.rebase(list_.entries, image_start);
    for (const auto& call : calls.before) {
      space_.set_mode(call.mode);
      if (call.leaves) leave(call.event);
      else replay(call.event);
    }
    for (const Range& range : untold_) space_.take_over(range.first, range.second, without_list);
  }

 private:
  struct Reading {  // of the addresses from `start` to the next one's
    uint64_t start, from, to;
  };

  // What it carries is known by the list, or else as it was known before.
  void leave(const Event& call) {
    const auto move = move_of(call);
    if (!move || shows_source(*move, call)) space_.leave(call);
    else space_.forget(move->from.first, move->from.second);
  }
  void replay(const Event& call) {
    const auto move = move_of(call);
    if (!move || space_.is_carried(call)) return space_.reapply(call);
    const bool left = AddressSpace::gives_back(call);  // by leave(), and nothing is carried
    if (!left && shows_source(*move, call)) return space_.reapply(call);
    if (shows_target(*move, call)) space_.take_over(move->to.first, move->to.second, list_.entries);
    else untold_.push_back(move->to);
  }

  template <typename Holds>
  bool all_readings(const Range& range, Holds holds) const {
    for (size_t i = 0; i < readings_.size(); ++i) {
      const uint64_t next = i + 1 < readings_.size() ? readings_[i + 1].start : UINT64_MAX;
      if (meet({readings_[i].start, next}, range) && !holds(readings_[i])) return false;
    }
    return true;
  }
  bool shows_source(const Move& move, const Event& call) const {
    const auto is_in = [&](const Range& range) { return meet(range, move.from); };
    return std::none_of(untold_.begin(), untold_.end(), is_in) &&
           all_readings(move.from, [&](const Reading& r) { return r.to <= call.base.begin_tick; });
  }
  bool shows_target(const Move& move, const Event& call) const {
    return all_readings(move.to, [&](const Reading& r) { return r.from >= call.base.end_tick; });
  }

  AddressSpace& space_;
  const PartedList& list_;
  std::vector<Reading> readings_;  // ascending
  std::vector<Range> untold_;      // of these the list tells nothing
};

}  // namespace

void take_over(AddressSpace& space, const PartedList& list, bool image_start,
               const CallsMeanwhile& calls) {
  if (calls.before.empty() && !calls.later) space.rebase(list.entries, image_start);
  else Reconciled(space, list).run(image_start, calls);
}

}  // namespace ovc
