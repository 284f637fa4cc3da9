// SPDX-License-Identifier: MIT
//
// See report_spaces.h.
#include "tools/report/report_spaces.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/log/names.h"
#include "tools/replay/mapping_origins.h"

namespace ovc {

using namespace ovcshim;

namespace {

constexpr size_t kMostReplayed = 16, kMostSpaces = 4, kMostMappingRows = 400;

// The verdict that a reader wants to see first: a refused fork, else a refused memory call.
const Verdict* main_verdict(const WhyReport& report) {
  const Verdict* memory = nullptr;
  for (const Verdict& v : report.verdicts) {
    if (v.coped) continue;
    if (copies_memory(v.event)) return &v;
    if (!memory && (is_memory_op(v.event.base.op) || is_malloc_op(v.event.base.op))) memory = &v;
  }
  return memory;
}

class SpaceSearch {
 public:
  SpaceSearch(const LogReader& log, Symbols& symbols, const WhyReport& report,
              const std::map<ProcessId, uint64_t>& end_ticks, uint64_t last_tick,
              ChargeStacks& stacks)
      : log_(log),
        symbols_(symbols),
        origins_(log, symbols),
        ledger_(log),
        end_ticks_(end_ticks),
        stacks_(stacks) {
    verdict_ = main_verdict(report);
    result_.at_end = !verdict_;
    result_.tick = verdict_ ? moment_of(*verdict_) : last_tick;
  }

  Spaces run() {
    struct Candidate {
      const LedgerProcess* process;
      LedgerState state;
    };
    std::vector<Candidate> candidates;
    for (const LedgerProcess* process : to_replay()) {
      LedgerState state = ledger_.at(*process, result_.tick);
      if (state.space.empty()) continue;
      candidates.push_back({process, std::move(state)});
    }
    // What mapped the memory that is there may have no record any more to be named by.
    if (!log_.events_overwritten() || !stacks_.keep_totals())
      for (const Candidate& c : candidates) stacks_.add_kept(*c.process, c.state.space);
    std::stable_sort(
        candidates.begin(), candidates.end(), [this](const Candidate& a, const Candidate& b) {
          if (is_refused(*a.process) != is_refused(*b.process)) return is_refused(*a.process);
          return a.state.space.totals().charged.high > b.state.space.totals().charged.high;
        });
    for (Candidate& candidate : candidates)
      if (result_.list.size() < kMostSpaces)
        result_.list.push_back(space_of(*candidate.process, candidate.state));
      else ++result_.left_out;
    return std::move(result_);
  }

 private:
  bool is_refused(const LedgerProcess& process) const {
    return verdict_ && process.index == verdict_->event.base.process &&
           process.serial == verdict_->event.base.process_serial;
  }

  // The kernel's list of mappings was read after the refusal; with it everything is proven.
  uint64_t moment_of(const Verdict& verdict) const {
    const EventBase& b = verdict.event.base;
    uint64_t tick = std::max(b.begin_tick, b.end_tick);
    log_.for_each_event(
        [&](const Event& event) {
          if (event.base.args[0] == verdict.event.position)
            tick = std::max(tick, event.base.end_tick);
          return true;
        },
        {}, [](Op op) { return op == Op::kMappings; });
    return tick;
  }

  bool has_ended(const LedgerProcess& process) const {
    if (process.end_tick != 0 && process.end_tick < result_.tick) return true;
    const auto known = end_ticks_.find({process.index, process.serial});
    return known != end_ticks_.end() && known->second < result_.tick;
  }

  // Those alive at the moment; if all had ended, the first one in its last state.
  std::vector<const LedgerProcess*> to_replay() {
    std::vector<const LedgerProcess*> list;
    const LedgerProcess* first = nullptr;
    for (const LedgerProcess& process : ledger_.processes()) {
      if (process.first_tick > result_.tick) continue;
      if (!first) first = &process;
      if (!has_ended(process) || is_refused(process)) list.push_back(&process);
    }
    if (list.empty() && first) list.push_back(first);
    std::stable_sort(list.begin(), list.end(), [this](const auto* a, const auto* b) {
      return is_refused(*a) > is_refused(*b);
    });
    if (list.size() > kMostReplayed) {
      result_.left_out += list.size() - kMostReplayed;
      list.resize(kMostReplayed);
    }
    return list;
  }

  Space space_of(const LedgerProcess& process, const LedgerState& state) {
    Space space;
    const SpaceTotals totals = state.space.totals();
    space.pid = process.pid;
    space.name = process.comm;
    space.tick = result_.tick;
    const auto slot = log_.process(process.index, process.serial);
    const bool all_seen =
        slot && ovcshim::internals_of(slot->slot.internals).state == ovcshim::InternalsState::kOn;
    space.exact = state.exact() && all_seen;  // else malloc's own mappings are not in it
    space.charged = totals.charged;
    space.at_fork = totals.at_fork;
    if (is_refused(process) && copies_memory(verdict_->event)) space.refused = verdict_;
    for (const Mapping& mapping : state.space.mappings())
      space.rows.push_back(row_of(mapping, state));
    space.notes = notes_of(state);
    bound(space);
    return space;
  }

