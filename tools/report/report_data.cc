// SPDX-License-Identifier: MIT
//
// See report_data.h.
#include "tools/report/report_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <queue>

#include "tools/log/names.h"
#include "tools/text/output.h"

namespace ovc {

using namespace ovcshim;

namespace {

constexpr size_t kMostForks = 1000, kMostMappings = 400, kMostRefusals = 1000, kFunctionsShown = 4;

std::string asked_by(const Fork& fork) {
  std::string chain;
  for (size_t i = 0; i < std::min(fork.functions.size(), kFunctionsShown); ++i)
    chain += (i ? " <- " : "") + fork.functions[i];
  if (chain.empty()) chain = fork.object.empty() ? hex_text(fork.event.base.caller) : fork.object;
  return escaped(chain);
}

ForkRow row_of(const LogReader& log, const Fork& fork) {
  const EventBase& b = fork.event.base;
  ForkRow row;
  row.position = fork.event.position;
  row.tick = b.begin_tick;
  row.returned = fork.event.returned();
  row.failed = fork.event.failed();
  row.err = b.err;
  if (row.returned) row.took_ns = log.ticks_to_ns(static_cast<int64_t>(b.end_tick - b.begin_tick));
  if (fork.end) row.lived_ns = log.ticks_to_ns(static_cast<int64_t>(fork.end->tick - b.begin_tick));
  row.pid = b.pid;
  row.child = fork.child;
  row.comm = escaped(fork.comm);
  row.asked_by = asked_by(fork);
  row.purpose = escaped(fork.purpose);
  row.end = fate_text(fork);
  row.call = op_name(b.op);
  row.charge_kb = fork.charge_kb;
  if (b.before.committed_kb != kUnknown && b.before.committed_kb != 0)
    row.before_kb = b.before.committed_kb;
  const bool read = row.returned && !row.failed && b.args[5] != 0 && b.args[5] != kUnknown;
  if (read) row.after_kb = b.args[5];
  // A fork gives nothing back: a fall is what others did meanwhile.
  if (!row.charge_kb && fork.committed_change_kb && *fork.committed_change_kb > 0)
    row.observed_kb = static_cast<uint64_t>(*fork.committed_change_kb);
  return row;
}

// Refused ones first, then those with the largest charge, then the newest.
void take_forks(const LogReader& log, const ForkList& list, ReportData& data) {
  std::vector<const Fork*> order;
  for (const Fork& fork : list.forks()) order.push_back(&fork);
  const auto weight = [](const Fork& f) {
    return f.charge_kb.value_or(
        f.committed_change_kb ? static_cast<uint64_t>(std::max<int64_t>(*f.committed_change_kb, 0))
                              : 0);
  };
  std::stable_sort(order.begin(), order.end(), [&](const Fork* a, const Fork* b) {
    if (a->event.failed() != b->event.failed()) return a->event.failed();
    if (weight(*a) != weight(*b)) return weight(*a) > weight(*b);
    return a->event.base.begin_tick > b->event.base.begin_tick;
  });
  if (order.size() > kMostForks) {
    data.forks_left_out = order.size() - kMostForks;
    order.resize(kMostForks);
  }
  for (const Fork* fork : order) data.forks.push_back(row_of(log, *fork));
  std::stable_sort(data.forks.begin(), data.forks.end(),
                   [](const auto& a, const auto& b) { return a.tick < b.tick; });
  for (const Process& p : list.unseen_births())
    data.unseen_births.push_back(fmt::format("how {} started {} {} ({}): no recorded call did",
                                             p.slot.parent_pid, p.slot.pid, escaped(p.comm()),
                                             escaped(p.exe())));
}

// The largest mappings, kept while the log is walked.
class BigMappings {
 public:
  explicit BigMappings(const HostRules& rules) : rules_(rules) {}

