// SPDX-License-Identifier: MIT
//
// The order of decision: what the shim itself refused, then the rows of the call's family, then
// `unknown` with its reason. A malloc takes the cause of the decisive refusal among the calls it
// made inside.
#include "tools/causes/causes.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>

#include "shim/format/security_label.h"
#include "tools/causes/causes_detail.h"
#include "tools/causes/errno_rows.h"
#include "tools/rules/host_figures.h"

namespace ovc {

using ovcshim::FactKey;

namespace causes {

void add_figure(Finding& finding, std::string_view label, std::optional<uint64_t> value,
                std::string_view unit, std::string_view source) {
  if (value) finding.figures.push_back({std::string(label), *value, unit, source});
}

void miss_by(Finding& finding, uint64_t wanted, uint64_t limit, std::string_view unit) {
  finding.short_by = static_cast<int64_t>(wanted - limit);
  finding.short_unit = unit;
}

bool module_can_deny(const Evidence& evidence) {
  const auto module = evidence.fact(FactKey::kSecurityModule);
  return module && ovcshim::can_deny(static_cast<ovcshim::SecurityModule>(*module));
}

std::optional<bool> capable(const Evidence& evidence, unsigned capability) {
  const auto caps = evidence.fact(FactKey::kCapEff),
             identity = evidence.fact(FactKey::kUserNsIdentity);
  if (caps && !(*caps >> capability & 1)) return false;
  if (identity && *identity == 0) return false;
  if (caps && identity && !module_can_deny(evidence)) return true;
  return std::nullopt;
}

void note_denied_lock(const Evidence& evidence, Finding& finding) {
  const auto caps = evidence.fact(FactKey::kCapEff);
  if (!caps || !(*caps >> kCapIpcLock & 1) || !module_can_deny(evidence)) return;
  finding.notes.emplace_back(
      "the process has CAP_IPC_LOCK, which frees of the limit; a security module (SELinux, "
      "AppArmor) can keep it from using it");
}

std::optional<uint64_t> rlimit_kb(const Evidence& evidence, FactKey key) {
  const auto bytes = evidence.fact(key);
  if (!bytes || *bytes >= ovcshim::kInfinite) return std::nullopt;
  return *bytes / 1024 / evidence.rules.page_kb *
         evidence.rules.page_kb;  // the kernel compares pages
}

std::optional<uint64_t> mode_of(const Evidence& evidence) { return evidence.rules.mode; }

std::optional<uint64_t> vm_size_kb(const Evidence& evidence) {
  if (const auto kb = evidence.fact(FactKey::kVmSizeKb)) return kb;
  const uint64_t pages = evidence.event.base.before.vm_size_pages;
  if (pages == ovcshim::kUnknown) return std::nullopt;
  return pages * evidence.rules.page_kb;
}

const ovcshim::MappingEntry* mapping_at(const Evidence& evidence, uint64_t address) {
  for (const auto& mapping : mappings_around(evidence))
    if (mapping.start <= address && address < mapping.end) return &mapping;
  return nullptr;
}

// Where the host's figures decided, or could not.
void say_whose_figures(const Evidence& evidence, Finding& finding) {
  constexpr std::string_view kDecidedBy[] = {"commit-limit",  "single-request-over-ram-and-swap",
                                             "threads-max",   "pid-max",
                                             "rlimit-nproc",  "pids-max",
                                             "max-map-count", "huge-page-pool",
                                             "rehearsed",     "unknown"};
  if (std::find(std::begin(kDecidedBy), std::end(kDecidedBy), finding.cause) ==
      std::end(kDecidedBy))
    return;
  for (auto& note : figure_notes(evidence.rules)) finding.notes.push_back(std::move(note));
}

namespace {

void say_missing(Finding& finding, bool missing, std::string_view what) {
  if (missing) finding.notes.push_back(fmt::format("not recorded: {}", what));
}

// A snapshot without a single figure of the files that it is made of.
bool reads_no_proc(const Evidence& evidence) {
  constexpr FactKey kOfFiles[] = {FactKey::kMemTotalKb, FactKey::kVmSizeKb, FactKey::kTasksTotal,
                                  FactKey::kOvercommitMemory};
  return evidence.snapshot && std::none_of(std::begin(kOfFiles), std::end(kOfFiles),
                                           [&](FactKey key) { return evidence.fact(key); });
}

void say_mode(const Evidence& evidence, Finding& finding) {
  if (evidence.err() != ENOMEM || !evidence.rules.mode) return;
  if (*evidence.rules.mode == kModeAlways)
    finding.notes.emplace_back("not commit accounting: vm.overcommit_memory = 1 never refuses");
}

}  // namespace

void explain_unknown(const Evidence& evidence, Finding& finding) {
  finding.summary = "not proven by what was recorded";
  const Op op = evidence.event.base.op;
  const bool changes_mappings = op == Op::kMprotect || op == Op::kMremap || op == Op::kBrk;
  const bool needs_list =
      (copies_memory(evidence.event) || changes_mappings) && evidence.err() == ENOMEM;
  say_missing(finding, !evidence.snapshot,
              "the snapshot taken at the failure (limits, counters, settings)");
  say_missing(finding,
              needs_list && !evidence.mappings_complete && !evidence.fact(FactKey::kMapsAcKb),
              "the mappings and which of them are accounted");
  say_missing(finding, !evidence.rules.mode, "vm.overcommit_memory");
  if (reads_no_proc(evidence))
    finding.notes.emplace_back(
        "no file of /proc could be read: it is not mounted there, is not the kernel's, or a filter "
        "forbids it");
  say_mode(evidence, finding);
  if (hides_errno(op) && evidence.err() == ENOMEM)
    finding.notes.emplace_back(
        op == Op::kPopen
            ? "before glibc 2.37 popen says ENOMEM whatever its start of a program was refused for"
            : "wordexp says that there is no space whatever its start of a program was refused "
              "for");
  add_suspects(evidence, finding);
  if (finding.suspects.empty()) complete_suspects(evidence, finding);
}

namespace {

Finding diagnose_alone(const Evidence& evidence);

// The evidence as it would be if the kernel had refused under the settings rehearsed.
Evidence as_rehearsed(Evidence evidence) {
  evidence.event.base.flags &= static_cast<uint16_t>(~ovcshim::kRehearsed);
  evidence.rules.mode = evidence.fact(FactKey::kRehearsedMode);
  const uint64_t limit_kb = evidence.fact(FactKey::kRehearsedLimitKb).value_or(0);
  if (evidence.rules.mode == kModeNever) {
    evidence.rules.limit_kb = limit_kb;
    evidence.rules.overcommit_kbytes =
        limit_kb - std::min(limit_kb, evidence.rules.swap_kb.value_or(0));
  } else {
    evidence.rules.ram_kb = limit_kb - std::min(limit_kb, evidence.rules.swap_kb.value_or(0));
  }
  if (const auto committed = evidence.fact(FactKey::kRehearsedCommittedKb)) {
    evidence.event.base.before.committed_kb = *committed;
    evidence.event.base.before.age_ns = 0;
  }
  evidence.inner.clear();
  return evidence;
}

bool was_injected(const Evidence& evidence, Finding& finding) {
  if (!(evidence.event.base.flags & ovcshim::kInjected)) return false;
  finding.summary = "refused by OVCSHIM_INJECT; the kernel was not asked";
  return true;
}

bool was_rehearsed(const Evidence& evidence, Finding& finding) {
  if (!(evidence.event.base.flags & ovcshim::kRehearsed)) return false;
  finding = diagnose_alone(as_rehearsed(evidence));
  const bool proven =
      finding.cause == "commit-limit" || finding.cause == "single-request-over-ram-and-swap";
  if (!proven) finding = {};
  finding.summary = fmt::format("rehearsed by OVCSHIM_REHEARSE, the kernel was not asked{}{}",
                                proven ? ": " : "", finding.summary);
  return true;
}

bool always(const Evidence&) { return true; }

constexpr CauseRow kCommon[] = {
    {"injected", always, was_injected, "a rehearsal by fault injection", "OVCSHIM_INJECT"},
    {"rehearsed", always, was_rehearsed, "a rehearsal under simulated settings",
     "OVCSHIM_REHEARSE"},
};

bool decide(std::span<const CauseRow> rows, const Evidence& evidence, Finding& finding) {
  for (const auto& row : rows) {
    Finding candidate;
    if (!row.applies(evidence) || !row.proves(evidence, candidate)) continue;
    finding = std::move(candidate);
    finding.cause = row.id;
    if (finding.meaning.empty()) finding.meaning = row.meaning;
    if (finding.rule.empty()) finding.rule = row.source;
    return true;
  }
  return false;
}

std::span<const CauseRow> rows_for(const Evidence& evidence) {
  const Op op = evidence.event.base.op;
  if (is_malloc_op(op)) return malloc_causes();
  if (is_memory_op(op)) return memory_causes();
  if (is_fork_op(op)) return fork_causes();
  if (op == Op::kShmget || op == Op::kShmat || is_lock_op(op)) return shared_causes();
  if (is_exec(op)) return exec_causes();
  return {};
}

Finding diagnose_alone(const Evidence& evidence) {
  Finding finding;
  if (!decide(common_causes(), evidence, finding) &&
      !decide(rows_for(evidence), evidence, finding)) {
    if (!decide_by_errno(evidence, finding)) explain_unknown(evidence, finding);
    else if (finding.cause == "unknown") complete_suspects(evidence, finding);
  }
  return finding;
}

// Is `a` nearer to what would have satisfied the whole request? A try with a smaller amount (an
// arena) would not have.
bool decides_over(const Evidence& outer, const Evidence& a, const Finding& found,
                  const std::optional<Finding>& before) {
  if (!before || before->cause == "unknown") return true;
  if (found.cause == "unknown") return false;
  const auto wanted = request_of(outer).space_kb, tried = request_of(a).space_kb;
  if (wanted && tried && *tried < *wanted) return false;
  if (found.cause != before->cause || !found.short_by || !before->short_by) return true;
  return *found.short_by < *before->short_by;
}

// Every refusal but the last was followed by another try, so the last proven one decides; of equal
// ones the least.
std::optional<Finding> decisive_refusal(const Evidence& evidence, std::vector<InnerStep>& steps) {
  std::optional<Finding> decisive;
  for (const auto& inner : evidence.inner) {
    InnerStep step{inner.event, request_of(inner).charge_kb, {}};
    if (inner.event.failed()) {
      Finding finding = diagnose_alone(inner);
      step.cause = finding.cause;
      if (decides_over(evidence, inner, finding, decisive)) decisive = std::move(finding);
    }
    steps.push_back(std::move(step));
  }
  return decisive;
}

}  // namespace
}  // namespace causes

std::optional<uint64_t> Evidence::fact(FactKey key) const {
  if (snapshot)
    if (const auto value = snapshot->fact(key))
      return is_kernels_own(key, snapshot->facts) ? value : std::nullopt;
  return event.fact(key);
}

std::optional<uint64_t> Evidence::rise(FactKey key) const {
  const auto then = baseline ? baseline->fact(key) : std::nullopt, now = fact(key);
  const bool of_pids = key >= FactKey::kPidsMax && key <= FactKey::kPidsEventsMax,
             of_memory = key >= FactKey::kMemcgVersion && key <= FactKey::kMemcgOomKillDisable;
  const FactKey group = of_pids ? FactKey::kPidsGroupId : FactKey::kMemcgGroupId;
  if ((of_pids || of_memory) && then && baseline->fact(group) != fact(group))
    return std::nullopt;  // it has been moved to another group since
  if (!then || !now || *now < *then) return std::nullopt;
  return *now - *then;
}

std::span<const CauseRow> common_causes() { return causes::kCommon; }

// What libc or an allocator was refused inside says more than the call itself, except of a plain
// system call.
Finding diagnose(const Evidence& evidence) {
  std::vector<InnerStep> steps;
  const auto inside = causes::decisive_refusal(evidence, steps);
  const Op op = evidence.event.base.op;
  const bool inner_first = inside && (is_malloc_op(op) || makes_stack(op));
  Finding finding;
  const bool rehearsed_inside = inside && inside->cause == "rehearsed" && evidence.event.failed();
  if (rehearsed_inside) finding = *inside;
  else if (!causes::decide(common_causes(), evidence, finding))
    finding = inner_first ? *inside : causes::diagnose_alone(evidence);
  if (finding.cause == "unknown" && inside) {
    Finding other = inner_first ? causes::diagnose_alone(evidence) : *inside;
    if (other.cause != "unknown") finding = std::move(other);
  }
  finding.steps = std::move(steps);
  causes::say_whose_figures(evidence, finding);
  advise(evidence, finding);
  return finding;
}

bool is_redis(std::string_view comm) {
  constexpr std::string_view kNames[] = {"redis-", "valkey-", "keydb-"};
  for (const auto name : kNames)
    if (comm.substr(0, name.size()) == name) return true;
  return false;
}

std::string_view mapping_kind_text(const ovcshim::MappingEntry& mapping) {
  struct Kind {
    uint32_t flag;
    std::string_view text;
  };
  constexpr Kind kKinds[] = {
      {ovcshim::kMapOwn, "the shim's own"},   {ovcshim::kMapHeap, "heap"},
      {ovcshim::kMapStack, "stack"},          {ovcshim::kMapHt, "huge pages"},
      {ovcshim::kMapSpecial, "special"},      {ovcshim::kMapFile, "file"},
      {ovcshim::kMapShared, "shared memory"}, {ovcshim::kMapNamedAnon, "anonymous"},
  };
  for (const auto& kind : kKinds)
    if (mapping.flags & kind.flag) return kind.text;
  return "anonymous";
}

}  // namespace ovc
