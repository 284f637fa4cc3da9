// SPDX-License-Identifier: MIT
//
// See live_setting.h.
#include "tools/outlook/live_setting.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

namespace ovc {
namespace {

std::string link_text(const std::string& path) {
  char text[4096];
  const ssize_t length = readlink(path.c_str(), text, sizeof text);
  return length > 0 ? std::string(text, static_cast<size_t>(length)) : "";
}

struct Sign {
  std::string_view path;
  uint32_t bit;
};
constexpr Sign kSigns[] = {{"/.dockerenv", ovcshim::kPlaceDocker},
                           {"/run/.containerenv", ovcshim::kPlacePodman},
                           {"/run/secrets/kubernetes.io", ovcshim::kPlaceKubernetes},
                           {"/var/run/secrets/kubernetes.io", ovcshim::kPlaceKubernetes}};

// Below its own root, which not everybody may look into.
std::optional<uint64_t> place_files(const std::string& folder) {
  uint64_t found = 0;
  for (const Sign& sign : kSigns) {
    const std::string path = folder + "/root" + std::string(sign.path);
    if (faccessat(AT_FDCWD, path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) found |= sign.bit;
    else if (errno != ENOENT) return std::nullopt;
  }
  return found;
}

std::vector<std::string> group_paths(const std::string& folder) {
  std::vector<std::string> paths;
  for_each_line(folder + "/cgroup", [&](std::string_view line) {
    const size_t second = line.find(':', line.find(':') + 1);
    if (second != line.npos) paths.emplace_back(line.substr(second + 1));
  });
  return paths;
}

}  // namespace

Setting live_setting(const SystemRoot& root, uint32_t pid, const MappingSums& sums) {
  const std::string folder = fmt::format("{}/{}", root.proc, pid);
  Setting setting;
  setting.exe = link_text(folder + "/exe");
  if (sums.jemalloc) setting.jemalloc = true;
  setting.groups = group_paths(folder);
  setting.place_files = place_files(folder);
  return setting;
}

}  // namespace ovc
