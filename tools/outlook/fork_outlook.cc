// SPDX-License-Identifier: MIT
//
// See fork_outlook.h. kernel/fork.c copy_process(): RLIMIT_NPROC, threads-max, then the memory,
// then process numbers, then the control groups.
#include "tools/outlook/fork_outlook.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "tools/causes/admin_note.h"
#include "tools/log/kernel_numbers.h"
#include "tools/rules/host_figures.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

using ovcshim::FactKey;

constexpr std::string_view kSecurityModuleCause = "security-module";
constexpr std::string_view kCommitCauses[] = {"commit-limit", "single-request-over-ram-and-swap"};

Answer within(std::optional<uint64_t> used, std::optional<uint64_t> limit) {
  if (!used || !limit) return Answer::kUnknown;
  return *used < *limit ? Answer::kPass : Answer::kFail;
}

// ---- limits on tasks, in the kernel's order ----

std::optional<LimitCheck> user_tasks(const LiveProcess& p) {
  const auto limit = p.fork.fact(FactKey::kRlimitNproc);
  if (!limit || *limit == ovcshim::kInfinite || !nproc_limit_applies(p.fork)) return std::nullopt;
  Answer answer = within(p.user_tasks, limit);
  if (answer == Answer::kPass && !p.user_tasks_complete) answer = Answer::kUnknown;
  return LimitCheck{"rlimit-nproc",
                    answer,
                    p.user_tasks,
                    limit,
                    "tasks",
                    fmt::format("RLIMIT_NPROC of uid {}", p.fork.fact(FactKey::kUid).value_or(0))};
}

std::optional<LimitCheck> all_tasks(const LiveProcess& p) {
  const auto used = p.fork.fact(FactKey::kTasksTotal), limit = p.fork.fact(FactKey::kThreadsMax);
  return LimitCheck{"threads-max", within(used, limit), used, limit, "tasks", "kernel.threads-max"};
}

// security/selinux/hooks.c selinux_task_alloc(): behind the limits of the user and of the machine,
// before the memory is copied.
std::optional<LimitCheck> policy(const LiveProcess& p) {
  if (p.denied_children == false) return std::nullopt;
  return LimitCheck{kSecurityModuleCause,
                    p.denied_children ? Answer::kFail : Answer::kUnknown,
                    {},
                    {},
                    "",
                    fmt::format("SELinux's permission fork for {}", p.label)};
}

// Each task holds one number, and at most two more as the last trace of an ended leader of its
// group and session.
std::optional<LimitCheck> process_numbers(const LiveProcess& p) {
  const auto used = p.fork.fact(FactKey::kTasksTotal), limit = p.fork.fact(FactKey::kPidMax);
  LimitCheck check{"pid-max", Answer::kUnknown, used, limit, "tasks", "kernel.pid_max"};
  if (!used || !limit || p.fork.fact(FactKey::kPidForChildrenNs) != kInitialPidNs) return check;
  if (*used * 3 + kReservedPids < *limit) check.answer = Answer::kPass;
  else if (*used + 1 >= *limit) check.answer = Answer::kFail;
  return check;
}

std::optional<LimitCheck> namespace_init(const LiveProcess& p) {
  if (p.pidns_alive == true) return std::nullopt;
  LimitCheck check{"pidns-init-dead",
                   Answer::kUnknown,
                   {},
                   {},
                   "",
                   "init of the pid namespace for its children"};
  if (p.pidns_alive == false) check.answer = Answer::kFail;
  return check;
}

// A full memory group ends somebody rather than refuse; only where its OOM killer is off can it
// refuse, and reclaim may still prevent that: never proven beforehand.
LimitCheck group_check(const GroupLimit& group) {
  const bool tasks = group.kind == GroupLimit::Kind::kTasks;
  LimitCheck check{tasks ? "pids-max" : "memcg",
                   within(group.used, group.limit),
                   group.used,
                   group.limit,
                   "tasks",
                   group.path};
  if (tasks) {
    check.what = "pids.max of " + group.path;
    return check;
  }
  check.what = (group.version == 2 ? "memory.max of " : "memory.limit_in_bytes of ") + group.path;
  check.unit = "kB";
  for (auto* bytes : {&check.used, &check.limit})
    if (*bytes) **bytes /= 1024;
  if (check.answer == Answer::kFail) check.answer = Answer::kUnknown;
  return check;
}

std::vector<LimitCheck> limits_of(const LiveProcess& p) {
  std::vector<LimitCheck> limits;
  for (const auto& check :
       {user_tasks(p), all_tasks(p), policy(p), process_numbers(p), namespace_init(p)})
    if (check) limits.push_back(*check);
  for (const auto& group : p.groups.limits)
    if (group.kind != GroupLimit::Kind::kThrottle) limits.push_back(group_check(group));
  return limits;
}

// ---- what it is charged ----

