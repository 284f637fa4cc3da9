// SPDX-License-Identifier: MIT
//
// See group_memo.h. Of the memo nothing is believed that would be told as this process's own: a
// counter is read unless it cannot have moved. Whoever lies in the log, a process of the same user,
// can lie about the rest.
#include "shim/proc/group_memo.h"

#include "shim/proc/group_files.h"
#include "shim/proc/group_place.h"
#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

constexpr uint32_t kMemoFacts = sizeof GroupMemo::facts / sizeof GroupMemo::facts[0];

// False: it is being written. Pairs with publish().
bool take(GroupMemo& to, GroupMemo& shared) {
  const uint64_t before = __atomic_load_n(&shared.sequence, __ATOMIC_ACQUIRE);
  if (before == 0 || before & 1) return false;
  sys::copy(&to, &shared, sizeof to);
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  if (__atomic_load_n(&shared.sequence, __ATOMIC_RELAXED) != before) return false;
  for (const Controller& controller : kControllers) {
    GroupMemo::Place& place = to.*controller.memo;
    place.group[sizeof place.group - 1] = '\0';
    place.path[sizeof place.path - 1] = '\0';
  }
  return true;
}

// One at a time; the others' figures are as good.
void publish(const GroupMemo& memo, GroupMemo& shared) {
  uint64_t before = __atomic_load_n(&shared.sequence, __ATOMIC_RELAXED);
  if (before & 1 || !__atomic_compare_exchange_n(&shared.sequence, &before, before + 1, false,
                                                 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
    return;
  __atomic_thread_fence(__ATOMIC_RELEASE);
  constexpr uint64_t kFirst = sizeof shared.sequence;
  sys::copy(reinterpret_cast<char*>(&shared) + kFirst,
            reinterpret_cast<const char*>(&memo) + kFirst, sizeof memo - kFirst);
  __atomic_store_n(&shared.sequence, before + 2, __ATOMIC_RELEASE);
}

// A group of version 1 counts its own limit only, and what the host has not killed it has not
// (mm/oom_kill.c __oom_kill_process() counts both). In version 2 the groups below count as well
// (memory.events, pids.events).
bool cannot_count(const Controller& controller, unsigned version, uint64_t limit) {
  constexpr uint64_t kNoLimit = uint64_t{1} << 60;
  return version == 1 && limit != kUnknown && limit >= kNoLimit &&
         controller.memo == &GroupMemo::memory;
}

bool add_counters(Facts& facts, const Controller& controller, const GroupMemo& memo,
                  GroupPlace& place) {
  const unsigned version = place.version();
  const Files& files = version == 1 ? controller.version1 : controller.version2;
  if (place.is_initial_root() ||
      cannot_count(controller, version, fact_in(memo.facts, kMemoFacts, files.list[0].key)))
    return true;
  for (int i = 0, n; i < files.count; i += n) {
    n = 1;
    if (!files.list[i].counts) continue;
    uint64_t values[kMostGroupLines];
    n = read_group_file(place, files.list + i, files.count - i, values);
    for (int k = 0; k < n; ++k) {
      const FactKey key = files.list[i + k].key;
      if (values[k] == kUnknown && fact_in(memo.facts, kMemoFacts, key) != kUnknown) return false;
      facts.add(key, values[k]);
    }
  }
  return true;
}

// Long enough for a script that starts programs, and for nobody to take a figure of somebody else's
// hour for a new one.
bool is_recent(const GroupMemo& memo, const GroupMoment& now) {
  constexpr uint64_t kMostMs = 2000;
  return memo.tick <= now.tick && now.tick - memo.tick < kMostMs * now.ticks_per_ms;
}

bool add_by_memo(Facts& facts, const GroupMemo& memo, char* io, uint64_t room,
                 const char* own_groups, const GroupFiles& files) {
  if (namespace_inode(files.namespace_link) != memo.cgroup_ns) return false;
  room -= GroupPlace::kMemory;
  const uint32_t first = facts.count;
  for (const Controller& controller : kControllers) {
    GroupPlace place(files, io + room, own_groups);
    if (!place.find_again(controller.name, memo.*controller.memo, io, room) ||
        !add_counters(facts, controller, memo, place))
      return facts.count = first, false;
  }
  const uint32_t read = facts.count - first;
  for (const Fact& fact : memo.facts)
    if (fact.key && fact_in(facts.list + first, read, static_cast<FactKey>(fact.key)) == kUnknown)
      facts.add(static_cast<FactKey>(fact.key), fact.value);
  return true;
}

// What one process says must hold for the next: all controllers, as it is the same of each.
bool is_complete(const GroupMemo& memo) {
  return memo.memory.version != 0 && memo.pids.version != 0 && memo.host_kills != kUnknown &&
         memo.cgroup_ns != kUnknown && memo.cgroup_ns != 0;
}

}  // namespace

void add_cgroups_by_memo(Facts& facts, char* io, uint64_t room, GroupMemo& shared,
                         const GroupMoment& now, const GroupFiles& files) {
  const char* own_groups = read_own_groups(io, room, files);
  GroupMemo memo;
  if (own_groups && now.host_kills != kUnknown && take(memo, shared) && is_complete(memo) &&
      memo.host_kills == now.host_kills && is_recent(memo, now) &&
      add_by_memo(facts, memo, io, room, own_groups, files)) {
    const uint64_t age_ns = (now.tick - memo.tick) * 1000 / (now.ticks_per_ms / 1000 + 1);
    return facts.add(FactKey::kGroupFiguresAgeNs, age_ns);
  }
  sys::zero(&memo, sizeof memo);
  memo.tick = now.tick, memo.host_kills = now.host_kills;
  memo.cgroup_ns = namespace_inode(files.namespace_link);
  const uint32_t first = facts.count;
  add_each_group(facts, io, room, nullptr, files, own_groups, &memo);
  const uint32_t count = facts.count - first;
  if (!own_groups || count >= kMemoFacts || !is_complete(memo)) return;
  sys::copy(memo.facts, facts.list + first, count * sizeof(Fact));
  publish(memo, shared);
}

}  // namespace ovcshim
