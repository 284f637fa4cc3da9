// SPDX-License-Identifier: MIT
//
// The overcommit causes: a fork's mappings or a single request against mode 2's limit and mode 0's
// check, with the arithmetic that shows it and what would let the same call pass.
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <vector>

#include "tools/causes/admin_note.h"
#include "tools/causes/causes_detail.h"
#include "tools/causes/errno_rows.h"
#include "tools/rules/host_figures.h"

namespace ovc {

using ovcshim::FactKey;
using ovcshim::MappingEntry;

Charge fork_charge(std::span<const MappingEntry> mappings, const HostRules& rules) {
  Charge charge;
  charge.biggest_kb = 0;
  for (const auto& mapping : mappings) {
    const uint64_t kb = fork_charge_kb(mapping, rules);
    charge.kb += kb;
    charge.mappings += kb != 0;
    charge.biggest_kb = std::max(*charge.biggest_kb, kb);
  }
  return charge;
}

std::optional<RefusedAt> mode2_crossing(std::span<const MappingEntry> mappings,
                                        const HostRules& rules, int64_t headroom_kb) {
  int64_t sum = 0;
  uint64_t index = 0;
  for (const auto& mapping : mappings) {
    const uint64_t kb = fork_charge_kb(mapping, rules);
    if (kb == 0) continue;
    ++index;
    sum += static_cast<int64_t>(kb);
    if (sum >= headroom_kb) return RefusedAt{index, mapping};
  }
  return std::nullopt;
}

// A larger request is refused in mode 0, also where it is not known which check the kernel has (a
// vendor's below 5.2): the older one's estimate of free memory is never more than RAM and swap.
// nullopt: it is known to have that one, or the sizes are not known.
static std::optional<uint64_t> mode0_refuses_above_kb(const HostRules& rules) {
  if (guess_is_simple(rules) == false || !rules.ram_kb || !rules.swap_kb) return std::nullopt;
  return *rules.ram_kb + *rules.swap_kb;
}

std::optional<RefusedAt> mode0_crossing(std::span<const MappingEntry> mappings,
                                        const HostRules& rules) {
  const auto limit = mode0_refuses_above_kb(rules);
  uint64_t index = 0;
  for (const auto& mapping : mappings) {
    const uint64_t kb = fork_charge_kb(mapping, rules);
    if (kb == 0) continue;
    ++index;
    if (limit && kb > *limit) return RefusedAt{index, mapping};
  }
  return std::nullopt;
}

namespace causes {
namespace {

constexpr uint64_t kFreshNs =
    200'000;  // a reading younger than this is taken before one made after the refusal
constexpr std::string_view kMeminfo = "/proc/meminfo";
std::string_view source_of_totals(const Evidence& evidence) {
  return evidence.rules.totals == HostTotals::kSysinfo ? "sysinfo(2)" : kMeminfo;
}

// Readings of Committed_AS around the refusal, the more trustworthy first. The refused request is
// in none of them.
std::vector<uint64_t> committed_readings(const Evidence& evidence) {
  const auto& before = evidence.event.base.before;
  std::vector<uint64_t> readings;
  if (!knows_committed(evidence.rules)) return readings;
  if (before.committed_kb != ovcshim::kUnknown) readings.push_back(before.committed_kb);
  const auto after = evidence.snapshot ? evidence.snapshot->fact(FactKey::kCommittedAsKb)
                                       : evidence.event.fact(FactKey::kCommittedAsKb);
  if (after) readings.push_back(*after);
  // Only a fork has a reading of its own; another call's may be older than the memory calls right
  // before it, and mprotect keeps what it was granted before it was refused.
  const bool stale = before.age_ns > kFreshNs || !copies_memory(evidence.event);
  if (stale && readings.size() == 2) std::swap(readings[0], readings[1]);
  return readings;
}

std::optional<uint64_t> total_vm_pages(const Evidence& evidence) {
  const auto& before = evidence.event.base.before;
  const bool own = before.vm_size_pages != ovcshim::kUnknown && before.age_ns <= kFreshNs &&
                   copies_memory(evidence.event);
  if (own) return before.vm_size_pages;
  if (const auto kb = vm_size_kb(evidence)) return *kb / evidence.rules.page_kb;
  return std::nullopt;
}

// The fork's mappings, or the request of any other call; nullopt if it is not known or is not
// checked at all.
std::optional<Charge> charge_of(const Evidence& evidence) {
  if (copies_memory(evidence.event)) {
    if (evidence.mappings_complete && evidence.fact(FactKey::kMapsSource) != 2)
      return fork_charge(evidence.mappings, evidence.rules);
    const auto kb = evidence.fact(FactKey::kMapsAcKb);
    if (!kb) return std::nullopt;
    return Charge{*kb, evidence.fact(FactKey::kMapsAcCount).value_or(0),
                  evidence.fact(FactKey::kMapsBiggestAcKb), std::nullopt};
  }
  const Request request = request_of(evidence);
  if (!request.charge_kb || (*request.charge_kb == 0 && !request.check_only)) return std::nullopt;
  return Charge{*request.charge_kb, 1, *request.charge_kb, std::nullopt};
}

// The first reading under which the kernel refuses; else the one that comes nearest.
std::optional<Mode2Verdict> mode2_of(const Evidence& evidence, uint64_t request_kb) {
  std::optional<Mode2Verdict> nearest;
  for (const uint64_t committed : committed_readings(evidence)) {
    const auto verdict = mode2(evidence.rules, committed, total_vm_pages(evidence), request_kb);
    if (verdict && !verdict->passes()) return verdict;
    if (verdict && (!nearest || verdict->short_kb > nearest->short_kb)) nearest = verdict;
  }
  return nearest;
}

uint64_t mib_up(uint64_t kb) { return (kb + 1023) / 1024; }

bool is_noreserve_mmap(const Evidence& evidence) {
  return evidence.event.base.op == Op::kMmap && (evidence.event.base.args[3] & MAP_NORESERVE);
}

WouldPass would_pass(const Evidence& evidence, const Charge& charge,
                     const std::optional<Mode2Verdict>& verdict) {
  WouldPass pass;
  pass.mode1 = true;
  pass.by_kbytes = evidence.rules.overcommit_kbytes.value_or(0) != 0;
  const auto limit = guess_limit_kb(evidence.rules);
  if (is_noreserve_mmap(evidence)) pass.mode0 = true;
  else if (limit && charge.biggest_kb) pass.mode0 = *charge.biggest_kb <= *limit;
  if (pass.mode0 == false && can_have_more(evidence.rules, *charge.biggest_kb - *limit))
    pass.mode0_more_swap_mib = mib_up(*charge.biggest_kb - *limit);
  if (!verdict) return pass;
  pass.mode2 = verdict->passes();
  if (!verdict->passes() &&
      can_have_more(evidence.rules, static_cast<uint64_t>(std::max<int64_t>(verdict->short_kb, 0))))
    pass.mode2_with = settings_for_limit(
        evidence.rules, static_cast<uint64_t>(verdict->limit_kb + verdict->short_kb));
  return pass;
}

void add_mode2_figures(const Evidence& evidence, Finding& finding, const Mode2Verdict& v) {
  const auto amount = [](int64_t kb) {
    return std::optional(static_cast<uint64_t>(std::max<int64_t>(kb, 0)));
  };
  add_figure(finding, "charge", amount(v.request_kb), "kB",
             copies_memory(evidence.event) ? "/proc/self/smaps, VmFlags ac" : "the call");
  add_figure(finding, "CommitLimit", amount(v.limit_kb), "kB", kMeminfo);
  add_figure(finding, "Committed_AS", amount(v.committed_kb), "kB", kMeminfo);
  add_figure(finding, "user reserve", amount(v.user_reserve_kb), "kB",
             "min(VmSize / 32, vm.user_reserve_kbytes)");
  add_figure(finding, "admin reserve", amount(v.admin_reserve_kb), "kB",
             "vm.admin_reserve_kbytes, without CAP_SYS_ADMIN");
  add_figure(finding, "MemTotal", evidence.rules.ram_kb, "kB", source_of_totals(evidence));
  add_figure(finding, "SwapTotal", evidence.rules.swap_kb, "kB", source_of_totals(evidence));
  add_figure(finding, "overcommit_ratio", evidence.rules.ratio, "%", "vm.overcommit_ratio");
  add_figure(finding, "overcommit_kbytes", evidence.rules.overcommit_kbytes, "kB",
             "vm.overcommit_kbytes");
}

void fill_mode2(const Evidence& evidence, Finding& finding, Charge charge,
                const Mode2Verdict& verdict) {
  if (evidence.mappings_complete && copies_memory(evidence.event))
    charge.refused_at = mode2_crossing(evidence.mappings, evidence.rules, verdict.headroom_kb);
  finding.summary = "commit limit reached (vm.overcommit_memory = 2)";
  finding.mode2 = verdict;
  finding.short_by = verdict.short_kb;
  finding.band = verdict.band_kb;
  finding.borderline = verdict.borderline();
  finding.would_pass = would_pass(evidence, charge, verdict);
  finding.charge = charge;
  add_mode2_figures(evidence, finding, verdict);
  if (auto note = admin_note(evidence); !note.empty()) finding.notes.push_back(std::move(note));
}

bool commit_limit(const Evidence& evidence, Finding& finding, bool exceeded) {
  const auto charge = charge_of(evidence);
  if (mode_of(evidence) != kModeNever || !charge) return false;
  const auto verdict = mode2_of(evidence, charge->kb);
  if (!verdict || verdict->passes() == exceeded) return false;
  if (!exceeded && !verdict->borderline()) return false;
  fill_mode2(evidence, finding, *charge, *verdict);
  return true;
}

// Before 5.2 the same check compared the request with an estimate of free memory, of which user
// space can compute an upper bound; without the figures for it, RAM and swap are one. The bound, if
// the charge is over it.
std::optional<uint64_t> over_old_estimate_kb(const Evidence& evidence, const Charge& charge) {
  const auto facts = evidence.snapshot ? std::span<const ovcshim::Fact>(evidence.snapshot->facts)
                                       : std::span<const ovcshim::Fact>();
  auto at_most = guess_estimate_at_most_kb(evidence.rules, facts);
  const auto& rules = evidence.rules;
  if (!at_most && rules.ram_kb && rules.swap_kb)
    at_most = static_cast<int64_t>(*rules.ram_kb + *rules.swap_kb);
  if (!at_most || !charge.biggest_kb || static_cast<int64_t>(*charge.biggest_kb) <= *at_most)
    return std::nullopt;
  return static_cast<uint64_t>(std::max<int64_t>(*at_most, 0));
}

bool over_old_estimate(const Evidence& evidence, Finding& finding, const Charge& charge) {
  const auto over = over_old_estimate_kb(evidence, charge);
  if (!over) return false;
  const uint64_t estimate = *over;
  finding.summary =
      "one request larger than free memory, page cache and free swap together "
      "(vm.overcommit_memory = 0, Linux before 5.2)";
  finding.charge = charge;
  add_figure(finding, "largest request", charge.biggest_kb, "kB", "/proc/self/smaps or the call");
  add_figure(finding, "estimate of free memory, at most", estimate, "kB", kMeminfo);
  for (const GuessStep& step : guess_steps()) {
    const bool counts = step.fact != FactKey::kNone &&
                        holds(step.since, step.until, evidence.rules).value_or(false) &&
                        !(step.unless_admin && evidence.rules.admin.value_or(true));
    if (counts)
      add_figure(finding, fmt::format("{} {}", step.sign, step.what), evidence.fact(step.fact),
                 "kB", kMeminfo);
  }
  miss_by(finding, *charge.biggest_kb, estimate, "kB");
  finding.would_pass = WouldPass{.mode0 = false,
                                 .mode1 = true,
                                 .mode2 = {},
                                 .mode2_with = {},
                                 .by_kbytes = false,
                                 .mode0_more_swap_mib = {}};
  finding.notes.emplace_back(
      "the figures were read after the refusal; memory may have been freed since");
  return true;
}

}  // namespace

std::optional<uint64_t> committed_kb(const Evidence& evidence) {
  const auto readings = committed_readings(evidence);
  return readings.empty() ? std::nullopt : std::optional(readings.front());
}

bool over_commit_limit(const Evidence& evidence, Finding& finding) {
  return commit_limit(evidence, finding, true);
}
bool near_commit_limit(const Evidence& evidence, Finding& finding) {
  return commit_limit(evidence, finding, false);
}

bool over_ram_and_swap(const Evidence& evidence, Finding& finding) {
  auto charge = charge_of(evidence);
  if (mode_of(evidence) != kModeGuess || !charge || !charge->biggest_kb) return false;
  const auto limit = mode0_refuses_above_kb(evidence.rules);
  if (!limit) return over_old_estimate(evidence, finding, *charge);
  if (*charge->biggest_kb <= *limit) return false;
  if (evidence.mappings_complete && copies_memory(evidence.event))
    charge->refused_at = mode0_crossing(evidence.mappings, evidence.rules);
  finding.summary = "one request larger than RAM and swap together (vm.overcommit_memory = 0)";
  add_figure(finding, "largest request", charge->biggest_kb, "kB",
             copies_memory(evidence.event) ? "/proc/self/smaps, VmFlags ac" : "the call");
  add_figure(finding, "MemTotal", evidence.rules.ram_kb, "kB", source_of_totals(evidence));
  add_figure(finding, "SwapTotal", evidence.rules.swap_kb, "kB", source_of_totals(evidence));
  miss_by(finding, *charge->biggest_kb, *limit, "kB");
  finding.would_pass = would_pass(evidence, *charge, mode2_of(evidence, charge->kb));
  finding.charge = charge;
  return true;
}

std::string admin_note(const Evidence& evidence) {
  if (evidence.rules.admin) return "";
  return is_selinux(evidence)
             ? "whether SELinux lets the caller use CAP_SYS_ADMIN is not known; the admin reserve "
               "is counted as if it did not"
             : "whether the caller held CAP_SYS_ADMIN is not recorded; the admin reserve is "
               "counted "
               "as if it did not";
}

}  // namespace causes

CommitOutlook commit_outlook(const Evidence& evidence, Charge charge) {
  CommitOutlook outlook;
  outlook.mode2 = causes::mode2_of(evidence, charge.kb);
  outlook.total_vm_pages = causes::total_vm_pages(evidence);
  outlook.committed_kb = outlook.mode2 ? static_cast<uint64_t>(outlook.mode2->committed_kb)
                                       : causes::committed_kb(evidence);
  outlook.mode0_limit_kb = guess_limit_kb(evidence.rules);
  outlook.would_pass = causes::would_pass(evidence, charge, outlook.mode2);
  if (!outlook.mode0_limit_kb && causes::over_old_estimate_kb(evidence, charge))
    outlook.would_pass.mode0 = false;
  if (charge.kb == 0) outlook.would_pass.mode0 = outlook.would_pass.mode2 = true;
  const auto mode = causes::mode_of(evidence);
  if (evidence.mappings_complete && mode == kModeNever && outlook.would_pass.mode2 == false)
    charge.refused_at =
        mode2_crossing(evidence.mappings, evidence.rules, outlook.mode2->headroom_kb);
  if (evidence.mappings_complete && mode == kModeGuess)
    charge.refused_at = mode0_crossing(evidence.mappings, evidence.rules);
  outlook.charge = charge;
  return outlook;
}

}  // namespace ovc