Charge highest_charge(const LiveProcess& p) {
  const auto vm_size = p.fork.fact(FactKey::kVmSizeKb);
  uint64_t most = p.listed ? p.sums.private_kb : vm_size.value_or(0);
  const auto committed = p.fork.fact(FactKey::kCommittedAsKb);
  if (committed && committed_is_exact(p.fork.rules)) most = std::min(most, *committed);
  const uint64_t biggest = p.listed ? std::min(most, p.sums.biggest_private_kb) : most;
  return Charge{most, 0, biggest, std::nullopt};
}

std::optional<bool> commit_passes(const WouldPass& pass, std::optional<uint64_t> mode) {
  if (mode == kModeAlways) return pass.mode1;
  return mode == kModeGuess ? pass.mode0 : mode == kModeNever ? pass.mode2 : std::nullopt;
}

Answer commit_answer(const ForkOutlook& outlook, const LiveProcess& process) {
  const Evidence& fork = process.fork;
  if (process.state == ReadState::kForbidden && process.wanted == Depth::kExact)
    return Answer::kUnknown;
  const auto passes = commit_passes(outlook.commit.would_pass, fork.rules.mode);
  const bool near = fork.rules.mode == kModeNever && outlook.commit.charge.kb != 0 &&
                    outlook.commit.mode2 && outlook.commit.mode2->borderline();
  if (!passes) return Answer::kUnknown;
  if (outlook.estimated) return *passes && !near ? Answer::kPass : Answer::kUnknown;
  return near ? Answer::kBorderline : *passes ? Answer::kPass : Answer::kFail;
}

// ---- the finding, in the words of the table of causes ----

// The facts a row of causes reads, where there is one group too many to be a fact of its own.
Evidence evidence_for(const LiveProcess& p, const LimitCheck& check) {
  Evidence evidence = p.fork;
  const auto add = [&](FactKey key, std::optional<uint64_t> value) {
    if (value) evidence.snapshot->facts.push_back({static_cast<uint32_t>(key), 0, *value});
  };
  if (check.cause != "pids-max") return evidence;
  add(FactKey::kPidsMax, check.limit);
  add(FactKey::kPidsCurrent, check.used);
  return evidence;
}

void take_row(const CauseRow& row, const Evidence& evidence, Finding& finding) {
  finding.cause = row.id;
  finding.meaning = row.meaning;
  finding.rule = row.source;
  advise(evidence, finding);
}

bool fill_commit(const LiveProcess& p, Finding& finding) {
  Evidence evidence = p.fork;
  evidence.event.base.err = ENOMEM;
  for (const CauseRow& row : fork_causes()) {
    if (std::find(std::begin(kCommitCauses), std::end(kCommitCauses), row.id) ==
        std::end(kCommitCauses))
      continue;
    if (!row.applies(evidence) || !row.proves(evidence, finding)) continue;
    take_row(row, evidence, finding);
    return true;
  }
  return false;
}

void fill_denied(const LiveProcess& p, Finding& finding) {
  Evidence evidence = p.fork;
  evidence.snapshot->facts.push_back(
      {static_cast<uint32_t>(FactKey::kSecurityModule), 0,
       static_cast<uint64_t>(ovcshim::SecurityModule::kSelinuxEnforcing)});
  finding.cause = kSecurityModuleCause;
  finding.summary = fmt::format("SELinux does not let {} have children", escaped(p.label));
  finding.meaning = "its policy gives the label no permission fork of class process";
  finding.rule = "security/selinux/hooks.c selinux_task_alloc()";
  advise(evidence, finding);
}

void fill_limit(const LiveProcess& p, const LimitCheck& check, Finding& finding) {
  if (check.cause == kSecurityModuleCause) return fill_denied(p, finding);
  const Evidence evidence = evidence_for(p, check);
  for (const CauseRow& row : fork_causes()) {
    if (row.id != check.cause) continue;
    if (!row.proves(evidence, finding)) {
      finding = {};
      finding.summary = fmt::format("{} reached", escaped(check.what));
      if (check.used) finding.figures.push_back({"used", *check.used, check.unit, ""});
      if (check.limit) finding.figures.push_back({"limit", *check.limit, check.unit, ""});
    }
    take_row(row, evidence, finding);
    return;
  }
}

// The arithmetic of mode 2, which is of interest in every mode.
void fill_arithmetic(ForkOutlook& outlook, const Evidence& fork) {
  Finding& f = outlook.finding;
  if (f.cause == "unknown") f.cause = {};
  f.charge = outlook.commit.charge;
  f.would_pass = outlook.commit.would_pass;
  if (outlook.commit.charge.kb != 0)
    f.mode2 = outlook.commit.mode2;  // nothing asked for is never checked
  if (!f.mode2 || fork.rules.mode != kModeNever) return;
  f.band = f.mode2->band_kb;
  f.borderline = f.mode2->borderline();
  if (!f.short_by) f.short_by = f.mode2->short_kb;
}

