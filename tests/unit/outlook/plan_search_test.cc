// SPDX-License-Identifier: MIT
//
// Every border that `ovc plan` names passes by the rule functions, and one page beyond fails: over
// many hosts and processes.
#include "tools/outlook/plan_search.h"

#include <random>

#include "tests/unit/catch.h"
#include "tests/unit/cause_case.h"

using namespace ovc;
using namespace ovc::test;

namespace {

// Hosts and processes of all sizes; the same ones in every run.
class Cases {
 public:
  ForkCase next() {
    ForkCase fork;
    HostRules& r = fork.rules;
    r.kernel = {6, 18};
    r.page_kb = pick(8) == 0 ? 64 : 4;
    r.cpus = 1 + pick(64);
    r.mode = kModeNever;
    r.ram_kb = pages(1 << 26);
    r.swap_kb = pick(3) == 0 ? 0 : pages(1 << 24);
    r.hugetlb_kb = pick(3) == 0 ? *r.ram_kb / 4 / r.page_kb * r.page_kb : 0;
    r.ratio = pick(2) ? 1 + pick(150) : 0;
    r.overcommit_kbytes = *r.ratio == 0 ? 1 + pick(1 << 26) : 0;
    r.user_reserve_kb = pick(200000);
    r.admin_reserve_kb = pick(10000);
    r.admin = pick(2) == 0;
    r.limit_kb = commit_limit_kb(r, *r.ratio, *r.overcommit_kbytes);
    fork.charge_kb = pages(*r.limit_kb / 2 + r.page_kb);
    fork.biggest_kb = fork.charge_kb / 2 / r.page_kb * r.page_kb;
    fork.committed_kb = fork.charge_kb + pages(*r.limit_kb / 2 + r.page_kb);
    fork.total_vm_pages = fork.charge_kb / r.page_kb + pick(1 << 20);
    return fork;
  }

 private:
  uint64_t pick(uint64_t below) {
    return std::uniform_int_distribution<uint64_t>(0, below - 1)(random_);
  }
  uint64_t pages(uint64_t below_kb) {
    return (1 + pick(std::max<uint64_t>(below_kb / 64, 1))) * 64;
  }
  std::mt19937_64 random_{20261123};
};

// The same fork when the limit is what these settings make of it.
bool passes_with(ForkCase fork, const PlanSettings& settings) {
  fork.rules = with_settings(fork.rules, settings);
  return passes(fork) == true;
}

constexpr int kCases = 20000;

}  // namespace

TEST_CASE("plan: the largest growth passes, one page more does not") {
  Cases cases;
  int shrinking = 0, growing = 0, hopeless = 0;
  for (int i = 0; i < kCases; ++i) {
    const ForkCase fork = cases.next();
    const auto page_kb = static_cast<int64_t>(fork.rules.page_kb);
    const auto growth = largest_growth_kb(fork);
    if (!growth) {
      ++hopeless;
      CHECK_FALSE(*passes(grown(fork, page_kb - static_cast<int64_t>(fork.charge_kb))));
      continue;
    }
    (*growth < 0 ? shrinking : growing) += 1;
    CHECK(*passes(grown(fork, *growth)));
    CHECK_FALSE(*passes(grown(fork, *growth + page_kb)));
    CHECK((*growth >= 0) == *passes(fork));
  }
  CHECK(shrinking > kCases / 20);
  CHECK(growing > kCases / 20);
  CHECK(hopeless > 0);
}

TEST_CASE("plan: growth counts twice, and changes the user reserve") {
  ForkCase fork;
  fork.rules.kernel = {6, 18};
  fork.rules.mode = kModeNever;
  fork.rules.limit_kb = 1000000;
  fork.rules.swap_kb = 0;
  fork.rules.user_reserve_kb = 0;
  fork.rules.admin_reserve_kb = 0;
  fork.committed_kb = 300000;
  fork.charge_kb = 100000;
  CHECK(largest_growth_kb(fork) == 299996);  // strictly less than (1000000 - 400000) / 2
  fork.rules.user_reserve_kb = 1 << 30;
  fork.total_vm_pages = 320000;  // a reserve of 40000 kB, and 4 kB more for each 128 kB of growth
  const int64_t growth = *largest_growth_kb(fork);
  CHECK(growth == 275692);  // 2 * growth + 4 * ((320000 + growth / 4) / 32) < 600000
}

