// SPDX-License-Identifier: MIT
//
// See plan_search.h.
#include "tools/outlook/plan_search.h"

#include <algorithm>

#include "tools/host/smaps.h"

namespace ovc {
namespace {

uint64_t changed(uint64_t value, int64_t by) {
  if (by >= 0) return value + static_cast<uint64_t>(by);
  return value - std::min(value, uint64_t{0} - static_cast<uint64_t>(by));
}

bool passes_grown(const ForkCase& fork, int64_t pages) {
  return passes(grown(fork, pages * static_cast<int64_t>(fork.rules.page_kb))).value_or(false);
}

// Smallest total RAM with which the ratio gives at least this limit. Whole pages; the kernel rounds
// the product down.
std::optional<uint64_t> ram_for_limit(const HostRules& rules, uint64_t limit_kb) {
  if (!rules.swap_kb || !rules.hugetlb_kb || rules.overcommit_kbytes != 0 ||
      rules.ratio.value_or(0) == 0)
    return std::nullopt;
  const uint64_t wanted_pages =
      limit_kb > *rules.swap_kb ? (limit_kb - *rules.swap_kb) / rules.page_kb : 0;
  const uint64_t base_pages = (wanted_pages * 100 + *rules.ratio - 1) / *rules.ratio;
  return base_pages * rules.page_kb + *rules.hugetlb_kb;
}

// The limit without swap is what the other settings make of it.
std::optional<uint64_t> swap_for_limit(const HostRules& rules, uint64_t limit_kb) {
  if (!rules.limit_kb || !rules.swap_kb || *rules.limit_kb < *rules.swap_kb) return std::nullopt;
  const uint64_t without = *rules.limit_kb - *rules.swap_kb;
  return limit_kb > without ? limit_kb - without : 0;
}

}  // namespace

std::optional<ForkCase> fork_case(const Evidence& fork) {
  if (!fork.mappings_complete) return std::nullopt;
  const Charge charge = fork_charge(fork.mappings, fork.rules);
  const CommitOutlook outlook = commit_outlook(fork, charge);
  // Mode 0 looks at no sum; without the sum nothing is said of mode 2.
  const bool sum_matters = fork.rules.mode != kModeGuess;
  if ((!outlook.committed_kb && sum_matters) || !outlook.total_vm_pages) return std::nullopt;
  HostRules rules = fork.rules;
  if (!outlook.committed_kb) rules.limit_kb.reset(), rules.ratio.reset();
  return ForkCase{rules, outlook.committed_kb.value_or(0), *outlook.total_vm_pages, charge.kb,
                  charge.biggest_kb.value_or(0)};
}

HostRules with_settings(HostRules rules, const PlanSettings& settings) {
  if (settings.mode) rules.mode = settings.mode;
  if (settings.swap_kb) rules.swap_kb = settings.swap_kb;
  if (settings.ram_kb) rules.ram_kb = settings.ram_kb;
  if (settings.ratio)
    rules.ratio = settings.ratio,
    rules.overcommit_kbytes = 0;  // the kernel clears the other of the two
  if (settings.kbytes) rules.overcommit_kbytes = settings.kbytes;
  if (settings.kbytes.value_or(0) != 0) rules.ratio = 0;
  if (!settings.ratio && !settings.kbytes && !settings.swap_kb && !settings.ram_kb) return rules;
  rules.limit_kb.reset();
  if (rules.ratio && rules.overcommit_kbytes)
    rules.limit_kb = commit_limit_kb(rules, *rules.ratio, *rules.overcommit_kbytes);
  return rules;
}

ForkCase grown(const ForkCase& fork, int64_t growth_kb) {
  ForkCase after = fork;
  after.committed_kb = changed(fork.committed_kb, growth_kb);
  after.charge_kb = changed(fork.charge_kb, growth_kb);
  after.total_vm_pages =
      changed(fork.total_vm_pages, growth_kb / static_cast<int64_t>(fork.rules.page_kb));
  after.biggest_kb = std::min(fork.biggest_kb, after.charge_kb);
  return after;
}

std::optional<Mode2Verdict> mode2_of(const ForkCase& fork) {
  return mode2(fork.rules, fork.committed_kb, fork.total_vm_pages, fork.charge_kb);
}

std::optional<bool> passes(const ForkCase& fork) {
  if (!fork.rules.mode) return std::nullopt;
  if (fork.charge_kb == 0 || fork.rules.mode == kModeAlways)
    return true;  // nothing is asked for, or nothing is refused
  if (fork.rules.mode == kModeGuess) {
    const auto limit = guess_limit_kb(fork.rules);
    return limit ? std::optional(fork.biggest_kb <= *limit) : std::nullopt;
  }
  const auto verdict = mode2_of(fork);
  return verdict ? std::optional(verdict->passes()) : std::nullopt;
}

std::optional<int64_t> largest_growth_kb(const ForkCase& fork) {
  if (fork.rules.mode != kModeNever || !mode2_of(fork)) return std::nullopt;
  const auto page_kb = static_cast<int64_t>(fork.rules.page_kb);
  // Below the least charge there is, one page, the question has no meaning. What passes at all
  // passes with less.
  int64_t low = fork.charge_kb == 0 ? 0 : 1 - static_cast<int64_t>(fork.charge_kb) / page_kb;
  int64_t high = std::max<int64_t>(1, static_cast<int64_t>(*fork.rules.limit_kb) / page_kb);
  if (!passes_grown(fork, low)) return std::nullopt;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (passes_grown(fork, middle) ? low : high) = middle;
  }
  return low * page_kb;
}

