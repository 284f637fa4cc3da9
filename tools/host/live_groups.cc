// SPDX-License-Identifier: MIT
//
// See live_groups.h.
#include "tools/host/live_groups.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "shim/format/log_format.h"

namespace ovc {
namespace {

struct Mount {
  std::string controllers;  // ",pids,"; empty for version 2
  std::string top;          // the group that is mounted
  std::string point;
};

// Which files hold a kind of limit.
struct FileRow {
  GroupLimit::Kind kind;
  unsigned version;
  std::string_view controller, limit, used;
};
constexpr FileRow kFiles[] = {
    {GroupLimit::Kind::kTasks, 1, ",pids,", "pids.max", "pids.current"},
    {GroupLimit::Kind::kTasks, 2, "", "pids.max", "pids.current"},
    {GroupLimit::Kind::kMemory, 1, ",memory,", "memory.limit_in_bytes", "memory.usage_in_bytes"},
    {GroupLimit::Kind::kMemory, 2, "", "memory.max", "memory.current"},
    {GroupLimit::Kind::kThrottle, 2, "", "memory.high", "memory.current"},
};
constexpr uint64_t kInitialCgroupNs = 0xEFFFFFFB;  // include/linux/proc_ns.h
constexpr uint64_t kNoLimitV1 =
    uint64_t{1} << 62;  // version 1 writes "none" as the largest number of whole pages

std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> list;
  while (!line.empty()) {
    const size_t blank = line.find(' ');
    if (blank != 0) list.emplace_back(line.substr(0, blank));
    line.remove_prefix(blank == line.npos ? line.size() : blank + 1);
  }
  return list;
}

// Lines of mountinfo: id parent dev ROOT POINT options [tags] - TYPE source SUPER-OPTIONS
std::vector<Mount> cgroup_mounts(const SystemRoot& root, const std::string& whose) {
  std::vector<Mount> mounts;
  for_each_line(root.proc + "/" + whose + "/mountinfo", [&](std::string_view line) {
    const size_t dash = line.find(" - cgroup");
    if (dash == line.npos) return;
    const auto before = words(line.substr(0, dash)), after = words(line.substr(dash + 3));
    if (before.size() < 6 || after.size() < 3) return;
    const bool v2 = after[0] == "cgroup2";
    mounts.push_back(
        {v2 ? "" : "," + after[2] + ",", before[3] == "/" ? "" : before[3], before[4]});
  });
  return mounts;
}

// The path of the process's group: the line "N:controllers:PATH", "0::PATH" for version 2.
std::optional<std::string> group_path(std::string_view cgroup, const FileRow& row) {
  while (!cgroup.empty()) {
    const std::string_view line = cgroup.substr(0, cgroup.find('\n'));
    cgroup.remove_prefix(std::min(line.size() + 1, cgroup.size()));
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string controllers =
        "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
    if (row.version == 2 ? controllers == ",,"
                         : controllers.find(row.controller) != controllers.npos)
      return line.substr(second + 1).starts_with('/')
                 ? std::optional(std::string(line.substr(second + 1)))
                 : std::nullopt;
  }
  return std::nullopt;
}

// The keys of memory.stat that count the file cache of a group and of those below it.
uint64_t file_cache(const std::string& folder, unsigned version) {
  const std::string stat = read_small(folder + "/memory.stat").value_or("");
  const bool v1 = version == 1;
  return number_after(stat, v1 ? "total_inactive_file" : "inactive_file").value_or(0) +
         number_after(stat, v1 ? "total_active_file" : "active_file").value_or(0);
}

// How much more swap one group allows. Version 1 limits memory and swap together: what memory alone
// may still grow is no more room there.
std::optional<uint64_t> swap_room(const std::string& folder, unsigned version) {
  const bool v1 = version == 1;
  const auto limit = number_in(folder + (v1 ? "/memory.memsw.limit_in_bytes" : "/memory.swap.max")),
             used =
                 number_in(folder + (v1 ? "/memory.memsw.usage_in_bytes" : "/memory.swap.current"));
  if (!limit) return std::nullopt;
  if (*limit >= kNoLimitV1) return ovcshim::kInfinite;
  if (!used) return std::nullopt;
  const uint64_t left = *limit - std::min(*limit, *used);
  if (!v1) return left;
  const auto memory = number_in(folder + "/memory.limit_in_bytes"),
             resident = number_in(folder + "/memory.usage_in_bytes");
  if (!memory || !resident) return std::nullopt;
  return left - std::min(left, *memory - std::min(*memory, *resident));
}

void add_memory(const std::string& folder, GroupLimit& group) {
  const bool v1 = group.version == 1;
  group.cache = std::min(file_cache(folder, group.version), group.used.value_or(0));
  group.most = number_in(folder + (v1 ? "/memory.max_usage_in_bytes" : "/memory.peak"));
}

std::optional<GroupLimit> read_limit(const std::string& folder, const FileRow& row) {
  const auto limit = number_in(folder + "/" + std::string(row.limit));
  if (!limit || *limit >= kNoLimitV1) return std::nullopt;
  GroupLimit found;
  found.kind = row.kind;
  found.version = row.version;
  found.limit = *limit;
  found.used = number_in(folder + "/" + std::string(row.used));
  if (row.kind == GroupLimit::Kind::kMemory && row.version == 1)
    found.killer_disabled = number_after(read_small(folder + "/memory.oom_control").value_or(""),
                                         "oom_kill_disable") == 1;
  if (row.kind != GroupLimit::Kind::kTasks) add_memory(folder, found);
  return found;
}

// Below what is mounted there? "" is the mount's own top.
std::optional<std::string> path_below(const Mount& mount, const std::string& path) {
  if (path == mount.top) return "";
  if (!path.starts_with(mount.top + "/")) return std::nullopt;
  const std::string rest = path.substr(mount.top.size());
  if (rest.find("/..") != rest.npos) return std::nullopt;
  return rest == "/" ? "" : rest;
}

// The mount in which the group is found; of several the one that was mounted last. What lies at the
// top of another mount is somebody else's group.
const Mount* mount_of(const SystemRoot& root, const std::vector<Mount>& mounts,
                      const std::string& path, const FileRow& row) {
  const Mount* found = nullptr;
  for (const Mount& mount : mounts) {
    const bool serves = row.version == 2
                            ? mount.controllers.empty()
                            : mount.controllers.find(row.controller) != std::string::npos;
    const auto below = serves ? path_below(mount, path) : std::nullopt;
    if (below && access((root.files + mount.point + *below).c_str(), F_OK) == 0) found = &mount;
  }
  return found;
}

// What one level has besides its own limit: swap counts at each of them.
void add_level(const std::string& folder, const std::string& path, const FileRow& row,
               std::optional<uint64_t>& swap, GroupLimits& groups) {
  if (row.kind == GroupLimit::Kind::kTasks) return;
  if (const auto room = swap_room(folder, row.version))
    swap = std::min(*room, swap.value_or(ovcshim::kInfinite));
  if (row.kind == GroupLimit::Kind::kMemory && number_in(folder + "/memory.oom.group") == 1)
    groups.killed_together.push_back(path);
}

// From the group of the process up to the top of the mount.
void read_upwards(const SystemRoot& root, const Mount& mount, std::string path, const FileRow& row,
                  GroupLimits& groups) {
  path = path_below(mount, path).value_or("");
  if (!mount.top.empty()) groups.all_visible = false;
  std::optional<uint64_t> swap;
  for (;;) {
    const std::string place = mount.point + path, folder = root.files + place;
    add_level(folder, place, row, swap, groups);
    if (auto limit = read_limit(folder, row)) {
      limit->path = place;
      limit->swap_room = swap;
      groups.limits.push_back(std::move(*limit));
    }
    if (path.empty()) return;
    path.erase(path.rfind('/'));
  }
}

// All folders below a mount, up to a number that no machine's groups come near.
std::optional<std::string> folder_of(const std::string& top, uint64_t inode) {
  constexpr int kMost = 50000;
  std::error_code error;
  struct stat info {};
  if (stat(top.c_str(), &info) == 0 && info.st_ino == inode) return top;
  int looked_at = 0;
  for (std::filesystem::recursive_directory_iterator
           it(top, std::filesystem::directory_options::skip_permission_denied, error),
       end;
       !error && it != end && looked_at < kMost; it.increment(error)) {
    if (!it->is_directory(error) || it->is_symlink(error)) continue;
    ++looked_at;
    if (stat(it->path().c_str(), &info) == 0 && info.st_ino == inode) return it->path();
  }
  return std::nullopt;
}

bool in_initial_cgroup_namespace(const SystemRoot& root) {
  return namespace_inode(root.proc + "/self/ns/cgroup") == kInitialCgroupNs;
}

MemoryGroupNow memory_figures(const std::string& folder, bool v2) {
  MemoryGroupNow group;
  group.path = folder;
  group.limit = number_in(folder + (v2 ? "/memory.max" : "/memory.limit_in_bytes"));
  group.used = number_in(folder + (v2 ? "/memory.current" : "/memory.usage_in_bytes"));
  const auto events =
      read_small(folder + (v2 ? "/memory.events" : "/memory.oom_control")).value_or("");
  group.kills = number_after(events, "oom_kill ");
  group.reached = v2 ? number_after(events, "max ") : number_in(folder + "/memory.failcnt");
  if (v2) group.oom = number_after(events, "oom ");
  group.version = v2 ? 2 : 1;
  if (group.limit && *group.limit >= kNoLimitV1) group.limit.reset();
  return group;
}

}  // namespace

