// SPDX-License-Identifier: MIT
//
// Verdicts: each refused call diagnosed once, those inside a refused malloc as its steps, equal
// ones counted together. Then what helps when nothing was refused.
#include "tools/verdict/why_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <unordered_set>

#include "shim/format/refusal_spec.h"
#include "tools/causes/finding_text.h"
#include "tools/log/call_text.h"
#include "tools/symbols/purposes.h"
#include "tools/text/output.h"
#include "tools/verdict/exit_sight.h"
#include "tools/verdict/harmless.h"
#include "tools/verdict/log_setting.h"
#include "tools/verdict/storms.h"

namespace ovc {
namespace {

constexpr size_t kCallersShown = 6, kHoldersShown = 3;

// A server forks in one place for several reasons: the caller alone does not tell them apart.
using GroupKey =
    std::tuple<ProcessKey, Op, uint16_t, uint64_t, std::string_view, std::string, bool>;

// Names if there are any outside libc; a stack without one is still told apart by module and
// offset.
std::vector<std::string> callers_of(Symbols& symbols, const Event& event) {
  return caller_names(symbols, event.base.image, event.frames, kCallersShown);
}

// Who holds what a fork would be charged for.
std::optional<Held> held_by(const LogReader& log, Symbols& symbols, const Evidence& evidence,
                            const Finding& finding) {
  if (!is_fork_op(evidence.event.base.op) || !evidence.snapshot || !finding.charge)
    return std::nullopt;
  return held_at(log, symbols, *evidence.snapshot, evidence.rules, kHoldersShown);
}

// Does the C library itself serve this malloc? Known from the address that the shim forwards to.
std::optional<bool> served_by_libc(const Evidence& evidence, const LogReader& log, Symbols& symbols,
                                   const WhyScan& scan) {
  const auto process = scan.processes().find(key_of(evidence.event));
  if (process == scan.processes().end()) return std::nullopt;
  const auto key = static_cast<uint32_t>(ovcshim::FactKey::kProviderBase) +
                   static_cast<uint32_t>(evidence.event.base.op);
  for (const Moment& baseline : process->second.baselines) {
    const auto record = log.event_at(baseline.position);
    const auto address = record ? record->fact(static_cast<ovcshim::FactKey>(key)) : std::nullopt;
    if (!address || record->base.image != evidence.event.base.image) continue;
    const std::string module = symbols.module_of(record->base.image, *address);
    if (!module.empty()) return module.starts_with("libc.") || module.starts_with("libc-");
  }
  return std::nullopt;
}

class Verdicts {
 public:
  Verdicts(const LogReader& log, const WhyScan& scan, Symbols& symbols)
      : log_(log), scan_(scan), symbols_(symbols), settings_(log, scan, symbols) {}

  // Calls that contain others go first: what they contain is told as their steps.
  std::vector<Verdict> all(std::span<const uint64_t> refused, bool grouped) {
    grouped_ = grouped;
    for (int level = 0; level < 3; ++level) judge_all(refused, level);
    if (grouped) join_storms(scan_, verdicts_);
    std::stable_sort(verdicts_.begin(), verdicts_.end(), [](const Verdict& a, const Verdict& b) {
      return a.event.base.begin_tick < b.event.base.begin_tick;
    });
    return std::move(verdicts_);
  }

 private:
  // Allocations contain other exported calls, and those contain libc's own.
  int level(const Event& event) const {
    if (event.base.flags & ovcshim::kInsideLibc) return 2;
    return is_malloc_op(event.base.op) && !scan_.around(event) ? 0 : 1;
  }

  void judge_all(std::span<const uint64_t> refused, int wanted) {
    for (const uint64_t position : refused) {
      if (steps_.contains(position)) continue;
      const auto event = log_.event_at(position);
      if (event && is_refusal(*event) && level(*event) == wanted) judge(*event);
    }
  }

