// SPDX-License-Identifier: MIT
//
// See other_roots.h.
#include "tools/symbols/other_roots.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <tuple>

#include "tools/symbols/living_processes.h"

namespace ovc {
namespace {

constexpr size_t kMost = 64;  // a hostile log can name thousands of processes

// "/proc/123/root" of "/proc/123/root/var/log/x.ovc"; empty if it has none.
std::string root_named(const std::string& path) {
  constexpr std::string_view kProc = "/proc/", kRoot = "/root/";
  if (!path.starts_with(kProc)) return "";
  const size_t end = path.find_first_not_of("0123456789", kProc.size());
  if (end == path.npos || end == kProc.size() || path.compare(end, kRoot.size(), kRoot) != 0)
    return "";
  return path.substr(0, end + kRoot.size() - 1);
}

using Place = std::tuple<uint64_t, uint64_t, uint64_t>;

// Which folder it is and of which mount namespace; nullopt: not ours to look into.
std::optional<Place> place_of(const std::string& process) {
  struct stat root {
  }, space{};
  if (stat((process + "/root").c_str(), &root) != 0 ||
      stat((process + "/ns/mnt").c_str(), &space) != 0)
    return std::nullopt;
  return Place{root.st_dev, root.st_ino, space.st_ino};
}

bool is_this_boot(const LogReader& log) {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  return std::getline(file, id) && id == log.header().boot_id;
}

}  // namespace

std::vector<std::string> other_roots(const LogReader& log) {
  std::vector<std::string> roots;
  if (auto named = root_named(log.path()); !named.empty()) roots.push_back(std::move(named));
  if (!is_this_boot(log)) return roots;
  std::set<std::optional<Place>> seen{std::nullopt, place_of("/proc/self")};
  const LivingProcesses living;
  for (const Process& process : log.processes()) {
    const uint32_t pid = roots.size() < kMost ? living.of(process.slot).pid_here : 0;
    const std::string folder = fmt::format("/proc/{}", pid);
    if (pid != 0 && seen.insert(place_of(folder)).second) roots.push_back(folder + "/root");
  }
  return roots;
}

}  // namespace ovc