std::vector<MemoryGroupNow> find_memory_groups(const SystemRoot& root, uint64_t inode) {
  std::vector<MemoryGroupNow> groups;
  for (const Mount& mount : cgroup_mounts(root, "self")) {
    const bool v2 = mount.controllers.empty();
    if (!v2 && mount.controllers.find(",memory,") == std::string::npos) continue;
    const std::string top = root.files + mount.point;
    auto folder = folder_of(top, inode);
    if (!folder) continue;
    groups.push_back(memory_figures(*folder, v2));
    while (folder->size() > top.size()) {
      folder->erase(folder->rfind('/'));
      groups.push_back(memory_figures(*folder, v2));
    }
    groups.back().is_root = mount.top.empty() && in_initial_cgroup_namespace(root);
    return groups;
  }
  return groups;
}

GroupLimits read_group_limits(const SystemRoot& root, uint32_t pid) {
  GroupLimits groups;
  const auto mounts = cgroup_mounts(root, "self");
  // Where ours show nothing of it, from another container: what it sees itself, through its root.
  const std::string number = std::to_string(pid);
  const SystemRoot theirs{root.proc, root.proc + "/" + number + "/root"};
  const auto their_mounts = cgroup_mounts(root, number);
  const auto cgroup = read_small(root.proc + "/" + std::to_string(pid) + "/cgroup");
  for (const FileRow& row : kFiles) {
    const auto path = cgroup ? group_path(*cgroup, row) : std::nullopt;
    if (!path) continue;
    if (const Mount* mount = mount_of(root, mounts, *path, row)) {
      read_upwards(root, *mount, *path, row, groups);
      continue;
    }
    groups.all_visible = false;
    if (const Mount* mount = mount_of(theirs, their_mounts, *path, row))
      read_upwards(theirs, *mount, *path, row, groups);
  }
  if (!cgroup || !in_initial_cgroup_namespace(root)) groups.all_visible = false;
  return groups;
}

}  // namespace ovc
