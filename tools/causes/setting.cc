// SPDX-License-Identifier: MIT
//
// See setting.h: the tables of programs, and of the words that those who run them use for limits.
#include "tools/causes/setting.h"

#include <algorithm>
#include <iterator>

#include "shim/format/log_format.h"

namespace ovc {
namespace {

struct Program {
  std::string_view name;  // of the file or the command; a version may follow
  Service service;
  std::string_view comm = {};  // one file for several programs: the command's
};
constexpr Program kPrograms[] = {
    {"redis-server", Service::kRedis},
    {"valkey-server", Service::kRedis},
    {"keydb-server", Service::kRedis},
    {"postgres", Service::kPostgres},
    {"postmaster", Service::kPostgres},
    {"java", Service::kJava},
    {"node", Service::kNode},
    {"nodejs", Service::kNode},
    {"php-fpm", Service::kPhpFpm},
    // Debian's redis-server and valkey-server are links to these
    {"redis-check-rdb", Service::kRedis, "redis-server"},
    {"valkey-check-rdb", Service::kRedis, "valkey-server"},
};

struct Knob {
  std::string_view kind;
  Place place;
  std::string_view text;  // {unit} stands for its name
};
// clang-format off
constexpr Knob kKnobs[] = {
    {"memory",  Place::kUnit,       "MemoryMax= in {unit}"},
    {"memory",  Place::kDocker,     "docker run --memory"},
    {"memory",  Place::kPodman,     "podman run --memory"},
    {"memory",  Place::kKubernetes, "resources.limits.memory of its container"},
    {"tasks",   Place::kUnit,       "TasksMax= in {unit}"},
    {"tasks",   Place::kDocker,     "docker run --pids-limit"},
    {"tasks",   Place::kPodman,     "podman run --pids-limit"},
    {"tasks",   Place::kKubernetes, "podPidsLimit of the kubelet"},
    {"as",      Place::kUnit,       "LimitAS= in {unit}"},
    {"as",      Place::kUnknown,    "ulimit -v where it is started"},
    {"data",    Place::kUnit,       "LimitDATA= in {unit}"},
    {"data",    Place::kDocker,     "docker run --ulimit data="},
    {"data",    Place::kPodman,     "podman run --ulimit data="},
    {"data",    Place::kUnknown,    "ulimit -d where it is started"},
    {"memlock", Place::kUnit,       "LimitMEMLOCK= in {unit}"},
    {"memlock", Place::kDocker,     "docker run --ulimit memlock="},
    {"memlock", Place::kPodman,     "podman run --ulimit memlock="},
    {"memlock", Place::kUnknown,    "ulimit -l where it is started"},
    {"nproc",   Place::kUnit,       "LimitNPROC= in {unit}"},
    {"nproc",   Place::kDocker,     "docker run --ulimit nproc="},
    {"nproc",   Place::kPodman,     "podman run --ulimit nproc="},
    {"nproc",   Place::kUnknown,    "ulimit -u where it is started"},
    {"nofile",  Place::kUnit,       "LimitNOFILE= in {unit}"},
    {"nofile",  Place::kDocker,     "docker run --ulimit nofile="},
    {"nofile",  Place::kPodman,     "podman run --ulimit nofile="},
    {"nofile",  Place::kUnknown,    "ulimit -n where it is started"},
    {"shm",     Place::kDocker,     "docker run --shm-size"},
    {"shm",     Place::kPodman,     "podman run --shm-size"},
    {"shm",     Place::kKubernetes, "an emptyDir with medium: Memory on /dev/shm"},
    {"sysctl",  Place::kDocker,     "docker run --sysctl"},
    {"sysctl",  Place::kPodman,     "podman run --sysctl"},
    {"sysctl",  Place::kKubernetes, "securityContext.sysctls of its pod"},
    {"seccomp", Place::kUnit,       "SystemCallFilter= in {unit}"},
    {"seccomp", Place::kDocker,     "docker run --security-opt seccomp=FILE, or a newer Docker and libseccomp"},
    {"seccomp", Place::kPodman,     "podman run --security-opt seccomp=FILE, or a newer libseccomp"},
    {"seccomp", Place::kKubernetes, "securityContext.seccompProfile of its container"},
    {"mdwe",    Place::kUnit,       "MemoryDenyWriteExecute=no in {unit}"},
    {"init",    Place::kDocker,     "docker run --init"},
    {"init",    Place::kPodman,     "podman run --init"},
    {"init",    Place::kUnknown,    "unshare --fork"},
};
// clang-format on

constexpr size_t kIdDigits = 64;  // of a container

bool is_name(std::string_view file, std::string_view name) {
  if (!file.starts_with(name)) return false;
  const std::string_view rest = file.substr(name.size());
  return rest.empty() || rest.find_first_not_of("0123456789.-") == rest.npos;
}

std::string_view file_name(std::string_view path) {
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.ends_with(kDeleted)) path.remove_suffix(kDeleted.size());
  return path.substr(path.rfind('/') + 1);
}

bool is_id(std::string_view word) {
  return word.size() == kIdDigits && word.find_first_not_of("0123456789abcdef") == word.npos;
}

// "PREFIX-ID.scope", as systemd's cgroup driver names a container's group.
bool is_scope_of(std::string_view part, std::string_view prefix) {
  return part.starts_with(prefix) && part.ends_with(".scope") &&
         is_id(part.substr(prefix.size(), kIdDigits));
}

bool is_unit(std::string_view part) {
  const auto fit = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view(":_.@-").find(c) != std::string_view::npos;
  };
  return (part.ends_with(".service") || part.ends_with(".scope")) &&
         std::all_of(part.begin(), part.end(), fit);
}

