// SPDX-License-Identifier: MIT
//
// Suspects of a refusal that nothing proves: every limit that the call could have met, with the
// figures that are known, nearest first.
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>

#include "tools/causes/causes_tasks.h"
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

void add_memory_suspects(const Evidence& evidence, Finding& finding) {
  const Request request = request_of(evidence);
  add_limit(finding, "rlimit-as", "RLIMIT_AS", rlimit_kb(evidence, FactKey::kRlimitAs),
            vm_size_kb(evidence), request.space_kb);
  add_limit(finding, "rlimit-data", "RLIMIT_DATA", rlimit_kb(evidence, FactKey::kRlimitData),
            evidence.fact(FactKey::kVmDataKb), request.data_kb);
  add_map_count(evidence, finding);
  add_commit(evidence, finding);
}

}  // namespace

void add_suspects(const Evidence& evidence, Finding& finding) {
  const Op op = op_of(evidence);
  const bool no_room = no_memory(evidence), again = fails_with(evidence, EAGAIN);
  if (is_fork_op(op) && (again || op == Op::kPopen)) add_task_suspects(evidence, finding);
  if (is_lock_op(op) && (no_room || again))
    add_limit(finding, "rlimit-memlock", "RLIMIT_MEMLOCK",
              rlimit_kb(evidence, FactKey::kRlimitMemlock), evidence.fact(FactKey::kVmLckKb), {});
  if (no_room && (is_memory_op(op) || is_malloc_op(op))) add_memory_suspects(evidence, finding);
  if (no_room && copies_memory(evidence.event)) add_commit(evidence, finding);
  if (no_room || again) add_memory_groups(evidence, finding);
  std::stable_sort(finding.suspects.begin(), finding.suspects.end(),
                   [](const Suspect& a, const Suspect& b) { return a.order < b.order; });
}

}  // namespace ovc::causes
