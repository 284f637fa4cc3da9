// SPDX-License-Identifier: MIT
//
// Suspects of a refusal that nothing proves: every limit that the call could have met, with the
// figures that are known, nearest first.
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>

#include "tools/causes/causes_tasks.h"
#include "tools/log/call_families.h"
#include "tools/text/output.h"

namespace ovc::causes {

using ovcshim::FactKey;

namespace {

constexpr unsigned kPassed = 0, kNear = 1, kPossible = 3, kFar = 6;

// A limit of so many kB, of which so much is used and so much more was wanted.
void add_limit(Finding& finding, std::string_view cause, std::string_view name,
               std::optional<uint64_t> limit, std::optional<uint64_t> used,
               std::optional<uint64_t> wanted) {
  if (!limit) return;
  const uint64_t sum = used.value_or(0) + wanted.value_or(0);
  if (used && wanted && sum <= *limit && *limit - sum > *limit / 10) return;  // far from it
  const unsigned order = used && wanted && sum > *limit ? kPassed : used ? kNear : kPossible;
  std::string text = fmt::format("{} {} kB", name, grouped(*limit));
  if (used) text += fmt::format(", in use {} kB", grouped(*used));
  if (wanted) text += fmt::format(", asked for {} kB", grouped(*wanted));
  finding.suspects.push_back({cause, std::move(text), order});
}

void add_map_count(const Evidence& evidence, Finding& finding) {
  const auto count = map_count(evidence), most = evidence.fact(FactKey::kMaxMapCount);
  if (!count || !most || *count + 16 < *most) return;
  finding.suspects.push_back(
      {"max-map-count",
       fmt::format("vm.max_map_count: {} mappings of {}", grouped(*count), grouped(*most)),
       *count >= *most ? kPassed : kNear});
}

void add_commit(const Evidence& evidence, Finding& finding) {
  const auto& rules = evidence.rules;
  if (rules.mode == kModeAlways) return;
  if (!rules.mode) {
    finding.suspects.push_back(
        {"commit-limit", "overcommit: vm.overcommit_memory is not known", kPossible});
    return;
  }
  if (rules.mode == kModeGuess) {
    const bool sizes = rules.ram_kb && rules.swap_kb;
    if (!guess_limit_kb(rules))
      finding.suspects.push_back(
          {"single-request-over-ram-and-swap",
           sizes ? "overcommit (mode 0): this kernel may compare a request with free memory, as "
                   "before "
                   "Linux 5.2"
                 : "overcommit (mode 0): RAM and swap of the host are not known",
           kPossible});
    return;
  }
  const auto committed = committed_kb(evidence);
  if (!rules.limit_kb || !committed) {
    finding.suspects.push_back({"commit-limit",
                                "overcommit (mode 2): CommitLimit or Committed_AS is not known",
                                kPossible});
    return;
  }
  const uint64_t room = *rules.limit_kb - std::min(*rules.limit_kb, *committed);
  finding.suspects.push_back(
      {"commit-limit",
       fmt::format("overcommit (mode 2): CommitLimit {} kB, Committed_AS {} kB",
                   grouped(*rules.limit_kb), grouped(*committed)),
       room < *rules.limit_kb / 20 ? kNear : kFar});
}

void add_memory_groups(const Evidence& evidence, Finding& finding) {
  if (!evidence.snapshot) return;
  for (const GroupFigures& group : groups_of(*evidence.snapshot, "memory")) {
    constexpr uint64_t kCloseBytes = 1 << 20;
    if (!group.limits() || !group.used || *group.used + kCloseBytes < *group.limit) continue;
    finding.suspects.push_back(
        {"memcg",
         fmt::format("memory limit of the control group {}: {} of {} kB in use",
                     escaped(group.path), grouped(*group.used / 1024),
                     grouped(*group.limit / 1024)),
         kNear});
  }
}

// Known or not, near or not: what every call that asks for memory can meet.
void add_kernel_memory(const Evidence& evidence, Finding& finding) {
  const auto available = evidence.fact(FactKey::kMemAvailableKb);
  finding.suspects.push_back(
      {"unknown",
       fmt::format("no memory for what the kernel itself keeps of it (page tables, tasks): {}",
                   available ? fmt::format("MemAvailable {} kB on the host", grouped(*available))
                             : std::string("MemAvailable was not recorded")),
       kFar});
}

// Filters refuse to make processes more often than to give memory.
void add_seccomp(const Evidence& evidence, Finding& finding) {
  if (evidence.fact(FactKey::kSeccomp) != 2 || evidence.granted_before) return;
  finding.suspects.push_back({"seccomp",
                              "a seccomp filter: it can refuse a call with any errno and leaves no "
                              "trace; strace shows which call it refuses",
                              is_fork_op(op_of(evidence)) ? kPossible : kFar});
}

void add_memory_suspects(const Evidence& evidence, Finding& finding) {
  const Request request = request_of(evidence);
  add_limit(finding, "rlimit-as", "RLIMIT_AS", rlimit_kb(evidence, FactKey::kRlimitAs),
            vm_size_kb(evidence), request.space_kb);
  add_limit(finding, "rlimit-data", "RLIMIT_DATA", rlimit_kb(evidence, FactKey::kRlimitData),
            evidence.fact(FactKey::kVmDataKb), request.data_kb);
  add_map_count(evidence, finding);
  add_commit(evidence, finding);
}

bool may_be_locked(const Evidence& evidence) { return capable(evidence, kCapIpcLock) != true; }

void add_memlock(const Evidence& evidence, Finding& finding) {
  if (!may_be_locked(evidence)) return;
  add_limit(finding, "rlimit-memlock", "RLIMIT_MEMLOCK",
            rlimit_kb(evidence, FactKey::kRlimitMemlock), evidence.fact(FactKey::kVmLckKb), {});
}

// Without a proof recorded, every limit of this kind of call is as likely as the others.
void add_all_unrecorded(const Evidence& evidence, Finding& finding) {
  const bool tasks = is_fork_op(op_of(evidence)) && !no_memory(evidence);
  const std::string_view text =
      tasks
          ? "pids.max, RLIMIT_NPROC, kernel.threads-max, kernel.pid_max: none of them was recorded"
          : "overcommit, RLIMIT_AS, RLIMIT_DATA, vm.max_map_count: none of them was recorded";
  finding.suspects.push_back({"unknown", std::string(text), kPossible});
}

}  // namespace

void sort_suspects(Finding& finding) {
  std::stable_sort(finding.suspects.begin(), finding.suspects.end(),
                   [](const Suspect& a, const Suspect& b) { return a.order < b.order; });
}

void add_suspects(const Evidence& evidence, Finding& finding) {
  const Op op = op_of(evidence);
  const bool no_room = no_memory(evidence), again = fails_with(evidence, EAGAIN);
  if (!evidence.snapshot && (no_room || again)) add_all_unrecorded(evidence, finding);
  if (is_fork_op(op) && (again || hides_errno(op))) add_task_suspects(evidence, finding);
  const bool maps = is_memory_op(op) || is_malloc_op(op) || op == Op::kShmat || makes_stack(op);
  if ((is_lock_op(op) && no_room) || (again && (is_lock_op(op) || maps)))
    add_memlock(evidence, finding);
  if ((no_room && maps) || (again && makes_stack(op))) add_memory_suspects(evidence, finding);
  if (no_room && is_lock_op(op)) add_map_count(evidence, finding);
  if (no_room && (copies_memory(evidence.event) || op == Op::kShmget))
    add_commit(evidence, finding);
  if (no_room || again) add_memory_groups(evidence, finding);
  if (no_room) add_kernel_memory(evidence, finding);
  add_seccomp(evidence, finding);
  sort_suspects(finding);
}

void complete_suspects(const Evidence& evidence, Finding& finding) {
  if (no_memory(evidence)) {
    add_memory_groups(evidence, finding);
    add_kernel_memory(evidence, finding);
  }
  if (finding.suspects.empty())
    finding.suspects.push_back(
        {"unknown",
         evidence.fact(FactKey::kSeccomp)
             ? "a reason that is not in the tables of this ovc"
             : "not recorded what would tell: the process could not be asked",
         kFar});
  sort_suspects(finding);
}

}  // namespace ovc::causes