std::optional<int64_t> largest_single_growth_kb(const ForkCase& fork) {
  const auto limit = guess_limit_kb(fork.rules);
  if (fork.rules.mode != kModeGuess || !limit) return std::nullopt;
  return static_cast<int64_t>(*limit - fork.biggest_kb);
}

std::optional<SmallestSettings> smallest_settings(const ForkCase& fork, uint64_t more_kb) {
  const auto verdict = mode2_of(fork);
  if (!verdict) return std::nullopt;
  SmallestSettings smallest;
  const int64_t limit = verdict->limit_kb + verdict->short_kb +
                        static_cast<int64_t>(more_kb / fork.rules.page_kb * fork.rules.page_kb);
  smallest.limit_kb = static_cast<uint64_t>(std::max<int64_t>(limit, 0));
  const LimitSettings settings = settings_for_limit(fork.rules, smallest.limit_kb);
  smallest.ratio = settings.ratio;
  smallest.kbytes = settings.overcommit_kbytes;
  if (smallest.kbytes == 0) smallest.kbytes.reset();  // 0 would mean the ratio
  smallest.swap_kb = swap_for_limit(fork.rules, smallest.limit_kb);
  smallest.ram_kb = ram_for_limit(fork.rules, smallest.limit_kb);
  return smallest;
}

std::vector<Exclusion> exclusions(const ForkCase& fork,
                                  std::span<const ovcshim::MappingEntry> mappings, size_t count) {
  std::vector<Exclusion> list;
  for (const auto& mapping : mappings)
    if (const uint64_t kb = fork_charge_kb(mapping, fork.rules))
      list.push_back({mapping, kb, 0, {}});
  const auto larger = [](const Exclusion& a, const Exclusion& b) { return a.kb > b.kb; };
  std::stable_sort(list.begin(), list.end(), larger);
  ForkCase left = fork;
  for (size_t i = 0; i < list.size(); ++i) {
    left.charge_kb = changed(left.charge_kb, -static_cast<int64_t>(list[i].kb));
    left.biggest_kb = i + 1 < list.size() ? list[i + 1].kb : 0;
    list[i].charge_left_kb = left.charge_kb;
    list[i].passes = passes(left);
  }
  list.resize(std::min(list.size(), count));
  return list;
}

ReserveEffect reserve_effect(const ForkCase& fork,
                             std::span<const ovcshim::MappingEntry> mappings) {
  MappingSums sums;
  uint64_t biggest_nr_kb = 0, biggest_fixed_kb = 0;
  for (const auto& mapping : mappings) {
    const MappingSums before = sums;
    sums.add(mapping, "");
    const uint64_t kb = (mapping.end - mapping.start) / 1024;
    if (sums.chosen_noreserve_kb != before.chosen_noreserve_kb)
      biggest_nr_kb = std::max(biggest_nr_kb, kb);
    if (sums.could_be_noreserve_kb == before.could_be_noreserve_kb)
      biggest_fixed_kb = std::max(biggest_fixed_kb, fork_charge_kb(mapping, fork.rules));
  }
  ReserveEffect effect{sums.chosen_noreserve_kb, sums.could_be_noreserve_kb, fork, fork};
  effect.all_accounted.committed_kb += effect.noreserve_kb;
  effect.all_accounted.charge_kb += effect.noreserve_kb;
  effect.all_accounted.biggest_kb = std::max(fork.biggest_kb, biggest_nr_kb);
  effect.all_noreserve.committed_kb =
      changed(fork.committed_kb, -static_cast<int64_t>(effect.could_be_kb));
  effect.all_noreserve.charge_kb =
      changed(fork.charge_kb, -static_cast<int64_t>(effect.could_be_kb));
  effect.all_noreserve.biggest_kb = biggest_fixed_kb;
  return effect;
}

}  // namespace ovc