  void judge(const Event& event) {
    Evidence evidence = scan_.evidence(event);
    for (const auto& inner : evidence.inner) steps_.insert(inner.event.position);
    evidence.libc_malloc = is_malloc_op(event.base.op)
                               ? served_by_libc(evidence, log_, symbols_, scan_)
                               : std::nullopt;
    evidence.setting = settings_.of(evidence);
    Finding finding = diagnose(evidence);
    const std::string_view coped_how = harmless(log_, scan_, symbols_, event);
    const bool coped = !coped_how.empty();
    const std::string_view asked_for = is_fork_op(event.base.op)
                                           ? purpose(asker_of(log_, symbols_, event)).value_or("")
                                           : std::string_view();
    const GroupKey key{key_of(event), event.base.op,      event.base.err, event.base.caller,
                       asked_for,     statement(finding), coped};
    if (!grouped_) groups_.clear();
    const uint64_t bytes = requested_bytes(event);
    const auto [place, fresh] = groups_.try_emplace(key, verdicts_.size());
    std::optional<Held> held = fresh ? held_by(log_, symbols_, evidence, finding) : std::nullopt;
    if (!fresh && !same_figures(verdicts_[place->second].finding, finding))
      verdicts_[place->second].figures_differ = true;
    if (fresh)
      verdicts_.push_back({event,
                           std::move(finding),
                           log_.comm_at(event.base),
                           callers_of(symbols_, event),
                           asked_for,
                           1,
                           0,
                           {},
                           coped,
                           coped_how,
                           bytes,
                           bytes,
                           false,
                           std::move(held)});
    else ++verdicts_[place->second].count;
    Verdict& group = verdicts_[place->second];
    group.last_tick = std::max(group.last_tick, event.base.begin_tick);
    group.least_bytes = std::min(group.least_bytes, bytes);
    group.most_bytes = std::max(group.most_bytes, bytes);
    if (group.positions.size() < kMostPositions) group.positions.push_back(event.position);
  }