// The parts of a path from its end; false: there is none left.
bool take_last(std::string_view& path, std::string_view& part) {
  while (path.ends_with('/')) path.remove_suffix(1);
  if (path.empty()) return false;
  part = path.substr(path.rfind('/') + 1);
  path.remove_suffix(part.size());
  return true;
}

Place place_by_path(std::string_view path, std::string* unit) {
  Place place = Place::kUnknown;
  for (std::string_view part, inner; take_last(path, part); inner = part) {
    if (part.starts_with("kubepods")) return Place::kKubernetes;
    if (is_scope_of(part, "docker-") || (part == "docker" && is_id(inner))) place = Place::kDocker;
    if (is_scope_of(part, "libpod-") || part.starts_with("libpod_parent")) place = Place::kPodman;
    if (place != Place::kUnknown || !is_unit(part)) continue;
    place = Place::kUnit;
    if (unit) *unit = part;
  }
  return place;
}

Place place_by_files(const Setting& setting) {
  const uint64_t files = setting.place_files.value_or(0);
  if (files & ovcshim::kPlaceKubernetes) return Place::kKubernetes;
  if (files & ovcshim::kPlacePodman) return Place::kPodman;
  return files & ovcshim::kPlaceDocker ? Place::kDocker : Place::kUnknown;
}

}  // namespace

Service service_of(const Setting& setting, std::string_view comm) {
  const std::string_view name = setting.exe.empty() ? comm : file_name(setting.exe);
  for (const Program& program : kPrograms)
    if (is_name(name, program.name) && (program.comm.empty() || program.comm == comm))
      return program.service;
  return Service::kNone;
}

// The path of a group says more than the files of a container: systemd may run in one, too.
Place place_of(const Setting& setting, std::string* unit) {
  Place place = Place::kUnknown;
  for (const std::string& path : setting.groups) {
    std::string name;
    const Place found = place_by_path(path, &name);
    if (found <= place) continue;
    place = found;
    if (unit) *unit = name;
  }
  return place == Place::kUnknown ? place_by_files(setting) : place;
}

std::string knob_text(std::string_view kind, const Setting& setting) {
  std::string unit;
  const Place place = place_of(setting, &unit);
  for (const Knob& knob : kKnobs) {
    if (knob.kind != kind || knob.place != place) continue;
    std::string text = " (" + std::string(knob.text) + ")";
    if (const size_t at = text.find("{unit}"); at != text.npos) text.replace(at, 6, unit);
    return text;
  }
  return "";
}

std::string outside_text(const Setting& setting) {
  std::string unit;
  switch (place_of(setting, &unit)) {
    case Place::kUnit:
      return "systemd ends a unit that does not stop in TimeoutStopSec= so: journalctl -u " + unit;
    case Place::kDocker:
      return "docker stop ends it so after 10 s, docker kill at once: docker events";
    case Place::kPodman:
      return "podman stop ends it so after 10 s, podman kill at once: podman events";
    case Place::kKubernetes:
      return "the kubelet ends a container so whose probe failed or that does not stop: kubectl "
             "describe pod";
    case Place::kUnknown: break;
  }
  return "";
}

}  // namespace ovc