const LimitCheck* refusing(const std::vector<LimitCheck>& limits, bool before_memory) {
  for (const LimitCheck& check : limits) {
    const bool early = check.cause == "rlimit-nproc" || check.cause == "threads-max" ||
                       check.cause == kSecurityModuleCause;
    if (check.answer == Answer::kFail && early == before_memory) return &check;
  }
  return nullptr;
}

// ---- what else is proven by the flags ----

void add_notes(const LiveProcess& p, ForkOutlook& outlook) {
  auto& notes = outlook.finding.notes;
  for (auto& note : figure_notes(p.fork.rules))
    if (std::find(notes.begin(), notes.end(), note) == notes.end())
      notes.push_back(std::move(note));
  const MappingSums& sums = p.sums;
  const auto mode = p.fork.rules.mode;
  auto note = p.label.empty() || mode != kModeNever ? "" : causes::admin_note(p.fork);
  if (!note.empty() && std::find(notes.begin(), notes.end(), note) == notes.end())
    notes.push_back(std::move(note));
  if (mode == kModeNever && sums.chosen_noreserve_kb != 0)
    notes.push_back(
        fmt::format("{} kB were mapped MAP_NORESERVE in mode 0 or 1 and stay uncharged; after a "
                    "restart in mode 2 they would be charged",
                    grouped(sums.chosen_noreserve_kb)));
  if (mode && mode != kModeNever && sums.jemalloc && p.fork.mappings_complete &&
      sums.chosen_noreserve_kb == 0)
    notes.emplace_back(
        "libjemalloc is loaded but no memory is MAP_NORESERVE: it is older than 4.2, or the "
        "program was started in mode 2; its heap stays charged until a restart");
  const HostRules& rules = p.fork.rules;
  if (rules.hugetlb_kb.value_or(0) == 0 || rules.overcommit_kbytes != 0 || !rules.ratio ||
      !rules.limit_kb)
    return;
  HostRules without = rules;
  without.hugetlb_kb = 0;
  if (const auto limit = commit_limit_kb(without, *rules.ratio, 0);
      limit && *limit > *rules.limit_kb)
    notes.push_back(fmt::format("the huge page pool, {} kB, lowers CommitLimit by {} kB",
                                grouped(*rules.hugetlb_kb), grouped(*limit - *rules.limit_kb)));
}

std::string why_unknown(const LiveProcess& p, const ForkOutlook& outlook) {
  if (!p.reason.empty() && p.wanted == Depth::kExact) return p.reason;
  const bool unsure = p.fork.rules.totals == HostTotals::kDoubtful || !p.fork.rules.mode ||
                      (p.fork.rules.mode == kModeNever && !knows_committed(p.fork.rules));
  if (const auto whose = figure_notes(p.fork.rules); unsure && !whose.empty()) return whose.front();
  if (!p.fork.rules.mode) return "vm.overcommit_memory cannot be read";
  if (outlook.estimated && p.listed) {
    const auto& verdict = outlook.commit.mode2;
    const bool hopeless =
        verdict && verdict->headroom_kb <= static_cast<int64_t>(p.sums.heap_and_stack_kb);
    return fmt::format(
        "the charge is between 0 and {} kB{}; without --estimate it is read exactly",
        grouped(outlook.commit.charge.kb),
        hopeless ? ", and heap and stack alone would be refused, unless MADV_DONTFORK" : "");
  }
  if (outlook.estimated)
    return "no permission to read its maps, and a charge of its whole address space would be "
           "refused";
  if (p.fork.rules.mode == kModeGuess)
    return "before Linux 5.2 mode 0 compares figures that user space cannot read";
  return "a figure that mode 2 compares cannot be read";
}

}  // namespace

std::string_view answer_name(Answer answer) {
  constexpr std::string_view kNames[] = {"pass", "borderline", "fail", "unknown"};
  return kNames[static_cast<size_t>(answer)];
}

ForkOutlook fork_outlook(const LiveProcess& process) {
  ForkOutlook outlook;
  const Evidence& fork = process.fork;
  outlook.estimated = !fork.mappings_complete;
  outlook.commit = commit_outlook(
      fork, outlook.estimated ? highest_charge(process) : fork_charge(fork.mappings, fork.rules));
  outlook.limits = limits_of(process);
  const Answer commit = commit_answer(outlook, process);
  const LimitCheck* early = refusing(outlook.limits, true);
  const LimitCheck* late = refusing(outlook.limits, false);
  outlook.answer = early || late ? Answer::kFail : commit;
  if (early) fill_limit(process, *early, outlook.finding);
  else if (commit == Answer::kFail || commit == Answer::kBorderline) {
    if (!fill_commit(process, outlook.finding))
      outlook.finding.summary = "no limit read here refuses it";
  } else if (late) fill_limit(process, *late, outlook.finding);
  fill_arithmetic(outlook, fork);
  if (outlook.answer == Answer::kUnknown) outlook.reason = why_unknown(process, outlook);
  add_notes(process, outlook);
  return outlook;
}

}  // namespace ovc