  SpaceRow row_of(const Mapping& mapping, const LedgerState& state) {
    SpaceRow row;
    row.start = mapping.start(), row.end = mapping.end();
    row.kb = (row.end - row.start) / 1024;
    row.charge = charge_of(mapping);
    for (const Piece& piece : mapping.pieces)
      if (piece.charged == Sure::kYes && !piece.has(kMapDc)) row.at_fork_kb += piece.kb();
    row.what = origins_.what(mapping, state.image);
    if (row.what.empty()) row.what = "anonymous";
    row.flags = flags_text(mapping.pieces.front());
    const Piece& piece = origins_.main_piece(mapping);
    const auto event = piece.made_by == kUnknown ? std::nullopt : log_.event_at(piece.made_by);
    if (!event) {
      row.made_by = state.base == LedgerBase::kFork
                        ? "before the fork"
                        : "before the recording began, or by no recorded call";
      row.owner = row.what == "anonymous" ? "not known" : row.what;
      return row;
    }
    row.made_by = fmt::format("{} {} {}", clock_text(log_.posix_ns(event->base.begin_tick), 3),
                              op_name(event->base.op), escaped(origins_.caller_of(*event)));
    row.owner = owner_of(*event);
    return row;
  }

  std::string owner_of(const Event& event) {
    const auto frames = symbols_.stack(event.base.image, event.frames, Detail::kNames);
    for (const Frame& frame : frames) {
      if (is_plumbing(frame.module)) continue;
      if (frame.module.empty()) return "code in no known library";
      return escaped(frame.function.empty() ? frame.module
                                            : fmt::format("{} ({})", frame.function, frame.module));
    }
    return frames.empty() ? "not known" : escaped(frames.front().module);
  }

  std::vector<std::string> notes_of(const LedgerState& state) const {
    std::vector<std::string> list;
    if (state.base == LedgerBase::kNone)
      list.emplace_back(
          "no complete list of mappings was recorded before this moment: only what recorded calls "
          "mapped is shown");
    if (state.calls_missing)
      list.emplace_back("memory calls were overwritten by newer ones: the list is incomplete");
    if (state.modules_tick)
      list.emplace_back("libraries were loaded that no list of mappings shows");
    if (state.size && !state.size->agrees())
      list.push_back(fmt::format("the kernel's VmSize was {}, what is shown adds up to {}",
                                 kb_text(state.size->kernel_kb), kb_text(state.size->ledger_kb)));
    if (state.space.contradictions() != 0)
      list.push_back(fmt::format(
          "{} calls do not fit what is shown: unrecorded calls mapped or unmapped memory",
          grouped(state.space.contradictions())));
    return list;
  }

  // The smallest stand together, uncharged ones first.
  static void bound(Space& space) {
    if (space.rows.size() <= kMostMappingRows) return;
    std::stable_sort(
        space.rows.begin(), space.rows.end(), [](const SpaceRow& a, const SpaceRow& b) {
          return a.charge.high != b.charge.high ? a.charge.high > b.charge.high : a.kb > b.kb;
        });
    SpaceRow rest;
    rest.what = rest.owner = "smaller mappings";
    for (size_t i = kMostMappingRows; i < space.rows.size(); ++i) {
      const SpaceRow& row = space.rows[i];
      rest.charge.low += row.charge.low, rest.charge.high += row.charge.high;
      rest.kb += row.kb, rest.at_fork_kb += row.at_fork_kb;
      ++rest.merged;
    }
    space.rows.resize(kMostMappingRows);
    std::stable_sort(space.rows.begin(), space.rows.end(),
                     [](const auto& a, const auto& b) { return a.start < b.start; });
    space.rows.push_back(std::move(rest));
  }

  const LogReader& log_;
  Symbols& symbols_;
  MappingOrigins origins_;
  Ledger ledger_;
  const std::map<ProcessId, uint64_t>& end_ticks_;
  ChargeStacks& stacks_;
  const Verdict* verdict_ = nullptr;
  Spaces result_;
};

}  // namespace

Spaces find_spaces(const LogReader& log, Symbols& symbols, const WhyReport& report,
                   const std::map<ProcessId, uint64_t>& end_ticks, uint64_t last_tick,
                   ChargeStacks& stacks) {
  return SpaceSearch(log, symbols, report, end_ticks, last_tick, stacks).run();
}

}  // namespace ovc
