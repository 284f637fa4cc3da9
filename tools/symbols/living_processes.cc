// SPDX-License-Identifier: MIT
//
// See living_processes.h.
#include "tools/symbols/living_processes.h"

#include <signal.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

#include "tools/log/kernel_numbers.h"

namespace ovc {
namespace {

std::optional<uint64_t> to_number(std::string_view text) {
  uint64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() ? std::optional(value) : std::nullopt;
}

uint64_t inode_of(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

// The last number of NSpid: the process id as the process itself sees it.
std::optional<uint32_t> inner_pid(const std::string& folder) {
  std::ifstream file(folder + "/status");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("NSpid:")) continue;
    const auto pid = to_number(std::string_view(line).substr(line.find_last_of(" \t") + 1));
    return pid ? std::optional(static_cast<uint32_t>(*pid)) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

bool is_hidden(uint32_t pid) { return kill(static_cast<pid_t>(pid), 0) != 0 && errno == EPERM; }

uint64_t own_pidns() {
  static const uint64_t inode = inode_of("/proc/self/ns/pid");
  return inode;
}

std::optional<uint64_t> start_ticks(const std::string& folder) {
  std::ifstream file(folder + "/stat");
  std::string line;
  std::getline(file, line);
  const size_t after_comm = line.rfind(')');
  if (after_comm == line.npos) return std::nullopt;
  std::istringstream fields(line.substr(after_comm + 1));
  std::string field;
  for (int i = 3; i <= 22 && fields >> field; ++i)
    if (i == 3 && (field == "Z" || field == "X")) return std::nullopt;
  return to_number(field);
}

LivingProcesses::LivingProcesses() {
  const uint64_t own_clock = inode_of("/proc/self/ns/time");
  std::error_code error;
  for (std::filesystem::directory_iterator it("/proc", error), end; !error && it != end;
       it.increment(error)) {
    const auto here = to_number(it->path().filename().string());
    if (!here) continue;
    const std::string folder = it->path();
    const auto ticks = start_ticks(folder);
    const auto pid = inner_pid(folder);
    if (!ticks || !pid) continue;
    const uint64_t clock = inode_of(folder + "/ns/time");
    by_own_pid_.insert({*pid,
                        {static_cast<uint32_t>(*here), *ticks, inode_of(folder + "/ns/pid"),
                         clock != 0 && own_clock != 0 && clock != own_clock}});
  }
}

Sighting LivingProcesses::of(const ovcshim::ProcessSlot& slot) const {
  const bool has_start = slot.start_ticks != ovcshim::kUnknown, has_space = slot.pidns != 0;
  Sighting found;
  int matches = 0;
  bool doubtful = !has_start || !has_space;
  const auto [begin, end] = by_own_pid_.equal_range(slot.pid);
  for (auto it = begin; it != end; ++it) {
    const Entry& entry = it->second;
    if (has_space && entry.pidns != 0 && entry.pidns != slot.pidns) continue;
    doubtful |= entry.other_clock;
    if (!has_start || entry.start_ticks != slot.start_ticks) continue;
    found = {Alive::kYes, entry.here};
    ++matches;
  }
  if (matches == 1) return found;
  if (matches > 1) return {Alive::kYes, 0};
  const bool ours = has_space && slot.pidns == own_pidns();
  if (doubtful || (ours && is_hidden(slot.pid))) return {};
  // In the initial pid namespace we see every process.
  return {ours || own_pidns() == kInitialPidNs ? Alive::kNo : Alive::kUnknown, 0};
}

}  // namespace ovc
