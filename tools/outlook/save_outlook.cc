// SPDX-License-Identifier: MIT
//
// See save_outlook.h. mm/memory.c do_wp_page(): the first write to a shared page copies it; the
// last owner of a page writes without a copy, so that no page is copied twice for one child.
// mm/memcontrol.c try_charge(): file cache is given back before anybody is killed.
#include "tools/outlook/save_outlook.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/text/output.h"

namespace ovc {
namespace {

constexpr KernelVersion kSplitsHugePages{5, 8};  // mm/huge_memory.c do_huge_pmd_wp_page()

// What a child takes besides: stacks, files, buffers, and what the kernel charges in advance.
constexpr uint64_t kChildKb = 2048;

struct Room {
  std::optional<GroupLimit> group;
  uint64_t free_kb = 0, swap_kb = 0;
};

// Without the file cache, which is given back first.
uint64_t left_kb(const GroupLimit& group) {
  const uint64_t held = *group.used - std::min(*group.used, group.cache);
  return (group.limit - std::min(group.limit, held)) / 1024;
}

std::optional<Room> room_of(const GroupLimit& group, const SaveHost& host) {
  if (group.kind != GroupLimit::Kind::kMemory || !group.used || group.limit >= ovcshim::kInfinite)
    return std::nullopt;
  Room room{group, left_kb(group), 0};
  room.swap_kb = std::min(group.swap_room.value_or(0) / 1024, host.swap_free_kb.value_or(0));
  room.free_kb += room.swap_kb;
  return room;
}

// The least of the groups above it, and of the host.
std::optional<Room> least_room(const LiveProcess& process, const SaveHost& host) {
  std::optional<Room> least;
  if (host.available_kb) {
    const uint64_t swap = host.swap_free_kb.value_or(0);
    least = Room{std::nullopt, *host.available_kb + swap, swap};
  }
  for (const GroupLimit& group : process.groups.limits)
    if (auto room = room_of(group, host); room && (!least || room->free_kb < least->free_kb))
      least = std::move(room);
  return least;
}

void add_need(const LiveProcess& process, SaveOutlook& outlook) {
  const bool exact = process.fork.mappings_complete;
  outlook.pages_kb = exact ? std::optional(process.sums.anonymous_kb) : process.anonymous_kb;
  outlook.swapped_kb = exact ? std::optional(process.sums.swapped_kb) : process.swapped_kb;
  outlook.tables_kb = process.page_tables_kb;
  if (outlook.pages_kb && outlook.tables_kb)
    outlook.most_kb =
        *outlook.pages_kb + outlook.swapped_kb.value_or(0) + *outlook.tables_kb + kChildKb;
}

// other + 2 * data <= limit: what the process has counts once as it is and once as copies.
void add_enough(SaveOutlook& outlook) {
  outlook.short_kb = *outlook.most_kb - *outlook.free_kb;
  outlook.less_kb = (outlook.short_kb + 1) / 2;
  if (outlook.group) outlook.limit_kb = outlook.group->limit / 1024 + outlook.short_kb;
}

// The nearest memory.high that the copies would pass, and how far they come before.
void add_slows(const LiveProcess& process, SaveOutlook& outlook) {
  for (const GroupLimit& group : process.groups.limits) {
    if (group.kind != GroupLimit::Kind::kThrottle || !group.used || !outlook.most_kb) continue;
    const uint64_t left = left_kb(group);
    if (left >= *outlook.most_kb || (outlook.slows && left >= outlook.slows_after_kb)) continue;
    outlook.slows = group;
    outlook.slows_after_kb = left;
  }
}

// mm/memcontrol.c mem_cgroup_get_oom_group(): of the groups from the victim's up to the one that is
// full the highest that says so; the list has them upwards. Of the host all count.
void add_killed(const LiveProcess& process, SaveOutlook& outlook) {
  if (outlook.group) outlook.waits_instead = outlook.group->killer_disabled;
  for (const std::string& path : process.groups.killed_together)
    if (!outlook.group || path.size() >= outlook.group->path.size()) outlook.killed_together = path;
}

std::string mib(uint64_t kb) { return grouped((kb + 1023) / 1024) + " MiB"; }
std::string mib_down(uint64_t kb) { return grouped(kb / 1024) + " MiB"; }

std::string where_text(const SaveOutlook& o) {
  if (!o.group)
    return fmt::format("{} are free on the host{}", mib_down(*o.free_kb),
                       o.swap_kb ? fmt::format(", {} of it swap", mib_down(o.swap_kb)) : "");
  const GroupLimit& group = *o.group;
  std::string text =
      fmt::format("{} are free in {} (limit {}, in use {}", mib_down(*o.free_kb),
                  escaped(group.path), mib(group.limit / 1024), mib(*group.used / 1024));
  if (group.cache >> 20) text += fmt::format(", of it file cache {}", mib_down(group.cache / 1024));
  if (o.swap_kb) text += fmt::format(", swap {}", mib_down(o.swap_kb));
  return text + ")";
}

// What happens to whom, where the limit itself does not say it.
void add_group_notes(const SaveOutlook& o, SaveTexts& texts) {
  if (o.slows)
    texts.notes.push_back(fmt::format(
        "{}: from memory.high of {} on (limit {}, in use {}) whoever writes is slowed down, not "
        "killed",
        o.slows_after_kb ? "slow after " + mib_down(o.slows_after_kb) : "slow from the first copy",
        escaped(o.slows->path), mib(o.slows->limit / 1024), mib(*o.slows->used / 1024)));
  if (o.answer != Survival::kNotSurely) return;
  if (!o.killed_together.empty())
    texts.notes.push_back(
        fmt::format("not the child alone: memory.oom.group = 1 in {}, the OOM killer ends all of "
                    "its processes",
                    escaped(o.killed_together)));
  if (o.waits_instead)
    texts.notes.push_back(fmt::format(
        "the OOM killer is off in {} (memory.oom_control): who needs memory waits until others "
        "give it back",
        escaped(o.group->path)));
}

}  // namespace

std::string_view SaveOutlook::answer_name() const {
  return answer == Survival::kSurely      ? "survives"
         : answer == Survival::kNotSurely ? "may-be-killed"
                                          : "unknown";
}

SaveHost save_host(const SystemRoot& root) {
  SaveHost host;
  const std::string meminfo = read_small(root.proc + "/meminfo").value_or("");
  host.available_kb = number_after(meminfo, "MemAvailable:");
  host.swap_free_kb = number_after(meminfo, "SwapFree:");
  const auto thp = read_small(root.files + "/sys/kernel/mm/transparent_hugepage/enabled");
  host.thp_always = thp && thp->find("[always]") != thp->npos;
  return host;
}

SaveOutlook save_outlook(const LiveProcess& process, const SaveHost& host) {
  SaveOutlook outlook;
  add_need(process, outlook);
  outlook.thp_always = host.thp_always && process.thp_allowed != false;
  outlook.thp_copies_whole = process.fork.rules.kernel < kSplitsHugePages;
  const auto room = least_room(process, host);
  if (room)
    outlook.free_kb = room->free_kb, outlook.swap_kb = room->swap_kb, outlook.group = room->group;
  if (!room || !outlook.most_kb) return outlook;
  const bool fits = *outlook.most_kb <= *outlook.free_kb;
  add_slows(process, outlook);
  add_killed(process, outlook);
  // A group that cannot be seen may be tighter.
  outlook.groups_hidden = !process.groups.all_visible;
  if (fits && outlook.groups_hidden) return outlook;
  outlook.answer = fits ? Survival::kSurely : Survival::kNotSurely;
  if (!fits) add_enough(outlook);
  else outlook.more_kb = (*outlook.free_kb - *outlook.most_kb) / 2;
  return outlook;
}

SaveTexts save_texts(const SaveOutlook& o, const LiveProcess& process) {
  SaveTexts texts;
  if (!o.most_kb || !o.free_kb) return texts;
  const std::string need =
      fmt::format("writes while a child saves copy {} at most", mib(*o.most_kb));
  if (o.answer == Survival::kSurely)
    texts.save = fmt::format("survives: {}, {}", need, where_text(o));
  else if (o.answer == Survival::kNotSurely)
    texts.save = fmt::format("may {}: {}, {}: short by {} at worst",
                             o.waits_instead ? "stand still for memory" : "be killed for memory",
                             need, where_text(o), mib(o.short_kb));
  else
    texts.save = fmt::format(
        "as far as can be seen here it survives: {}, {}; {} may leave less (not visible here: ask "
        "outside of the container)",
        need, where_text(o), o.group ? "a group above that one" : "a memory group above it");
  add_group_notes(o, texts);
  if (o.swapped_kb.value_or(0) >> 10)
    texts.notes.push_back(
        fmt::format("{} of it are in swap now, which a save reads back", mib(*o.swapped_kb)));
  if (o.thp_always)
    texts.notes.emplace_back(
        o.thp_copies_whole
            ? "transparent huge pages = always: each first write copies 2 MiB, 512 times a page"
            : "transparent huge pages = always: since Linux 5.8 a write copies 4 kB of a huge page "
              "(before, 2 MiB: 512 times as much); the bound holds for both");
  if (o.group && o.group->most)
    texts.notes.push_back(fmt::format("the most that {} ever used: {}{}", escaped(o.group->path),
                                      mib(*o.group->most / 1024),
                                      *o.group->most >= o.group->limit ? ", its limit" : ""));
  if (o.more_kb)
    texts.growth = fmt::format(
        "{} more data survive as well; each counts twice, once as it is and once as copies",
        mib_down(*o.more_kb));
  if (o.answer != Survival::kNotSurely) return texts;
  if (o.limit_kb)
    texts.advice.push_back(
        fmt::format("a limit of {}{} is enough even if every page is written while it saves",
                    mib(*o.limit_kb), knob_text("memory", process.fork.setting)));
  if (o.slows && o.limit_kb && o.slows->limit / 1024 < *o.limit_kb)
    texts.advice.push_back(
        fmt::format("and memory.high of {} as high, or none: from there on writes are slowed down",
                    escaped(o.slows->path)));
  const bool redis = service_of(process.fork.setting, process.comm) == Service::kRedis;
  texts.advice.push_back(fmt::format(
      "or {} less data{}: it counts twice, once as it is and once as copies", mib(*o.less_kb),
      redis ? " (maxmemory: used_memory of INFO less that much)" : ""));
  return texts;
}

}  // namespace ovc
