// SPDX-License-Identifier: MIT
//
// Limits of a fork: how far its process may grow, and the smallest settings that let it pass. Pure;
// every limit is found with the rule functions themselves, so that it passes and one page more does
// not.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tools/causes/causes.h"

namespace ovc {

// A fork and the state it meets. Amounts in kB, multiples of the page size.
struct ForkCase {
  HostRules rules;  // limit_kb and mode are those in question
  uint64_t committed_kb = 0;
  uint64_t total_vm_pages = 0;
  uint64_t charge_kb = 0;
  uint64_t biggest_kb = 0;  // largest single mapping of the charge
};

// nullopt: Committed_AS, total_vm or the mappings are not known.
std::optional<ForkCase> fork_case(const Evidence& fork);

// Settings in place of the host's own; CommitLimit follows.
struct PlanSettings {
  std::optional<uint64_t> mode, ratio, kbytes, swap_kb, ram_kb;
};
HostRules with_settings(HostRules rules, const PlanSettings& settings);

// The same with the process grown by so much accountable memory (negative: shrunk): Committed_AS,
// the charge and total_vm, on which the user reserve depends, all change. The largest mapping
// stays: growth may come as new ones.
ForkCase grown(const ForkCase& fork, int64_t growth_kb);

std::optional<Mode2Verdict> mode2_of(const ForkCase& fork);
// By the arithmetic, the kernel counter's error left aside. nullopt: a figure is missing.
std::optional<bool> passes(const ForkCase& fork);

// Mode 2: the most accountable memory, in kB, that the process may gain and still fork; negative:
// what it must lose. nullopt: not known, or not even without any charge would it pass. Growth
// counts twice, once for the process and once for the fork.
std::optional<int64_t> largest_growth_kb(const ForkCase& fork);

// Mode 0: how far the largest single mapping may grow; the sum is not checked. Negative: what it
// must lose.
std::optional<int64_t> largest_single_growth_kb(const ForkCase& fork);

// Smallest values, each alone and all else as it is, that let the fork pass in mode 2.
struct SmallestSettings {
  uint64_t limit_kb = 0;            // CommitLimit itself
  std::optional<uint64_t> ratio;    // with overcommit_kbytes = 0
  std::optional<uint64_t> kbytes;   // nullopt: swap alone suffices
  std::optional<uint64_t> swap_kb;  // total; 0: none is needed
  std::optional<uint64_t> ram_kb;   // total; only where the ratio decides
};
std::optional<SmallestSettings> smallest_settings(const ForkCase& fork,
                                                  uint64_t more_kb = 0);  // more_kb: to spare

// A mapping kept out of the fork with MADV_DONTFORK.
struct Exclusion {
  ovcshim::MappingEntry mapping{};
  uint64_t kb = 0;              // what the charge falls by
  uint64_t charge_left_kb = 0;  // without it and all before it in the list
  std::optional<bool> passes;   // with that charge
};
// The `count` largest, largest first, equal ones by address.
std::vector<Exclusion> exclusions(const ForkCase& fork,
                                  std::span<const ovcshim::MappingEntry> mappings, size_t count);

// What MAP_NORESERVE changes: the same memory mapped with it where it could be, or without it
// everywhere.
struct ReserveEffect {
  uint64_t noreserve_kb = 0;  // nr now by MAP_NORESERVE alone
  uint64_t could_be_kb = 0;   // ac now, anonymous, neither heap nor stack
  ForkCase all_accounted;     // as if mapped under mode 2: the first part is ac
  ForkCase all_noreserve;     // as if mapped MAP_NORESERVE under mode 0 or 1: the second part is nr
};
ReserveEffect reserve_effect(const ForkCase& fork, std::span<const ovcshim::MappingEntry> mappings);

}  // namespace ovc
