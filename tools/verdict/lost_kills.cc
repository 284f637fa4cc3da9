// SPDX-License-Identifier: MIT
//
// See lost_kills.h.
#include "tools/verdict/lost_kills.h"

#include <fmt/format.h>

#include <csignal>

#include "tools/causes/finding_text.h"
#include "tools/host/live_groups.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

using ovcshim::FactKey;

struct Reading {
  uint64_t group = 0, kills = 0, tick = 0;
};

// The newest record of the process with its group and the group's counter.
std::optional<Reading> last_reading(const LogReader& log, const WhyScan& scan,
                                    const ProcessKey& process) {
  const auto signs = scan.processes().find(process);
  std::optional<Reading> found;
  if (signs == scan.processes().end()) return found;
  for (const Moment& moment : signs->second.baselines) {
    const auto event = log.event_at(moment.position);
    const auto group = event ? event->fact(FactKey::kMemcgGroupId) : std::nullopt,
               kills = event ? event->fact(FactKey::kMemcgOomKill) : std::nullopt;
    if (group && kills) found = Reading{*group, *kills, moment.tick};
  }
  return found;
}

uint64_t kills_told(const WhyScan& scan, uint64_t since) {
  uint64_t count = 0;
  for (const auto& [pid, signs] : scan.ends().told())
    for (const EndSign& sign : signs) count += sign.signal == SIGKILL && sign.tick > since;
  return count;
}

std::string group_text(const MemoryGroupNow& group) {
  std::string text = "control group " + escaped(group.path);
  if (group.limit) text += fmt::format(": memory limit {} kB", grouped(*group.limit / 1024));
  if (group.used) text += fmt::format(", in use now {} kB", grouped(*group.used / 1024));
  return text;
}

}  // namespace

std::optional<GroupKills> kills_since(const LogReader& log, const WhyScan& scan,
                                      const ProcessKey& process) {
  const auto before = last_reading(log, scan, process);
  const auto now = before ? find_memory_group({}, before->group) : std::nullopt;
  if (!now || !now->kills || *now->kills <= before->kills) return std::nullopt;
  GroupKills found{before->group, *now->kills - before->kills, kills_told(scan, before->tick), {}};
  found.notes = {
      fmt::format("the OOM killer of its control group counted {} since {} (oom_kill {} -> {})",
                  counted(grouped(found.kills), "kills"), clock_text(log.posix_ns(before->tick), 3),
                  before->kills, *now->kills),
      group_text(*now),
      "to do: a higher memory limit for this service (systemd MemoryMax=, docker --memory), or "
      "less memory written while a child that shares it runs"};
  return found;
}

}  // namespace ovc
