// SPDX-License-Identifier: MIT
//
// See group_kill.h.
#include "tools/verdict/group_kill.h"

#include <fmt/format.h>

#include "tools/causes/finding_text.h"
#include "tools/causes/groups.h"
#include "tools/text/output.h"
#include "tools/verdict/log_setting.h"

namespace ovc {

std::vector<std::string> group_kill_notes(const WhyScan& scan, const LogReader& log,
                                          uint64_t wait_position) {
  using ovcshim::FactKey;
  Evidence counters;
  const auto wait = log.event_at(wait_position);
  if (!wait) return {};
  counters.event = *wait;
  counters.snapshot = scan.snapshot_about(wait_position);
  counters.baseline = scan.baseline_of(*wait);
  const auto kills = counters.rise(FactKey::kMemcgOomKill);
  if (!counters.snapshot || kills.value_or(0) == 0) return {};
  const auto group = memory_group_text(*counters.snapshot);
  std::vector<std::string> notes{fmt::format(
      "the OOM killer of its control group counted {} since {}", counted(grouped(*kills), "kills"),
      clock_text(log.posix_ns(counters.baseline->base.begin_tick), 3))};
  if (group) notes.push_back(*group);
  notes.push_back(fmt::format(
      "to do: a higher memory limit{}, or less memory written while a child that shares it runs "
      "(before the next save: ovc check PID)",
      knob_text("memory", setting_of(*counters.snapshot))));
  return notes;
}

}  // namespace ovc
