// SPDX-License-Identifier: MIT
//
// The machine that runs ovc, as far as it is the one the log tells of: which of its processes still
// live, under which number, and what it has counted since.
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>

#include "tools/log/kernel_numbers.h"
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

uint64_t own_pidns() {
  struct stat info {};
  return stat("/proc/self/ns/pid", &info) == 0 ? info.st_ino : 0;
}

struct LivingProcess {
  uint64_t start_ticks;
  uint32_t pid;  // in its own pid namespace
  auto operator<=>(const LivingProcess&) const = default;
};

// Field 22 of /proc/PID/stat; nullopt for a zombie, which has ended.
std::optional<uint64_t> start_ticks(const std::string& directory) {
  const std::string line = first_line(directory + "/stat");
  const size_t after_comm = line.rfind(')');
  if (after_comm == line.npos) return std::nullopt;
  std::istringstream fields(line.substr(after_comm + 1));
  std::string field;
  for (int i = 3; i <= 22 && fields >> field; ++i)
    if (i == 3 && (field == "Z" || field == "X")) return std::nullopt;
  return to_number(field);
}

// The last number of NSpid: the process id as the process itself sees it.
std::optional<uint32_t> inner_pid(const std::string& directory) {
  std::ifstream file(directory + "/status");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("NSpid:")) continue;
    const auto pid = to_number(std::string_view(line).substr(line.find_last_of(" \t") + 1));
    return pid ? std::optional(static_cast<uint32_t>(*pid)) : std::nullopt;
  }
  return std::nullopt;
}

using LivingTable = std::map<LivingProcess, uint32_t>;  // and its number as we see it

LivingTable living_processes() {
  LivingTable living;
  std::error_code error;
  for (std::filesystem::directory_iterator it("/proc", error), end; !error && it != end;
       it.increment(error)) {
    const auto here = to_number(it->path().filename().string());
    if (!here) continue;
    const auto ticks = start_ticks(it->path());
    const auto pid = inner_pid(it->path());
    if (ticks && pid) living[{*ticks, *pid}] = static_cast<uint32_t>(*here);
  }
  return living;
}

// We see every process if we are in the initial pid namespace; of our own namespace also those that
// /proc hides.
HostNow::Alive look_for(const ProcessSlot& slot, const LivingTable& living, uint64_t pidns) {
  if (living.contains({slot.start_ticks, slot.pid})) return HostNow::Alive::kYes;
  if (slot.pidns == pidns && kill(static_cast<pid_t>(slot.pid), 0) != 0 && errno == EPERM)
    return HostNow::Alive::kUnknown;
  return slot.pidns == pidns || pidns == kInitialPidNs ? HostNow::Alive::kNo
                                                       : HostNow::Alive::kUnknown;
}

}  // namespace

HostNow host_now() {
  HostNow now;
  now.boot_id = first_line("/proc/sys/kernel/random/boot_id");
  now.mode = to_number(first_line("/proc/sys/vm/overcommit_memory"));
  now.oom_kills = vmstat_oom_kills();
  const auto living = std::make_shared<std::optional<LivingTable>>();
  const auto look = [living]() -> const LivingTable& {
    if (!*living) *living = living_processes();
    return **living;
  };
  now.alive = [pidns = own_pidns(), look](const ProcessSlot& slot) {
    return look_for(slot, look(), pidns);
  };
  now.pid_here = [pidns = own_pidns(), look](const ProcessSlot& slot) {
    if (slot.pidns == pidns) return slot.pid;
    const auto found = look().find({slot.start_ticks, slot.pid});
    return found == look().end() ? 0 : found->second;
  };
  now.posix_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
                     std::chrono::system_clock::now().time_since_epoch())
                     .count();
  return now;
}

HostNow::Alive is_alive(const ProcessSlot& slot, const HostNow& now) {
  static const uint64_t pidns = own_pidns();
  if (slot.pidns != pidns) return now.alive(slot);
  const std::string directory = fmt::format("/proc/{}", slot.pid);
  if (const auto ticks = start_ticks(directory))
    return *ticks == slot.start_ticks ? HostNow::Alive::kYes : HostNow::Alive::kNo;
  return look_for(slot, {}, pidns);
}

}  // namespace ovc
