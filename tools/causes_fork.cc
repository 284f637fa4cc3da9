// SPDX-License-Identifier: MIT
//
// fork, _Fork, vfork, clone and pthread_create. Order as in kernel/fork.c copy_process(), except that a cause which a
// counter proves goes before one that is left over when all others are excluded.
#include <sched.h>

#include <cerrno>

#include "tools/causes_detail.h"

namespace ovc {

using ovcshim::FactKey;

namespace causes {
namespace {

constexpr uint64_t kReservedPids = 300;         // kernel/pid.c RESERVED_PIDS
constexpr uint64_t kInitialPidNs = 0xEFFFFFFC;  // include/linux/proc_ns.h PROC_PID_INIT_INO
constexpr uint64_t kSchedDeadline = 6;
constexpr int64_t kBeforeMemoryCopyNs = 60'000;  // a fork that took less never came to the cgroup and pid checks
constexpr KernelVersion kEventsAtOwner{6, 11};   // pids.events of v2 counts where the limit is, not where the fork is

bool no_memory(const Evidence& evidence) { return evidence.err() == ENOMEM; }
bool copying_no_memory(const Evidence& evidence) { return no_memory(evidence) && copies_memory(evidence.event); }
bool try_again(const Evidence& evidence) { return evidence.err() == EAGAIN; }
bool is_thread(const Evidence& evidence) { return evidence.event.base.op == Op::kPthreadCreate; }

// ---- pthread_create: the stack comes before the task, and its ENOMEM is reported as EAGAIN ----

bool thread_try_again(const Evidence& evidence) { return is_thread(evidence) && (try_again(evidence) || no_memory(evidence)); }

bool with_stack_note(Finding& finding, bool proven) {
  if (proven) finding.notes.emplace_back("the stack is taken to have the default size, RLIMIT_STACK");
  return proven;
}
bool stack_over_rlimit_as(const Evidence& evidence, Finding& finding) {
  return with_stack_note(finding, over_rlimit_as(evidence, finding));
}
bool stack_over_commit_limit(const Evidence& evidence, Finding& finding) {
  return with_stack_note(finding, over_commit_limit(evidence, finding));
}

// ---- ENOMEM ----

bool pidns_init_dead(const Evidence& evidence, Finding& finding) {
  const auto own = evidence.fact(FactKey::kPidNs), children = evidence.fact(FactKey::kPidForChildrenNs);
  if (!own || !children || *own == 0 || *children == 0 || *own == *children) return false;
  finding.summary = "the pid namespace for new children has lost its init";
  add_figure(finding, "own pid namespace", own, "", "/proc/self/ns/pid");
  add_figure(finding, "pid namespace for children", children, "", "/proc/self/ns/pid_for_children");
  return true;
}

void add_memcg_figures(const Evidence& evidence, Finding& finding) {
  add_figure(finding, "limit", evidence.fact(FactKey::kMemcgLimit), "bytes", "memory.max or memory.limit_in_bytes");
  add_figure(finding, "usage", evidence.fact(FactKey::kMemcgUsage), "bytes", "memory.current or memory.usage_in_bytes");
  add_figure(finding, "limit hit since baseline", evidence.rise(FactKey::kMemcgFailcnt), "times",
             "memory.events max or memory.failcnt");
  add_figure(finding, "OOM kills since baseline", evidence.rise(FactKey::kMemcgOomKill), "",
             "memory.events or memory.oom_control");
}

// Version 2 fails a call only when the OOM killer finds nobody; version 1 only when it is switched off.
bool memcg(const Evidence& evidence, Finding& finding) {
  const bool hit = evidence.rise(FactKey::kMemcgFailcnt).value_or(0) > 0;
  const bool nobody_killed = evidence.rise(FactKey::kMemcgOomKill).value_or(1) == 0;
  const bool v2 =
      evidence.fact(FactKey::kMemcgVersion) == 2 && evidence.rise(FactKey::kMemcgOom).value_or(0) > 0 && nobody_killed;
  const bool v1 = evidence.fact(FactKey::kMemcgVersion) == 1 && evidence.fact(FactKey::kMemcgOomKillDisable) == 1;
  if (!hit || !(v1 || v2)) return false;
  finding.summary = "memory limit of the control group reached, and its OOM killer could not help";
  add_memcg_figures(evidence, finding);
  return true;
}

// ---- EAGAIN ----

bool pids_max(const Evidence& evidence, Finding& finding) {
  const auto limit = evidence.fact(FactKey::kPidsMax), current = evidence.fact(FactKey::kPidsCurrent);
  const auto refused = evidence.rise(FactKey::kPidsEventsMax);
  const bool full = limit && current && *limit < ovcshim::kInfinite && *current >= *limit;
  if (refused.value_or(0) == 0 && !full) return false;
  finding.summary = full ? "task limit of the control group reached (pids.max)"
                         : "task limit of a control group above this one, or reached for a moment (pids.max)";
  add_figure(finding, "pids.max", limit, "tasks", "pids.max");
  add_figure(finding, "pids.current", current, "tasks", "pids.current");
  add_figure(finding, "refusals since baseline", refused, "", "pids.events max");
  if (full) miss_by(finding, *current + 1, *limit, "tasks");
  return true;
}

bool threads_max(const Evidence& evidence, Finding& finding) {
  const auto tasks = evidence.fact(FactKey::kTasksTotal), limit = evidence.fact(FactKey::kThreadsMax);
  if (!tasks || !limit || *tasks < *limit) return false;
  finding.summary = "task limit of the whole host reached (kernel.threads-max)";
  add_figure(finding, "tasks", tasks, "tasks", "/proc/loadavg");
  add_figure(finding, "kernel.threads-max", limit, "tasks", "/proc/sys/kernel/threads-max");
  miss_by(finding, *tasks + 1, *limit, "tasks");
  return true;
}

// Numbers are held by tasks, and also by zombies, process groups and sessions; so fewer tasks than numbers can fill it.
bool pid_max(const Evidence& evidence, Finding& finding) {
  const auto tasks = evidence.fact(FactKey::kTasksTotal), limit = evidence.fact(FactKey::kPidMax);
  if (!tasks || !limit || evidence.fact(FactKey::kPidNs) != kInitialPidNs || *tasks + kReservedPids < *limit) return false;
  finding.summary = "no process number left (kernel.pid_max)";
  add_figure(finding, "tasks", tasks, "tasks", "/proc/loadavg");
  add_figure(finding, "kernel.pid_max", limit, "", "/proc/sys/kernel/pid_max");
  finding.borderline = *tasks < *limit - 1;
  return true;
}

void fill_nproc(const Evidence& evidence, Finding& finding, uint64_t limit) {
  finding.summary = "task limit of the user reached (RLIMIT_NPROC)";
  add_figure(finding, "RLIMIT_NPROC", limit, "tasks", "getrlimit");
  add_figure(finding, "threads of this process", evidence.fact(FactKey::kThreads), "tasks", "/proc/self/status");
  add_figure(finding, "uid", evidence.fact(FactKey::kUid), "", "/proc/self/status");
  finding.notes.emplace_back("the limit counts all tasks of the user id on the whole host, other containers included");
}

bool nproc_by_count(const Evidence& evidence, Finding& finding) {
  const auto limit = evidence.fact(FactKey::kRlimitNproc), threads = evidence.fact(FactKey::kThreads);
  if (!limit || *limit >= ovcshim::kInfinite || !threads || *threads < *limit || !nproc_limit_applies(evidence)) return false;
  fill_nproc(evidence, finding, *limit);
  miss_by(finding, *threads + 1, *limit, "tasks");
  return true;
}

// Could a limit of the pids controller have refused without a trace in the counter we read?
bool pids_controller_excluded(const Evidence& evidence) {
  if (copies_memory(evidence.event) && evidence.duration_ns && *evidence.duration_ns < kBeforeMemoryCopyNs) return true;
  const auto refused = evidence.rise(FactKey::kPidsEventsMax);
  const bool counts_here = evidence.rules.kernel.known() && evidence.rules.kernel < kEventsAtOwner;
  return refused && *refused == 0 && counts_here;
}

// What is left when every other way to EAGAIN is excluded by a recorded figure.
bool nproc_by_exclusion(const Evidence& evidence, Finding& finding) {
  const auto limit = evidence.fact(FactKey::kRlimitNproc), tasks = evidence.fact(FactKey::kTasksTotal);
  const auto threads_limit = evidence.fact(FactKey::kThreadsMax), pid_limit = evidence.fact(FactKey::kPidMax);
  if (!limit || *limit >= ovcshim::kInfinite || !tasks || *tasks < *limit || !nproc_limit_applies(evidence)) return false;
  if (!threads_limit || *tasks >= *threads_limit || !pid_limit || *tasks * 2 >= *pid_limit) return false;
  if (evidence.fact(FactKey::kSeccomp) != 0 || evidence.fact(FactKey::kSchedPolicy).value_or(kSchedDeadline) == kSchedDeadline)
    return false;
  if (is_thread(evidence) || !pids_controller_excluded(evidence)) return false;
  fill_nproc(evidence, finding, *limit);
  finding.notes.emplace_back("proven by exclusion: threads-max, pid_max, pids.max, seccomp and SCHED_DEADLINE are ruled out");
  return true;
}

// ---- arguments ----

bool invalid(const Evidence& evidence) {
  return evidence.err() == EINVAL && (evidence.event.base.op == Op::kClone || is_thread(evidence));
}

// Without attributes, or after the stack was made, it was clone that rejected the thread: no argument of the caller's.
bool bad_argument(const Evidence& evidence, Finding& finding) {
  if (is_thread(evidence) && (evidence.event.base.args[0] == 0 || !evidence.inner.empty())) return false;
  if (evidence.fact(FactKey::kSeccomp).value_or(0) == 2) return false;
  finding.summary = is_thread(evidence) ? "pthread_create was given invalid attributes"
                                        : "clone was given an invalid combination of arguments";
  if (!is_thread(evidence)) add_figure(finding, "flags", evidence.event.base.args[0], "", "the call");
  return true;
}

constexpr std::string_view kCopyProcess = "kernel/fork.c copy_process()";
// clang-format off
constexpr CauseRow kRows[] = {
    {"bad-argument", invalid, bad_argument, "the kernel or libc rejects the arguments themselves", kCopyProcess},
    {"commit-limit", copying_no_memory, over_commit_limit,
     "fork asks for every accounted mapping once more, and the sum with what all processes were promised passes CommitLimit",
     "mm/mmap.c dup_mmap(); mm/util.c __vm_enough_memory(): allowed iff Committed_AS + request < CommitLimit - reserves"},
    {"single-request-over-ram-and-swap", copying_no_memory, over_ram_and_swap,
     "fork asks for each accounted mapping once more, and one of them alone is larger than the whole machine",
     "mm/mmap.c dup_mmap(); mm/util.c __vm_enough_memory(): refused iff one request > RAM + swap"},
    {"pidns-init-dead", no_memory, pidns_init_dead, "the first process of a pid namespace has ended; the namespace takes no new ones",
     "kernel/pid.c alloc_pid()"},
    {"memcg", no_memory, memcg, "the kernel's own memory for the new process is charged to the control group and was refused",
     "mm/memcontrol.c try_charge_memcg()"},
    {"commit-limit", copying_no_memory, near_commit_limit,
     "by the recorded figures it would just have passed, but within the error of the counter that the kernel compares",
     "mm/mmap.c dup_mmap(); mm/util.c __vm_enough_memory()"},
    {"pids-max", try_again, pids_max, "the control group may hold no more tasks (processes and threads)", "kernel/cgroup/pids.c pids_can_fork()"},
    {"rlimit-nproc", try_again, nproc_by_count, "the user may have no more tasks (processes and threads)", kCopyProcess},
    {"threads-max", try_again, threads_max, "the host may have no more tasks; root is not exempt", kCopyProcess},
    {"pid-max", try_again, pid_max, "every process number is in use", "kernel/pid.c alloc_pid()"},
    {"rlimit-as", thread_try_again, stack_over_rlimit_as, "the new thread's stack does not fit into RLIMIT_AS",
     "nptl/allocatestack.c allocate_stack(); mm/vma.c may_expand_vm()"},
    {"commit-limit", thread_try_again, stack_over_commit_limit, "the new thread's stack does not fit under CommitLimit",
     "nptl/allocatestack.c allocate_stack(); mm/util.c __vm_enough_memory()"},
    {"rlimit-nproc", try_again, nproc_by_exclusion, "the user may have no more tasks (processes and threads)", kCopyProcess},
};
// clang-format on

}  // namespace
}  // namespace causes

bool nproc_limit_applies(const Evidence& evidence) {
  using namespace causes;
  const auto uid = evidence.fact(FactKey::kUid);
  const bool root = uid == 0 && evidence.fact(FactKey::kUserNsIdentity).value_or(1) == 1;
  return uid && !root && capable(evidence, kCapSysResource) == false && capable(evidence, kCapSysAdmin) == false;
}

std::span<const CauseRow> fork_causes() { return causes::kRows; }

}  // namespace ovc
