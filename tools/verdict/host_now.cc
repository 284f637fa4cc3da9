// SPDX-License-Identifier: MIT
//
// The machine that runs ovc, as far as it is the one the log tells of: which of its processes still
// live, under which number, and what it has counted since.
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <fstream>
#include <memory>

#include "tools/symbols/living_processes.h"
#include "tools/verdict/why_report.h"

namespace ovc {
namespace {

using ovcshim::ProcessSlot;

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<uint64_t> to_number(std::string_view text) {
  uint64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() ? std::optional(value) : std::nullopt;
}

std::optional<uint64_t> vmstat_oom_kills() {
  std::ifstream file("/proc/vmstat");
  std::string name;
  uint64_t value = 0;
  while (file >> name >> value)
    if (name == "oom_kill") return value;
  return std::nullopt;
}

}  // namespace

HostNow host_now() {
  HostNow now;
  now.boot_id = first_line("/proc/sys/kernel/random/boot_id");
  now.mode = to_number(first_line("/proc/sys/vm/overcommit_memory"));
  now.oom_kills = vmstat_oom_kills();
  const auto living = std::make_shared<std::optional<LivingProcesses>>();
  const auto look = [living](const ProcessSlot& slot) {
    if (!*living) living->emplace();
    return (*living)->of(slot);
  };
  now.alive = [look](const ProcessSlot& slot) { return look(slot).alive; };
  now.pid_here = [look](const ProcessSlot& slot) {
    return slot.pidns != 0 && slot.pidns == own_pidns() ? slot.pid : look(slot).pid_here;
  };
  now.posix_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
                     std::chrono::system_clock::now().time_since_epoch())
                     .count();
  return now;
}

Alive is_alive(const ProcessSlot& slot, const HostNow& now) {
  if (slot.pidns == 0 || slot.pidns != own_pidns() || slot.start_ticks == ovcshim::kUnknown)
    return now.alive(slot);
  if (const auto ticks = start_ticks(fmt::format("/proc/{}", slot.pid)))
    return *ticks == slot.start_ticks ? Alive::kYes : Alive::kNo;
  return is_hidden(slot.pid) ? Alive::kUnknown : Alive::kNo;
}

}  // namespace ovc
