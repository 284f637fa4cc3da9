// SPDX-License-Identifier: MIT
//
// See probe_kills.h.
#include "tools/verdict/probe_kills.h"

#include <map>

#include "tools/log/call_families.h"
#include "tools/log/names.h"

namespace ovc {
namespace {

constexpr int64_t kLongestNs = 1'000'000'000;

// Nothing but what libc does by itself.
bool is_idle(const Event& event) {
  const Op op = event.base.op;
  return in_family(op, Family::kRecord) || (is_memory_op(op) && !event.failed()) ||
         (is_malloc_op(op) && !event.failed());
}

// What the parent may do between the fork and the wait that tells of the end.
bool may_lie_between(const Event& event, uint32_t child) {
  const auto& b = event.base;
  if (is_idle(event)) return true;
  if (is_wait(b.op)) return b.result == 0 || b.result == child;
  if (b.op == Op::kKill || b.op == Op::kTgkill)
    return !event.failed() && static_cast<uint32_t>(b.args[0]) == child;
  return b.op == Op::kClone && (b.flags & ovcshim::kInsideLibc) && child_pid(event) == child;
}

class ProbeSearch {
 public:
  ProbeSearch(const LogReader& log, std::vector<OwnKill>& kills) : log_(log) {
    for (OwnKill& kill : kills) {
      const size_t place = watched_.size();
      watched_.push_back({&kill});
      by_pid_[kill.parent].push_back(place);
      by_pid_[kill.child].push_back(place);
    }
  }

  void note(const Event& event) {
    const auto found = by_pid_.find(event.base.pid);
    if (found == by_pid_.end()) return;
    for (const size_t place : found->second) look(event, watched_[place]);
  }

 private:
  struct Watched {
    OwnKill* kill;
    uint64_t born = 0;  // when the fork was asked for; 0: not yet
  };

  void look(const Event& event, Watched& watched) {
    const auto& b = event.base;
    OwnKill& kill = *watched.kill;
    if (b.begin_tick >= kill.told_tick) return;
    if (b.pid == kill.parent && makes(event, kill.child)) {
      watched.born = b.begin_tick;
      kill.is_probe = log_.posix_ns(kill.told_tick) - log_.posix_ns(b.begin_tick) < kLongestNs;
    } else if (watched.born != 0 &&
               !(b.pid == kill.child ? is_idle(event) : may_lie_between(event, kill.child))) {
      kill.is_probe = false;
    }
  }

  static bool makes(const Event& event, uint32_t child) {
    return is_fork_op(event.base.op) && !(event.base.flags & ovcshim::kInsideLibc) &&
           child_pid(event) == child;
  }

  const LogReader& log_;
  std::vector<Watched> watched_;
  std::map<uint32_t, std::vector<size_t>> by_pid_;
};

}  // namespace

void find_probes(const LogReader& log, std::vector<OwnKill>& kills) {
  if (kills.empty()) return;
  ProbeSearch search(log, kills);
  log.for_each_event([&](const Event& event) { return search.note(event), true; });
}

}  // namespace ovc