  void note(const Event& event) {
    const EventBase& b = event.base;
    const bool maps = b.op == Op::kMmap || b.op == Op::kMremap || b.op == Op::kShmget;
    if (!maps || event.failed() || !event.returned()) return;
    const uint64_t kb = b.args[b.op == Op::kMremap ? 2 : 1] / 1024;
    if (kb < kBigMappingKb) return;
    largest_.push(
        {event.position, b.begin_tick, kb, charge_kb(event, rules_), b.pid, "", "", op_name(b.op)});
    ++seen_;
    if (largest_.size() > kMostMappings) largest_.pop();
  }

  void finish(const LogReader& log, Symbols& symbols, ReportData& data) {
    data.mappings_left_out = seen_ - largest_.size();
    for (; !largest_.empty(); largest_.pop()) data.mappings.push_back(largest_.top());
    std::stable_sort(data.mappings.begin(), data.mappings.end(),
                     [](const auto& a, const auto& b) { return a.tick < b.tick; });
    for (MappingMark& mark : data.mappings) {
      const auto event = log.event_at(mark.position);
      if (!event) continue;
      const auto process = log.process(event->base.process, event->base.process_serial);
      mark.comm = process ? escaped(process->comm()) : "a process";
      for (const Frame& frame : symbols.stack(event->base.image, event->frames, Detail::kNames)) {
        if (is_plumbing(frame.module)) continue;
        mark.caller = escaped(frame.text());
        break;
      }
    }
  }

 private:
  struct Larger {
    bool operator()(const MappingMark& a, const MappingMark& b) const {
      return a.kb != b.kb ? a.kb > b.kb : a.position < b.position;
    }
  };
  HostRules rules_;
  uint64_t seen_ = 0;
  std::priority_queue<MappingMark, std::vector<MappingMark>, Larger>
      largest_;  // on top: the smallest of them
};

void take_refusals(const LogReader& log, ReportData& data) {
  for (size_t i = 0; i < data.why.verdicts.size(); ++i) {
    const Verdict& verdict = data.why.verdicts[i];
    if (verdict.finding.mode2 && (verdict.event.base.flags & kRehearsed))
      data.rehearsed_limit_kb =
          static_cast<uint64_t>(std::max<int64_t>(verdict.finding.mode2->limit_kb, 0));
    uint64_t shown = 0;
    for (const uint64_t position : verdict.positions) {
      if (shown != 0 && data.refusals.size() >= kMostRefusals) break;
      const auto event = log.event_at(position);
      if (!event) continue;
      data.refusals.push_back({event->base.begin_tick, i});
      ++shown;
    }
    data.refusals_left_out += verdict.count - std::min(shown, verdict.count);
  }
  std::stable_sort(data.refusals.begin(), data.refusals.end(),
                   [](const auto& a, const auto& b) { return a.tick < b.tick; });
}

}  // namespace

ReportData gather_report(const LogReader& log, Symbols& symbols, const HostNow& now) {
  ReportData data;
  data.why = why_report(log, now);
  data.stats = gather_stats(log, symbols);
  const uint64_t created = log.header().created.tick;
  data.first_tick = data.stats.first_tick == 0 ? created : std::min(created, data.stats.first_tick);
  data.last_tick = std::max(data.stats.last_tick, data.first_tick);
  data.clock.emplace(log, data.first_tick, data.last_tick);
  data.readings.emplace(log, *data.clock);
  data.stacks.emplace(log, symbols);
  {
    const ForkList forks(log);
    take_forks(log, forks, data);
    data.lives = find_lives(log, forks, now);
    for (const Fork& fork : forks.forks())
      if (!fork.event.failed() && fork.charge_kb && *fork.charge_kb != 0)
        data.stacks->add_granted(fork.event, *fork.charge_kb);
  }
  BigMappings mappings(host_rules(log.header()));
  log.for_each_event([&](const Event& event) {
    data.readings->note(event);
    data.stacks->note(event);
    mappings.note(event);
    return true;
  });
  mappings.finish(log, symbols, data);
  take_refusals(log, data);
  data.spaces =
      find_spaces(log, symbols, data.why, data.lives.end_ticks, data.last_tick, *data.stacks);
  return data;
}

}  // namespace ovc
