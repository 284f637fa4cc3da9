// SPDX-License-Identifier: MIT
//
// See lost_kills.h.
#include "tools/verdict/lost_kills.h"

#include <fmt/format.h>

#include <csignal>

#include "tools/causes/finding_text.h"
#include "tools/host/live_groups.h"
#include "tools/text/output.h"
#include "tools/verdict/group_kill.h"

namespace ovc {
namespace {

using ovcshim::FactKey;

struct Reading {
  uint64_t group = 0, kills = 0, tick = 0;
  std::optional<uint64_t> oom, reached;
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
    if (group && kills)
      found = Reading{*group, *kills, moment.tick, event->fact(FactKey::kMemcgOom),
                      event->fact(FactKey::kMemcgFailcnt)};
  }
  return found;
}

uint64_t kills_told(const WhyScan& scan, uint64_t since) {
  uint64_t count = 0;
  for (const auto& [pid, signs] : scan.ends().told())
    for (const EndSign& sign : signs) count += sign.signal == SIGKILL && sign.tick > since;
  return count;
}

std::optional<uint64_t> rise(const std::optional<uint64_t>& then,
                             const std::optional<uint64_t>& now) {
  return then && now && *now >= *then ? std::optional(*now - *then) : std::nullopt;
}

KillFacts facts_now(const Reading& before, const std::vector<MemoryGroupNow>& groups) {
  KillFacts facts;
  for (const MemoryGroupNow& group : groups)
    facts.groups.push_back({group.path, group.limit, group.used, group.reached});
  const MemoryGroupNow& own = groups.front();
  facts.counts_all = own.version == 2;
  facts.own_reached =
      own.version == 2 ? rise(before.oom, own.oom) : rise(before.reached, own.reached);
  facts.all_seen = groups.back().is_root;
  return facts;
}

}  // namespace

std::optional<GroupKills> kills_since(const LogReader& log, const WhyScan& scan,
                                      const ProcessKey& process) {
  const auto before = last_reading(log, scan, process);
  const auto groups =
      before ? find_memory_groups({}, before->group) : std::vector<MemoryGroupNow>{};
  if (groups.empty() || groups[0].kills.value_or(0) <= before->kills) return std::nullopt;
  GroupKills found{
      before->group, *groups[0].kills - before->kills, kills_told(scan, before->tick), {}};
  const KillFacts facts = facts_now(*before, groups);
  found.notes = {
      kills_text(facts, found.kills, clock_text(log.posix_ns(before->tick), 3), *groups[0].kills)};
  for (auto& note : whose_limit(facts, {})) found.notes.push_back(std::move(note));
  return found;
}

}  // namespace ovc
