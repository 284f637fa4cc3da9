// SPDX-License-Identifier: MIT
//
// Who can have answered EAGAIN to a new task, and what rules each of them out: figures, counters
// that would have counted it, and the clones that the shim tried right after it, which pass some of
// the checks and fail at an argument (kernel/fork.c copy_process(): RLIMIT_NPROC, threads-max, ...,
// process number, ..., control group).
#include "tools/causes/causes_tasks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "tools/causes/finding_text.h"
#include "tools/text/output.h"

namespace ovc::causes {

using ovcshim::FactKey;

namespace {

constexpr uint64_t kLastPids = 300;  // kernel/pid.c RESERVED_PIDS
constexpr uint64_t kNumbersPerTask =
    3;  // its own, and those of a process group and a session that outlive their leader
constexpr uint64_t kAbsurdTasks = 1 << 30;
constexpr uint64_t kSchedDeadline = 6;
constexpr int64_t kBeforeMemoryCopyNs =
    30'000;  // a fork that took less never came to the cgroup and pid checks
constexpr KernelVersion kEventsAtOwner{
    6, 11};  // pids.events of v2 counts where the limit is, not where the fork is
constexpr uint64_t kOwnGroup = 1, kRootGroup = 2;  // FactKey::kPidsGroup

// Whose tasks RLIMIT_NPROC does not count against: root of the initial user namespace, and two
// capabilities there.
bool nproc_exempt(const Evidence& evidence) {
  const bool root =
      evidence.fact(FactKey::kUid) == 0 && evidence.fact(FactKey::kUserNsIdentity) == 1;
  return root || capable(evidence, kCapSysResource) == true ||
         capable(evidence, kCapSysAdmin) == true;
}

// Too fast to have copied the memory: refused by what is checked before that.
bool refused_before_copy(const Evidence& evidence) {
  return copies_memory(evidence.event) && evidence.duration_ns &&
         *evidence.duration_ns < kBeforeMemoryCopyNs;
}

// Does every refusal by the pids controller, also by a limit of a group above, count in the group
// of the task? Then the counter must be that of its own group.
bool pids_counted_here(const Evidence& evidence) {
  if (evidence.fact(FactKey::kPidsGroup) != kOwnGroup) return false;
  const auto version = evidence.fact(FactKey::kPidsVersion);
  const bool version1 = version ? *version == 1 : evidence.fact(FactKey::kMemcgVersion) == 1;
  return version1 || (evidence.rules.kernel.known() && evidence.rules.kernel < kEventsAtOwner);
}

// It is in the root of the hierarchy, or nothing above it has a limit.
bool no_pids_limit(const Evidence& evidence) {
  if (evidence.fact(FactKey::kPidsGroup) == kRootGroup) return true;
  if (evidence.fact(FactKey::kPidsGroupsSeen) != 1 || !evidence.snapshot) return false;
  const auto groups = groups_of(*evidence.snapshot, "pids");
  return !groups.empty() && std::all_of(groups.begin(), groups.end(), [](const GroupFigures& g) {
    return !g.limits() && (g.limit || g.level != 0);  // the root has no such file
  });
}

}  // namespace

Probes probes_of(const Evidence& evidence) {
  const auto late = evidence.fact(FactKey::kForkProbe),
             early = evidence.fact(FactKey::kForkProbeEarly);
  Probes probes;
  probes.passed_user = late == EFAULT || early == EPERM;
  probes.passed_numbers = late == EFAULT;
  probes.stopped_at_user = early == EAGAIN;
  probes.stopped_before_group = late == EAGAIN || early == EAGAIN;
  return probes;
}

TaskSuspects task_suspects(const Evidence& evidence) {
  const auto nproc = evidence.fact(FactKey::kRlimitNproc),
             tasks = evidence.fact(FactKey::kTasksTotal),
             threads = evidence.fact(FactKey::kThreadsMax),
             numbers = evidence.fact(FactKey::kPidMax);
  const auto below = [&](std::optional<uint64_t> limit) {
    return tasks && limit && *tasks < *limit;
  };
  const bool fast = refused_before_copy(evidence);
  const Probes probes = probes_of(evidence);
  const bool unlimited = nproc && *nproc >= ovcshim::kInfinite;
  TaskSuspects s{};
  s.nproc = !nproc_exempt(evidence) && !unlimited && !below(nproc) && !probes.passed_user;
  s.threads = !below(threads) && !probes.passed_user;
  s.numbers = !fast && !probes.passed_numbers && !probes.stopped_at_user &&
              !(tasks && numbers && *tasks < kAbsurdTasks &&
                *tasks * kNumbersPerTask + kLastPids < *numbers);
  s.pids = !fast && !probes.stopped_before_group && !no_pids_limit(evidence) &&
           !(evidence.rise(FactKey::kPidsEventsMax) == 0 && pids_counted_here(evidence));
  const bool filter = evidence.fact(FactKey::kSeccomp) != 0 && !evidence.granted_before;
  s.others =
      filter || evidence.fact(FactKey::kSchedPolicy).value_or(kSchedDeadline) == kSchedDeadline;
  return s;
}

bool only(const TaskSuspects& s, bool TaskSuspects::*suspect) {
  return s.*suspect && s.nproc + s.threads + s.numbers + s.pids + s.others == 1;
}

std::optional<GroupFigures> full_pids_group(const Evidence& evidence) {
  if (evidence.snapshot)
    for (GroupFigures& group : groups_of(*evidence.snapshot, "pids"))
      if (group.is_full()) return std::move(group);
  GroupFigures own;
  own.limit = evidence.fact(FactKey::kPidsMax);
  own.used = evidence.fact(FactKey::kPidsCurrent);
  return own.is_full() ? std::optional(own) : std::nullopt;
}

namespace {

std::string text_of(std::optional<uint64_t> value) {
  return !value ? "not known" : *value >= ovcshim::kInfinite ? "unlimited" : grouped(*value);
}

Suspect pids_suspect(const Evidence& evidence) {
  const auto full = full_pids_group(evidence);
  const auto rose = evidence.rise(FactKey::kPidsEventsMax);
  Suspect suspect{"pids-max", "", full ? (rose.value_or(0) ? 0u : 1u) : 4u};
  if (full) {
    suspect.text =
        fmt::format("pids.max: {} of {} tasks in the control group{}{}", grouped(*full->used),
                    grouped(*full->limit), full->path.empty() ? "" : " ", escaped(full->path));
  } else {
    const auto limit = evidence.fact(FactKey::kPidsMax);
    suspect.text = limit
                       ? fmt::format("pids.max of a control group: {} of {} tasks in its own",
                                     text_of(evidence.fact(FactKey::kPidsCurrent)), text_of(limit))
                       : std::string("pids.max of a control group: its own is not visible here");
  }
  if (rose && *rose)
    suspect.text += fmt::format(", and it counted {}", counted(grouped(*rose), "refusals"));
  return suspect;
}

Suspect nproc_suspect(const Evidence& evidence) {
  return {
      "rlimit-nproc",
      fmt::format("RLIMIT_NPROC {}: the tasks of uid {} on the whole host are not counted "
                  "here; this process has {}",
                  text_of(evidence.fact(FactKey::kRlimitNproc)),
                  text_of(evidence.fact(FactKey::kUid)), text_of(evidence.fact(FactKey::kThreads))),
      2};
}

Suspect host_suspect(const Evidence& evidence, std::string_view cause, std::string_view name,
                     FactKey limit_key) {
  const auto tasks = evidence.fact(FactKey::kTasksTotal), limit = evidence.fact(limit_key);
  const bool near = tasks && limit && *tasks + kLastPids >= *limit;
  const std::string held = tasks ? grouped(*tasks) + " tasks on the host"
                                 : std::string("how many tasks the host has is not known");
  return {cause, fmt::format("{}{}: {}", name, limit ? " " + text_of(limit) : "", held),
          near ? 1u : 5u};
}

}  // namespace

void add_task_suspects(const Evidence& evidence, Finding& finding) {
  const TaskSuspects s = task_suspects(evidence);
  auto& list = finding.suspects;
  if (s.pids) list.push_back(pids_suspect(evidence));
  if (s.nproc) list.push_back(nproc_suspect(evidence));
  if (s.threads)
    list.push_back(
        host_suspect(evidence, "threads-max", "kernel.threads-max", FactKey::kThreadsMax));
  if (s.numbers)
    list.push_back(host_suspect(evidence, "pid-max", "kernel.pid_max", FactKey::kPidMax));
}

}  // namespace ovc::causes
