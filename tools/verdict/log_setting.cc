// SPDX-License-Identifier: MIT
//
// See log_setting.h.
#include "tools/verdict/log_setting.h"

#include <algorithm>

#include "tools/causes/groups.h"
#include "tools/log/call_families.h"
#include "tools/symbols/executable.h"
#include "tools/symbols/purposes.h"

namespace ovc {

using ovcshim::FactKey;

namespace {

constexpr uint64_t kManyMappings = 10000;  // only then it matters which allocator it is

}  // namespace

// A whole file is read for it: once for each image, and only where it matters.
bool LogSettings::is_jemalloc_inside(const Evidence& evidence) {
  const auto listed = evidence.fact(FactKey::kMapsCount);
  if ((listed ? listed : evidence.count_before).value_or(0) < kManyMappings) return false;
  const uint32_t image = evidence.event.base.image;
  const auto [place, fresh] = inside_.try_emplace(image, false);
  const auto process =
      log_.process(evidence.event.base.process, evidence.event.base.process_serial);
  if (!fresh || !process) return place->second;
  for (const ModuleInfo& module : symbols_.modules(image))
    if (module.path == process->exe() && symbols_.missing(module).empty())
      place->second = has_jemalloc_inside(module.path);
  return place->second;
}

std::optional<bool> LogSettings::has_jemalloc(const Evidence& evidence) {
  const auto modules = symbols_.modules(evidence.event.base.image);
  if (modules.empty()) return std::nullopt;
  const auto mapped = [](const ModuleInfo& m) { return m.file_name().starts_with("libjemalloc"); };
  if (std::any_of(modules.begin(), modules.end(), mapped)) return true;
  return is_jemalloc_inside(evidence) ? std::optional(true) : std::nullopt;
}

// A forked child has its parent's program.
std::optional<uint64_t> LogSettings::mode_at_start(const Evidence& evidence) const {
  const auto process = scan_.processes().find(key_of(evidence.event));
  if (process != scan_.processes().end())
    for (const Moment& moment : process->second.baselines) {
      const auto start = log_.event_at(moment.position);
      if (start && start->base.op == Op::kStart && start->base.image == evidence.event.base.image)
        if (const auto mode = start->fact(FactKey::kOvercommitMemory)) return mode;
    }
  return host_rules(log_.header()).mode;
}

void LogSettings::look_at_children() {
  looked_ = true;
  struct Birth {
    Site site;
    uint64_t tick;
  };
  std::map<uint32_t, std::vector<Birth>> births;
  std::map<uint32_t, std::vector<uint64_t>> execs;
  log_.for_each_event([&](const Event& event) {
    const auto& b = event.base;
    const bool inner = b.flags & ovcshim::kInsideLibc;  // libc's clone beneath a fork
    if (copies_memory(event) && !inner && !event.failed() && child_pid(event))
      births[child_pid(event)].push_back({{key_of(event), b.image, b.caller}, b.begin_tick});
    if (is_exec(b.op) && !event.failed()) execs[b.pid].push_back(b.begin_tick);
    return true;
  });
  for (const auto& [pid, list] : births)
    for (const Birth& birth : list) {
      uint64_t until = UINT64_MAX;  // the number can come again
      for (const Birth& other : list)
        if (other.tick > birth.tick) until = std::min(until, other.tick);
      const auto& ticks = execs[pid];
      const bool ran = std::any_of(ticks.begin(), ticks.end(),
                                   [&](uint64_t t) { return t > birth.tick && t < until; });
      Children& children = children_[birth.site];
      ++(ran ? children.ran_program : children.others);
    }
}

uint64_t LogSettings::ran_programs(const Event& fork) {
  if (!looked_) look_at_children();
  const auto found = children_.find({key_of(fork), fork.base.image, fork.base.caller});
  return found == children_.end() || found->second.others ? 0 : found->second.ran_program;
}

Setting setting_of(const Event& snapshot) {
  Setting setting;
  setting.place_files = snapshot.fact(FactKey::kPlaceFiles);
  for (const std::string_view controller : {"pids", "memory"})
    for (GroupFigures& group : groups_of(snapshot, controller))
      setting.groups.push_back(std::move(group.path));
  return setting;
}

Setting LogSettings::of(const Evidence& evidence) {
  Setting setting = evidence.snapshot ? setting_of(*evidence.snapshot) : Setting{};
  const Event& event = evidence.event;
  if (const auto process = log_.process(event.base.process, event.base.process_serial))
    setting.exe = process->exe();
  setting.jemalloc = has_jemalloc(evidence);
  setting.mode_then = mode_at_start(evidence);
  if (!copies_memory(event)) return setting;
  setting.runs_program =
      runs_program(purpose(asker_of(log_, symbols_, event)).value_or(std::string_view()));
  setting.ran_programs = ran_programs(event);
  return setting;
}

}  // namespace ovc
