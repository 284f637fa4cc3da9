// SPDX-License-Identifier: MIT
#include "tools/verdict/granted_fork.h"

#include <deque>
#include <vector>

#include "tools/replay/ledger.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr size_t kMostTried = 16;  // each is a replay

std::deque<Event> last_granted(const LogReader& log, std::optional<uint32_t> pid) {
  std::deque<Event> forks;
  const auto note = [&](const Event& event) {
    if (!copies_memory(event) || child_pid(event) == 0 || (pid && event.base.pid != *pid))
      return true;
    forks.push_back(event);
    if (forks.size() > kMostTried) forks.pop_front();
    return true;
  };
  log.for_each_event(note, {}, is_fork_op);
  return forks;
}

// The kernel's mappings, as smaps would list them. nullopt if it is not certain that they are
// these.
std::optional<std::vector<MappingEntry>> certain_mappings(const LedgerState& state, uint64_t tick) {
  const bool checked = state.size && state.size->tick == tick && state.size->agrees();
  if (!checked || !state.exact() || !state.space.totals().at_fork.exact()) return std::nullopt;
  std::vector<MappingEntry> list;
  for (const Mapping& mapping : state.space.mappings()) {
    const Piece& piece = mapping.pieces.front();
    const uint32_t charge =
        (piece.charged == Sure::kYes ? kMapAc : 0u) | (piece.noreserve == Sure::kYes ? kMapNr : 0u);
    list.push_back(
        {mapping.start(), mapping.end(), piece.flags | charge | kMapFlagsKnown, 0, 0, 0});
  }
  return list;
}

}  // namespace

std::optional<Evidence> newest_granted_fork(const LogReader& log, const WhyScan& scan,
                                            std::optional<uint32_t> pid) {
  const Ledger ledger(log);
  const std::deque<Event> forks = last_granted(log, pid);
  for (auto fork = forks.rbegin(); fork != forks.rend(); ++fork) {
    for (const LedgerProcess& process : ledger.processes()) {
      if (process.index != fork->base.process || process.serial != fork->base.process_serial)
        continue;
      Evidence evidence = scan.evidence(*fork);
      ledger.at_each(process, {fork->base.begin_tick}, [&](size_t, const LedgerState& state) {
        if (auto list = certain_mappings(state, fork->base.begin_tick)) {
          evidence.mappings = std::move(*list);
          evidence.mappings_complete = true;
        }
      });
      if (fork->base.before.limit_kb != kUnknown)
        evidence.rules.limit_kb = fork->base.before.limit_kb;
      if (evidence.mappings_complete) return evidence;
    }
  }
  return std::nullopt;
}

}  // namespace ovc
