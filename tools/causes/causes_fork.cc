// SPDX-License-Identifier: MIT
//
// fork, _Fork, vfork, clone and pthread_create. Order as in kernel/fork.c copy_process(), except
// that a cause which a figure proves goes before one that is left over when all others are
// excluded.
#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>

#include "tools/causes/causes_tasks.h"
#include "tools/causes/errno_rows.h"
#include "tools/log/kernel_numbers.h"
#include "tools/log/names.h"
#include "tools/text/output.h"

namespace ovc {

using ovcshim::FactKey;

namespace causes {
namespace {

// Until glibc 2.37 (bug 29016) popen says ENOMEM whatever the spawn was refused for; wordexp always
// says that there is no space.
bool errno_is_lost(const Evidence& evidence) {
  return hides_errno(op_of(evidence)) && evidence.err() == ENOMEM;
}
bool copying_no_memory(const Evidence& evidence) {
  return no_memory(evidence) && copies_memory(evidence.event);
}
bool is_thread(const Evidence& evidence) {
  return evidence.event.base.op == Op::kPthreadCreate || evidence.event.base.op == Op::kThrdCreate;
}
// Where the stack was refused, clone was never asked.
bool try_again(const Evidence& evidence) {
  const auto failed = [](const Evidence& inner) { return inner.event.failed(); };
  const bool says_so = evidence.err() == EAGAIN || errno_is_lost(evidence);
  return says_so && std::none_of(evidence.inner.begin(), evidence.inner.end(), failed);
}

// ---- pthread_create: the stack comes before the task, and its ENOMEM is reported as EAGAIN ----

bool thread_try_again(const Evidence& evidence) {
  return is_thread(evidence) && (try_again(evidence) || no_memory(evidence));
}

bool with_stack_note(Finding& finding, bool proven) {
  if (proven)
    finding.notes.emplace_back("the stack is taken to have the default size, RLIMIT_STACK");
  return proven;
}
bool stack_over_rlimit_as(const Evidence& evidence, Finding& finding) {
  return with_stack_note(finding, over_rlimit_as(evidence, finding));
}
bool stack_over_commit_limit(const Evidence& evidence, Finding& finding) {
  return with_stack_note(finding, over_commit_limit(evidence, finding));
}

// ---- a filter that answers clone3 or clone itself ----

// Where the stack was refused, neither was asked.
bool filter_asked(const Evidence& evidence) {
  const bool asked = evidence.fact(FactKey::kClone3Answer) || evidence.fact(FactKey::kCloneAnswer);
  return asked && std::none_of(evidence.inner.begin(), evidence.inner.end(),
                               [](const Evidence& inner) { return inner.event.failed(); });
}

// The same call, with arguments that the kernel rejects, was answered otherwise than the kernel
// does.
bool filtered(const Evidence& evidence, Finding& finding, FactKey key, std::string_view call) {
  const auto answer = static_cast<unsigned>(evidence.fact(key).value_or(EINVAL));
  const bool same = answer == evidence.err() || errno_is_lost(evidence);
  if (answer == EINVAL || answer == ENOSYS || !same) return false;
  finding.summary =
      fmt::format("refused by a seccomp filter: it answers {} with {}", call, errno_name(answer));
  note_usual_filters(evidence, finding);
  return true;
}
bool clone3_filtered(const Evidence& evidence, Finding& finding) {
  return filtered(evidence, finding, FactKey::kClone3Answer,
                  "clone3, by which libc starts programs and threads,");
}
bool clone_filtered(const Evidence& evidence, Finding& finding) {
  return filtered(evidence, finding, FactKey::kCloneAnswer, "clone");
}

// ---- ENOMEM ----

bool pidns_init_dead(const Evidence& evidence, Finding& finding) {
  const auto own = evidence.fact(FactKey::kPidNs),
             children = evidence.fact(FactKey::kPidForChildrenNs);
  if (!own || !children || *own == 0 || *children == 0 || *own == *children) return false;
  finding.summary = "the pid namespace for new children has lost its init";
  add_figure(finding, "own pid namespace", own, "", "/proc/self/ns/pid");
  add_figure(finding, "pid namespace for children", children, "", "/proc/self/ns/pid_for_children");
  return true;
}

void add_memcg_figures(const Evidence& evidence, Finding& finding) {
  add_figure(finding, "limit", evidence.fact(FactKey::kMemcgLimit), "bytes",
             "memory.max or memory.limit_in_bytes");
  add_figure(finding, "usage", evidence.fact(FactKey::kMemcgUsage), "bytes",
             "memory.current or memory.usage_in_bytes");
  add_figure(finding, "limit hit since baseline", evidence.rise(FactKey::kMemcgFailcnt), "times",
             "memory.events max or memory.failcnt");
  add_figure(finding, "OOM kills since baseline", evidence.rise(FactKey::kMemcgOomKill), "",
             "memory.events or memory.oom_control");
}

// Version 2 fails a call only when the OOM killer finds nobody; version 1 only when it is switched
// off.
bool memcg(const Evidence& evidence, Finding& finding) { return memcg_full(evidence, finding); }

}  // namespace

bool memcg_full(const Evidence& evidence, Finding& finding) {
  const bool hit = evidence.rise(FactKey::kMemcgFailcnt).value_or(0) > 0;
  const bool nobody_killed = evidence.rise(FactKey::kMemcgOomKill).value_or(1) == 0;
  const bool v2 = evidence.fact(FactKey::kMemcgVersion) == 2 &&
                  evidence.rise(FactKey::kMemcgOom).value_or(0) > 0 && nobody_killed;
  const bool v1 = evidence.fact(FactKey::kMemcgVersion) == 1 &&
                  evidence.fact(FactKey::kMemcgOomKillDisable) == 1;
  if (!hit || !(v1 || v2)) return false;
  finding.summary = "memory limit of the control group reached, and its OOM killer could not help";
  add_memcg_figures(evidence, finding);
  return true;
}

namespace {

// ---- EAGAIN ----

bool is_finite(std::optional<uint64_t> limit) { return limit && *limit < ovcshim::kInfinite; }

// A stack of libc's making comes first: that clone was asked at all is seen only where libc's own
// calls are.
bool only_clone_is_left(const Evidence& evidence) {
  if (errno_is_lost(evidence)) return false;
  return !makes_stack(evidence.event.base.op) || evidence.sees_libc;
}

void note_exclusion(Finding& finding) {
  finding.notes.emplace_back(
      "proven by exclusion: of RLIMIT_NPROC, threads-max, pid_max, pids.max, seccomp and "
      "SCHED_DEADLINE the others are ruled "
      "out");
}

void fill_pids(const Evidence& evidence, Finding& finding) {
  const auto full = full_pids_group(evidence);
  const auto limit = full ? full->limit : evidence.fact(FactKey::kPidsMax),
             current = full ? full->used : evidence.fact(FactKey::kPidsCurrent);
  const bool above = full && full->level != 0;
  finding.summary =
      above  ? "task limit of a control group above its own reached (pids.max)"
      : full ? "task limit of the control group reached (pids.max)"
             : "task limit of a control group above this one, or reached for a moment (pids.max)";
  add_figure(finding, "pids.max", limit, "tasks", "pids.max");
  add_figure(finding, "pids.current", current, "tasks", "pids.current");
  add_figure(finding, "refusals since baseline", evidence.rise(FactKey::kPidsEventsMax), "",
             "pids.events max");
  if (full) miss_by(finding, *current + 1, *limit, "tasks");
  if (full && !full->path.empty())
    finding.notes.push_back("the control group: " + escaped(full->path));
}

// The group is full, and counted a refusal if that is known at all. What is checked earlier must be
// excluded: then it would have refused first, and the counter's step be somebody else's.
bool pids_full(const Evidence& evidence, Finding& finding) {
  const auto full = full_pids_group(evidence);
  const TaskSuspects s = task_suspects(evidence);
  if (!full || !s.pids || s.nproc || s.threads) return false;
  if (full->level == 0 && evidence.rise(FactKey::kPidsEventsMax) == 0) return false;
  fill_pids(evidence, finding);
  return true;
}

bool pids_by_exclusion(const Evidence& evidence, Finding& finding) {
  if (!only(task_suspects(evidence), &TaskSuspects::pids) || !only_clone_is_left(evidence))
    return false;
  fill_pids(evidence, finding);
  note_exclusion(finding);
  return true;
}

bool threads_max(const Evidence& evidence, Finding& finding) {
  const auto tasks = evidence.fact(FactKey::kTasksTotal),
             limit = evidence.fact(FactKey::kThreadsMax);
  if (!tasks || !limit || *tasks < *limit) return false;
  finding.summary = "task limit of the whole host reached (kernel.threads-max)";
  add_figure(finding, "tasks", tasks, "tasks", "/proc/loadavg");
  add_figure(finding, "kernel.threads-max", limit, "tasks", "/proc/sys/kernel/threads-max");
  miss_by(finding, *tasks + 1, *limit, "tasks");
  return true;
}

void fill_numbers(const Evidence& evidence, Finding& finding) {
  finding.summary = "no process number left (kernel.pid_max)";
  add_figure(finding, "tasks", evidence.fact(FactKey::kTasksTotal), "tasks", "/proc/loadavg");
  add_figure(finding, "kernel.pid_max", evidence.fact(FactKey::kPidMax), "",
             "/proc/sys/kernel/pid_max");
}

// Numbers are held by tasks, and also by process groups and sessions; so fewer tasks than numbers
// can fill it.
bool numbers_used_up(const Evidence& evidence, Finding& finding) {
  const auto tasks = evidence.fact(FactKey::kTasksTotal), limit = evidence.fact(FactKey::kPidMax);
  if (!tasks || !limit || evidence.fact(FactKey::kPidNs) != kInitialPidNs ||
      *tasks + kReservedPids < *limit)
    return false;
  const TaskSuspects s = task_suspects(evidence);  // what is checked before it would say the same
  if (!s.numbers || s.nproc || s.threads) return false;
  fill_numbers(evidence, finding);
  finding.borderline = *tasks < *limit - 1;
  return true;
}

// In a pid namespace with a limit of its own (since 6.14) its tasks cannot be told from the host's.
bool numbers_by_exclusion(const Evidence& evidence, Finding& finding) {
  if (!only(task_suspects(evidence), &TaskSuspects::numbers) || !only_clone_is_left(evidence))
    return false;
  fill_numbers(evidence, finding);
  finding.notes.emplace_back(
      "the limit may be that of the process's own pid namespace or of one around it");
  note_exclusion(finding);
  return true;
}

void fill_nproc(const Evidence& evidence, Finding& finding, uint64_t limit) {
  finding.summary = "task limit of the user reached (RLIMIT_NPROC)";
  add_figure(finding, "RLIMIT_NPROC", limit, "tasks", "getrlimit");
  add_figure(finding, "threads of this process", evidence.fact(FactKey::kThreads), "tasks",
             "/proc/self/status");
  add_figure(finding, "uid", evidence.fact(FactKey::kUid), "", "/proc/self/status");
  finding.notes.emplace_back(
      "the limit counts all tasks of the user id on the whole host, other containers included");
}

bool nproc_by_count(const Evidence& evidence, Finding& finding) {
  const auto limit = evidence.fact(FactKey::kRlimitNproc),
             threads = evidence.fact(FactKey::kThreads);
  if (!is_finite(limit) || !threads || *threads < *limit || !nproc_limit_applies(evidence))
    return false;
  fill_nproc(evidence, finding, *limit);
  miss_by(finding, *threads + 1, *limit, "tasks");
  return true;
}

bool nproc_by_exclusion(const Evidence& evidence, Finding& finding) {
  const auto limit = evidence.fact(FactKey::kRlimitNproc);
  if (!is_finite(limit) || !only(task_suspects(evidence), &TaskSuspects::nproc) ||
      !only_clone_is_left(evidence))
    return false;
  fill_nproc(evidence, finding, *limit);
  note_exclusion(finding);
  return true;
}

constexpr std::string_view kCopyProcess = "kernel/fork.c copy_process()";
constexpr std::string_view kUserFull = "the user may have no more tasks (processes and threads)";
constexpr std::string_view kGroupFull =
    "the control group may hold no more tasks (processes and threads)";
// clang-format off
constexpr CauseRow kRows[] = {
    {"seccomp", filter_asked, clone_filtered, "a filter can refuse a call with any errno; the kernel answers a clone whose arguments exclude each other with EINVAL",
     "kernel/seccomp.c __seccomp_filter(): SECCOMP_RET_ERRNO; kernel/fork.c copy_process()"},
    {"seccomp", filter_asked, clone3_filtered, "a filter can refuse a call with any errno; the kernel answers a clone3 without arguments with EINVAL",
     "kernel/seccomp.c __seccomp_filter(): SECCOMP_RET_ERRNO; kernel/fork.c copy_clone_args_from_user()"},
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
    {"rlimit-as", thread_try_again, stack_over_rlimit_as, "the new thread's stack does not fit into RLIMIT_AS",
     "nptl/allocatestack.c allocate_stack(); mm/vma.c may_expand_vm()"},
    {"commit-limit", thread_try_again, stack_over_commit_limit, "the new thread's stack does not fit under CommitLimit",
     "nptl/allocatestack.c allocate_stack(); mm/util.c __vm_enough_memory()"},
    {"rlimit-nproc", try_again, nproc_by_count, kUserFull, kCopyProcess},
    {"threads-max", try_again, threads_max, "the host may have no more tasks; root is not exempt", kCopyProcess},
    {"pids-max", try_again, pids_full, kGroupFull, "kernel/cgroup/pids.c pids_can_fork()"},
    {"pid-max", try_again, numbers_used_up, "every process number is in use", "kernel/pid.c alloc_pid()"},
    {"rlimit-nproc", try_again, nproc_by_exclusion, kUserFull, kCopyProcess},
    {"pid-max", try_again, numbers_by_exclusion, "every process number is in use", "kernel/pid.c alloc_pid()"},
    {"pids-max", try_again, pids_by_exclusion, kGroupFull, "kernel/cgroup/pids.c pids_can_fork()"},
};
constexpr CauseRow kExecRows[] = {
    {"memcg", no_memory, memcg, "the kernel's own memory for the new program is charged to the control group and was refused", "mm/memcontrol.c try_charge_memcg()"},
};
// clang-format on

}  // namespace
}  // namespace causes

bool nproc_limit_applies(const Evidence& evidence) {
  using namespace causes;
  const auto uid = evidence.fact(FactKey::kUid);
  const bool known_user = uid && *uid != 0 && evidence.fact(FactKey::kUserNsIdentity) == 1;
  return known_user && capable(evidence, kCapSysResource) == false &&
         capable(evidence, kCapSysAdmin) == false;
}

std::span<const CauseRow> fork_causes() { return causes::kRows; }
std::span<const CauseRow> exec_causes() { return causes::kExecRows; }

}  // namespace ovc