  const LogReader& log_;
  const WhyScan& scan_;
  Symbols& symbols_;
  LogSettings settings_;
  bool grouped_ = true;
  std::vector<Verdict> verdicts_;
  std::map<GroupKey, size_t> groups_;
  std::unordered_set<uint64_t> steps_;
};

// Children in the process table, by parent: they are known even where the record of their fork has
// been overwritten.
std::map<ProcessKey, uint64_t> children_of(const LogReader& log) {
  std::map<ProcessKey, uint64_t> children;
  for (const auto& process : log.processes())
    if (process.slot.parent != ovcshim::kNoIndex)
      ++children[{process.slot.parent, process.slot.parent_serial, 0}];
  return children;
}

// Exact: what is overwritten in the lane has been counted. clone is left out, since fork is made of
// it.
uint64_t granted_forks(const Totals& totals) {
  uint64_t granted = 0;
  for (size_t i = 0; i < totals.calls.size(); ++i) {
    const Op op = static_cast<Op>(i);
    const bool thread = op == Op::kPthreadCreate || op == Op::kThrdCreate;
    if (is_fork_op(op) && !thread && op != Op::kClone && op != Op::kWordexp)
      granted += totals.calls[i] - totals.failed[i];
  }
  return granted;
}

ForkGroup recorded_forks(const LogReader& log, Symbols& symbols, const Event& last,
                         uint64_t count) {
  ForkGroup group{log.comm_at(last.base),
                  last.base.pid,
                  count,
                  last.base.begin_tick,
                  callers_of(symbols, last),
                  {}};
  group.purpose = purpose(asker_of(log, symbols, last)).value_or("");
  return group;
}

// Of processes whose slot went to another one, or that never had one, only sums are left: less what
// is still told by records.
uint64_t forks_of_others(const LogReader& log, const WhyScan& scan) {
  const uint64_t counted = granted_forks(log.retired_totals()) + granted_forks(log.shared_totals());
  uint64_t told = 0;
  for (const auto& [key, signs] : scan.processes())
    if (!log.process(key.index, key.serial)) told += signs.forks;
  return counted - std::min(counted, told);
}

// A script forks in thousands of subshells: told once.
std::vector<ForkGroup> collapsed(std::vector<ForkGroup> groups) {
  std::map<std::tuple<std::string, std::string_view, std::vector<std::string>>, size_t> places;
  std::vector<ForkGroup> kept;
  std::stable_sort(groups.begin(), groups.end(),
                   [](const auto& a, const auto& b) { return a.count > b.count; });
  for (ForkGroup& group : groups) {
    const auto [place, fresh] =
        places.try_emplace({group.comm, group.purpose, group.callers}, kept.size());
    if (fresh) {
      kept.push_back(std::move(group));
      continue;
    }
    ForkGroup& first = kept[place->second];
    first.count += group.count;
    first.last_tick = std::max(first.last_tick, group.last_tick);
    ++first.processes;
  }
  return kept;
}

using TotalsOf = std::map<ProcessId, Totals>;

std::vector<ForkGroup> fork_groups(const LogReader& log, const WhyScan& scan, Symbols& symbols,
                                   const TotalsOf& totals) {
  std::vector<ForkGroup> groups;
  std::set<ProcessKey> told;
  auto children = children_of(log);
  const auto count_of = [&](const ProcessKey& key) {
    const auto counted = totals.find({key.index, key.serial});
    return std::max(children[key], counted == totals.end() ? 0 : granted_forks(counted->second));
  };
  for (const auto& [key, signs] : scan.processes()) {
    const auto last = signs.last_fork ? log.event_at(*signs.last_fork) : std::nullopt;
    if (!last) continue;
    groups.push_back(recorded_forks(log, symbols, *last, std::max(signs.forks, count_of(key))));
    told.insert(key);
  }
  for (const auto& process : log.processes()) {
    const ProcessKey key{process.index, process.slot.serial, 0};
    if (const uint64_t count = told.contains(key) ? 0 : count_of(key))
      groups.push_back({process.comm(), process.slot.pid, count, 0, {}, {}});
  }
  return collapsed(std::move(groups));
}

// Worth telling only where it is most of what the process mapped.
std::vector<NoReserveUse> noreserve_uses(const LogReader& log, const WhyScan& scan) {
  std::vector<NoReserveUse> uses;
  for (const auto& [key, signs] : scan.processes()) {
    if (signs.noreserve_kb == 0 || signs.noreserve_kb < signs.accounted_kb) continue;
    const auto process = log.process(key.index, key.serial);
    if (!process) continue;
    uses.push_back({process->comm(), process->slot.pid, signs.noreserve_kb, signs.noreserve_calls,
                    signs.accounted_kb, signs.noreserve_mode});
  }
  return uses;
}

uint64_t counted_failures(const LogReader& log, const TotalsOf& totals) {
  uint64_t failed = 0;
  const auto add = [&](const Totals& sum) {
    for (size_t op = 0; op < sum.failed.size(); ++op)
      if (is_malloc_op(static_cast<Op>(op)) || is_memory_op(static_cast<Op>(op)) ||
          is_fork_op(static_cast<Op>(op)))
        failed += sum.failed[op];
  };
  for (const auto& process : log.processes())
    if (const auto own = totals.find({process.index, process.slot.serial}); own != totals.end())
      add(own->second);
  add(log.retired_totals());
  add(log.shared_totals());
  return failed;
}

// The exact counters outlive the lane: they tell whether a refusal is no longer in it, and the
// log's own counts of losses why.
std::string where_lost(const LogReader& log, const WhyScan& scan) {
  const Losses lost = log.losses();
  std::vector<std::string> causes;
  if (lost.event_slots_overwritten || lost.vital_slots_overwritten)
    causes.emplace_back("older ones were overwritten");
  if (scan.unfinished() != 0)
    causes.emplace_back(
        fmt::format("of {} call{} the record says that it began, but not how it ended",
                    grouped(scan.unfinished()), scan.unfinished() == 1 ? "" : "s"));
  if (lost.event_slots_torn)
    causes.emplace_back(
        fmt::format("{} records were left half written", grouped(lost.event_slots_torn)));
  if (lost.events_lost_busy || lost.events_lost_lapped)
    causes.emplace_back(fmt::format("{} found no room in the ring",
                                    grouped(lost.events_lost_busy + lost.events_lost_lapped)));
  if (lost.processes_unslotted || lost.threads_unslotted)
    causes.emplace_back("some were made by processes or threads without counters of their own");
  return causes.empty() ? "the others left a count, but no record"
                        : fmt::format("{}", fmt::join(causes, "; "));
}

void note_losses(const LogReader& log, const WhyScan& scan, const TotalsOf& totals,
                 WhyReport& report) {
  const uint64_t counted = counted_failures(log, totals);
  uint64_t listed = 0;
  for (const auto& [key, signs] : scan.processes()) listed += signs.failures;
  if (counted > listed)
    report.notes.push_back(
        fmt::format("{} failed calls were counted, but only {} of them are still in the log: {}",
                    counted, listed, where_lost(log, scan)));
  else if (log.events_overwritten())
    report.notes.emplace_back(
        "older events were overwritten, but the exact counters know of no other call that failed");
}

// What is said of a rule that was asked for: nobody is to take a refusal by it for the kernel's
// word, nor its absence, nor one that never was in force for either.
void note_rule(std::string_view variable, std::string_view value, bool in_force,
               WhyReport& report) {
  if (value.empty()) return;
  const std::string rule = fmt::format("{}={}", variable, escaped(value));
  report.notes.push_back(in_force ? "recorded under " + rule
                                  : rule + " was not understood: nothing was refused by it");
}

void note_asked_for(const LogReader& log, const WhyScan& scan, WhyReport& report) {
  const ovcshim::FileHeader& h = log.header();
  ovcshim::InjectSpec inject;
  const bool rehearses = scan.rehearse_in_force().value_or(rehearsed_mode(h).has_value());
  const bool injects =
      scan.inject_in_force().value_or(!ovcshim::parse_inject(h.inject, inject).what);
  note_rule("OVCSHIM_REHEARSE", h.rehearse, rehearses, report);
  note_rule("OVCSHIM_INJECT", h.inject, injects, report);
}

// The busiest first.
std::vector<std::string> names_seen(const LogReader& log, const WhyScan& scan) {
  std::map<std::string, uint64_t> events;
  for (const auto& [key, signs] : scan.processes())
    if (const auto process = log.process(key.index, key.serial))
      events[process->comm()] += signs.events;
  std::vector<std::pair<uint64_t, std::string>> order;
  for (const auto& [name, count] : events) order.emplace_back(count, name);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::string> names;
  for (auto& [count, name] : order) names.push_back(std::move(name));
  return names;
}

}  // namespace

bool same_boot(const LogReader& log, const HostNow& now) {
  return !now.boot_id.empty() && now.boot_id == log.header().boot_id;
}

bool other_boot(const LogReader& log, const HostNow& now) {
  return !now.boot_id.empty() && log.header().boot_id[0] && now.boot_id != log.header().boot_id;
}

std::vector<Verdict> find_verdicts(const LogReader& log, const WhyScan& scan, Symbols& symbols) {
  return Verdicts(log, scan, symbols).all(scan.refused(), true);
}

std::vector<Verdict> judge_each(const LogReader& log, const WhyScan& scan, Symbols& symbols,
                                std::span<const uint64_t> positions) {
  return Verdicts(log, scan, symbols).all(positions, false);
}

bool WhyReport::found() const {
  const auto is_found = [](const ChildStory& story) { return story.found; };
  return !endings.empty() || std::any_of(children.begin(), children.end(), is_found) ||
         std::any_of(verdicts.begin(), verdicts.end(), [](const Verdict& v) { return !v.coped; });
}

WhyReport why_report(const LogReader& log, const HostNow& now, const SeenElsewhere& seen) {
  const WhyScan scan(log);
  Symbols symbols(log);
  const TotalsOf totals = log.totals();
  WhyReport report;
  report.verdicts = find_verdicts(log, scan, symbols);
  EndsFound ends = find_endings(log, scan, symbols, now);
  report.endings = std::move(ends.suspicious);
  report.quiet_endings = std::move(ends.quiet);
  report.asked_endings = std::move(ends.asked);
  if (may_have_stories(log, scan.ends(), now))
    report.children = child_stories(log, ForkList(log, false), now);
  report.unseen = unseen_programs(log, seen);
  for (std::string& program : unseen_code(log, symbols))
    report.unseen_code.push_back(std::move(program));
  report.seen = names_seen(log, scan);
  report.other_failures = scan.other_failures();
  report.forks = fork_groups(log, scan, symbols, totals);
  report.other_forks = forks_of_others(log, scan);
  report.noreserve = noreserve_uses(log, scan);
  if (same_boot(log, now)) report.mode_now = now.mode;
  for (const auto& [key, signs] : scan.processes()) report.events += signs.events;
  report.processes = log.processes().size();
  note_asked_for(log, scan, report);
  note_shadow_exits(log, scan, symbols, report.notes);
  note_losses(log, scan, totals, report);
  return report;
}

}  // namespace ovc