TEST_CASE("plan: the smallest settings pass, one step less does not") {
  Cases cases;
  int ratios = 0, kbytes = 0, swaps = 0, rams = 0;
  for (int i = 0; i < kCases; ++i) {
    const ForkCase fork = cases.next();
    const uint64_t page_kb = fork.rules.page_kb;
    const auto s = smallest_settings(fork);
    REQUIRE(s);
    if (s->ratio && *s->ratio > 0) {
      ++ratios;
      CHECK(passes_with(
          fork, {.mode = {}, .ratio = s->ratio, .kbytes = {}, .swap_kb = {}, .ram_kb = {}}));
      CHECK_FALSE(passes_with(
          fork, {.mode = {}, .ratio = *s->ratio - 1, .kbytes = {}, .swap_kb = {}, .ram_kb = {}}));
    }
    if (s->kbytes && *s->kbytes > page_kb) {
      ++kbytes;
      CHECK(passes_with(
          fork, {.mode = {}, .ratio = {}, .kbytes = s->kbytes, .swap_kb = {}, .ram_kb = {}}));
      CHECK_FALSE(passes_with(
          fork,
          {.mode = {}, .ratio = {}, .kbytes = *s->kbytes - page_kb, .swap_kb = {}, .ram_kb = {}}));
    }
    if (s->swap_kb && *s->swap_kb >= page_kb) {
      ++swaps;
      CHECK(passes_with(
          fork, {.mode = {}, .ratio = {}, .kbytes = {}, .swap_kb = s->swap_kb, .ram_kb = {}}));
      CHECK_FALSE(passes_with(
          fork,
          {.mode = {}, .ratio = {}, .kbytes = {}, .swap_kb = *s->swap_kb - page_kb, .ram_kb = {}}));
    }
    if (s->ram_kb && *s->ram_kb >= *fork.rules.hugetlb_kb + page_kb) {
      ++rams;
      CHECK(passes_with(
          fork, {.mode = {}, .ratio = {}, .kbytes = {}, .swap_kb = {}, .ram_kb = s->ram_kb}));
      CHECK_FALSE(passes_with(
          fork,
          {.mode = {}, .ratio = {}, .kbytes = {}, .swap_kb = {}, .ram_kb = *s->ram_kb - page_kb}));
    }
  }
  for (const int seen : {ratios, kbytes, swaps, rams}) CHECK(seen > kCases / 20);
}

TEST_CASE("plan: mode 0 is about one mapping, mode 1 about none") {
  Cases cases;
  for (int i = 0; i < 1000; ++i) {
    ForkCase fork = cases.next();
    fork.rules.mode = kModeGuess;
    const auto growth = largest_single_growth_kb(fork);
    REQUIRE(growth);
    const auto with_biggest = [&](int64_t by) {
      ForkCase other = fork;
      other.biggest_kb = static_cast<uint64_t>(static_cast<int64_t>(fork.biggest_kb) + by);
      other.charge_kb = std::max(other.charge_kb, other.biggest_kb);
      return *passes(other);
    };
    CHECK(with_biggest(*growth));
    CHECK_FALSE(with_biggest(*growth + static_cast<int64_t>(fork.rules.page_kb)));
    CHECK_FALSE(largest_growth_kb(fork));
    fork.rules.mode = kModeAlways;
    CHECK(*passes(fork));
    CHECK_FALSE(largest_single_growth_kb(fork));
  }
}

TEST_CASE("plan: what a figure that is not known leaves unknown") {
  ForkCase fork = Cases().next();
  fork.rules.limit_kb.reset();
  CHECK_FALSE(passes(fork));
  CHECK_FALSE(largest_growth_kb(fork));
  CHECK_FALSE(smallest_settings(fork));
  fork.rules.mode = kModeGuess;
  fork.rules.kernel = {4, 18};
  CHECK_FALSE(passes(fork));
  fork.rules.mode.reset();
  CHECK_FALSE(passes(fork));
  fork.charge_kb = 0;
  fork.rules.mode = kModeNever;
  CHECK(passes(fork) == true);  // nothing is asked for
}

TEST_CASE("plan: mappings kept out of the fork, and MAP_NORESERVE") {
  using namespace ovcshim;
  const std::vector<MappingEntry> mappings = {
      mapping(0x10000000, 1000, kAnonAc),
      mapping(0x20000000, 4000, kAnonAc),
      mapping(0x30000000, 2000, kAnonAc | kMapHeap),
      mapping(0x40000000, 8000, kMapRead | kMapWrite | kMapNr | kMapFlagsKnown),
      mapping(0x50000000, 9000, kAnonAc | kMapDc),
      mapping(0x60000000, 1000, kAnonAc),
      mapping(0x70000000, 500, kMapRead | kMapAc | kMapFile | kMapFlagsKnown),
  };
  ForkCase fork;
  fork.rules.kernel = {6, 18};
  fork.rules.mode = kModeNever;
  fork.rules.limit_kb = 100000;
  fork.rules.user_reserve_kb = fork.rules.admin_reserve_kb = 0;
  const Charge charge = fork_charge(mappings, fork.rules);
  fork.charge_kb = charge.kb;
  fork.committed_kb = 94000;
  CHECK(fork.charge_kb == 8500);
  const auto list = exclusions(fork, mappings, 4);
  REQUIRE(list.size() == 4);
  const uint64_t sizes[] = {4000, 2000, 1000, 1000}, left[] = {4500, 2500, 1500, 500};
  for (size_t i = 0; i < 4; ++i)
    CHECK((list[i].kb == sizes[i] && list[i].charge_left_kb == left[i]));
  CHECK(list[0].passes == true);
  CHECK(list[2].mapping.start == 0x10000000);  // equal ones by address
  const ReserveEffect effect = reserve_effect(fork, mappings);
  CHECK(effect.noreserve_kb == 8000);
  CHECK(effect.all_accounted.charge_kb == 16500);
  CHECK(effect.all_accounted.committed_kb == 102000);
  CHECK(effect.could_be_kb ==
        6000);  // not the heap, not what is read-only, not what no fork copies
  CHECK(effect.all_noreserve.charge_kb == 2500);
  CHECK(effect.all_noreserve.biggest_kb == 2000);
}
