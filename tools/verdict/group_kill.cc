// SPDX-License-Identifier: MIT
//
// See group_kill.h. mm/memcontrol.c mem_cgroup_oom() counts `oom` (version 2) at the group whose
// limit it is and above, mm/oom_kill.c __oom_kill_process() counts oom_kill at the victim's.
#include "tools/verdict/group_kill.h"

#include <fmt/format.h>

#include "tools/causes/finding_text.h"
#include "tools/causes/groups.h"
#include "tools/text/output.h"
#include "tools/verdict/log_setting.h"

namespace ovc {
namespace {

using ovcshim::FactKey;

bool limits(const GroupAtKill& group) { return group.limit && *group.limit < ovcshim::kInfinite; }

std::string figures(const GroupAtKill& group) {
  std::string text =
      fmt::format("{}: memory limit {} kB", escaped(group.path), grouped(*group.limit / 1024));
  if (group.used) text += fmt::format(", in use {} kB", grouped(*group.used / 1024));
  return text;
}

// Where it is not known how often the limit was reached, too.
bool for_own_limit(const KillFacts& facts) {
  return facts.groups.empty() || !facts.own_reached ||
         (limits(facts.groups.front()) && *facts.own_reached != 0);
}

std::string suspect(const std::string& what) { return "suspect: " + what + "  (not proven)"; }

// A limit that was never reached killed nobody.
std::vector<const GroupAtKill*> candidates(const KillFacts& facts) {
  std::vector<const GroupAtKill*> found;
  for (const GroupAtKill& group : facts.groups) {
    const bool own = &group == &facts.groups.front();
    if (limits(group) && (!facts.counts_all || (!own && group.reached != 0)))
      found.push_back(&group);
  }
  return found;
}

std::string host_text(const KillFacts& facts) {
  return facts.available_kb ? fmt::format("; MemAvailable of the host {} kB right after",
                                          grouped(*facts.available_kb))
                            : "";
}

std::string figures_then(const GroupAtKill& group) {
  return "control group " + figures(group) +
         (group.reached.value_or(0)
              ? fmt::format(", reached {} so far", counted(grouped(*group.reached), "times"))
              : "");
}

// Another limit than its own group's, as far as counters can say.
void add_others(const KillFacts& facts, std::vector<std::string>& notes) {
  const GroupAtKill& own = facts.groups.front();
  if (!limits(own))
    notes.push_back(fmt::format("its own group has no memory limit ({})", escaped(own.path)));
  else if (facts.counts_all)
    notes.push_back(
        fmt::format("not for the limit of its own group: {}, not reached since", figures(own)));
  const auto groups = candidates(facts);
  if (groups.empty() && facts.all_seen) {
    notes.push_back("nor for that of a group above it: the host was out of memory" +
                    host_text(facts));
    return;
  }
  for (const GroupAtKill* group : groups) notes.push_back(suspect(figures_then(*group)));
  if (!facts.all_seen)
    notes.push_back(suspect("a control group above it that is not visible from there"));
  notes.push_back(suspect("the host itself was out of memory" + host_text(facts)));
}

constexpr std::string_view kUseLess =
    "less memory used; of a save: less written while the child runs, which shares its parent's "
    "(before the next one: ovc check PID)";

std::string to_do(const Setting& setting, const std::string& whose) {
  std::string knob = knob_text("memory", setting);
  if (knob.empty() && whose.empty())
    knob = " for this service (systemd MemoryMax=, docker --memory)";
  return fmt::format("to do: a higher memory limit{}{}, or {}", whose, knob, kUseLess);
}

KillFacts facts_of(const Evidence& counters) {
  const Event& snapshot = *counters.snapshot;
  KillFacts facts;
  bool v2 = false;
  for (const GroupFigures& group : groups_of(snapshot, "memory")) {
    v2 = group.version == 2;
    facts.groups.push_back({group.path, group.limit, group.used, group.refusals});
  }
  facts.counts_all = v2;
  facts.own_reached = counters.rise(v2 ? FactKey::kMemcgOom : FactKey::kMemcgFailcnt);
  facts.all_seen = snapshot.fact(FactKey::kMemcgGroupsSeen) == 1;
  facts.available_kb = snapshot.fact(FactKey::kMemAvailableKb);
  return facts;
}

}  // namespace

std::string kills_text(const KillFacts& facts, uint64_t kills, const std::string& since,
                       uint64_t now) {
  const std::string counter = fmt::format("since {} (oom_kill {} -> {})", since, now - kills, now);
  const auto groups = candidates(facts);
  const bool own = !groups.empty() && groups[0] == &facts.groups.front();
  if (own || for_own_limit(facts))
    return fmt::format("the OOM killer of its control group counted {} {}",
                       counted(grouped(kills), "kills"), counter);
  return fmt::format("an OOM killer ended {} process{} of its control group {}", grouped(kills),
                     kills == 1 ? "" : "es", counter);
}

std::vector<std::string> whose_limit(const KillFacts& facts, const Setting& setting) {
  std::vector<std::string> notes;
  if (facts.groups.empty()) return {to_do(setting, "")};
  const GroupAtKill& own = facts.groups.front();
  if (for_own_limit(facts)) {
    if (limits(own)) notes.push_back("control group " + figures(own));
    notes.push_back(to_do(setting, ""));
    return notes;
  }
  add_others(facts, notes);
  const auto groups = candidates(facts);
  if (groups.size() == 1 && groups[0] == &own) notes.push_back(to_do(setting, ""));
  else if (groups.size() == 1)
    notes.push_back(to_do({}, fmt::format(" of {}", escaped(groups[0]->path))));
  else if (groups.size() > 1)
    notes.emplace_back(
        "to do: before the next save see which of them has least left: ovc check PID");
  else notes.emplace_back(fmt::format("to do: more memory or swap there, or {}", kUseLess));
  return notes;
}

std::vector<std::string> group_kill_notes(const WhyScan& scan, const LogReader& log,
                                          uint64_t wait_position) {
  Evidence counters;
  const auto wait = log.event_at(wait_position);
  if (!wait) return {};
  counters.event = *wait;
  counters.snapshot = scan.snapshot_about(wait_position);
  counters.baseline = scan.baseline_of(*wait);
  const auto kills = counters.rise(FactKey::kMemcgOomKill);
  if (!counters.snapshot || kills.value_or(0) == 0) return {};
  const KillFacts facts = facts_of(counters);
  std::vector<std::string> notes{
      kills_text(facts, *kills, clock_text(log.posix_ns(counters.baseline->base.begin_tick), 3),
                 *counters.snapshot->fact(FactKey::kMemcgOomKill))};
  for (auto& note : whose_limit(facts, setting_of(*counters.snapshot)))
    notes.push_back(std::move(note));
  return notes;
}

}  // namespace ovc
