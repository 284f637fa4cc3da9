// SPDX-License-Identifier: MIT
//
// The kernel's accounting rules, row by row. commit_rules_kernel_test.cc holds them against the
// kernel that runs the test.
#include "tools/rules/commit_rules.h"

#include <sched.h>
#include <sys/mman.h>

#include <optional>

#include "tests/unit/catch.h"
#include "tests/unit/log_builder.h"

using namespace ovc;
using ovcshim::FactKey;

namespace {

constexpr int kRw = PROT_READ | PROT_WRITE;
constexpr int kPrivateAnon = MAP_PRIVATE | MAP_ANONYMOUS;
constexpr int kSharedAnon = MAP_SHARED | MAP_ANONYMOUS;
constexpr uint64_t kMib = 1 << 20;

HostRules host(KernelVersion kernel, std::optional<uint64_t> mode) {
  HostRules rules;
  rules.kernel = kernel;
  rules.mode = mode;
  return rules;
}

// The machine of the worked example: 2 CPUs, 24,684,096 kB of RAM, no swap, CommitLimit at a ratio
// of 14.
HostRules worked_example() {
  HostRules rules = host({6, 18}, kModeNever);
  rules.cpus = 2;
  rules.ram_kb = 24684096;
  rules.swap_kb = 0;
  rules.hugetlb_kb = 0;
  rules.ratio = 14;
  rules.overcommit_kbytes = 0;
  rules.user_reserve_kb = 100409;
  rules.admin_reserve_kb = 8192;
  rules.limit_kb = 3455772;
  rules.committed_kb = 1924320;
  rules.admin = true;
  return rules;
}

ovcshim::MappingEntry entry(uint64_t start, uint64_t kb, uint32_t flags) {
  return {start, start + kb * 1024, flags, 0, 0, 0};
}

Event mmap_event(uint64_t len, int prot, int flags) {
  Event event = test::make_event(Op::kMmap);
  test::set_args(
      event, {0, len, static_cast<uint64_t>(prot), static_cast<uint64_t>(flags), UINT64_MAX, 0});
  return event;
}
}  // namespace

TEST_CASE("kernel release") {
  const auto [text, version] = GENERATE(table<const char*, KernelVersion>({
      {"6.1.0-18-amd64", {6, 1}},
      {"5.10.223", {5, 10}},
      {"4.18.0-553.el8.x86_64", {4, 18}},
      {"7.2-rc1", {7, 2}},
      {"", {0, 0}},
      {"nonsense", {0, 0}},
      {"6", {0, 0}},
  }));
  CHECK(parse_kernel_release(text) == version);
}

TEST_CASE("a new mapping is charged by its kind and the mode") {
  // prot, flags, kB charged of 8192 under modes 0, 1, 2
  const auto [prot, flags, mode0, mode1, mode2_kb] =
      GENERATE(table<int, int, uint64_t, uint64_t, uint64_t>({
          {kRw, kPrivateAnon, 8192, 8192, 8192},
          {PROT_WRITE, kPrivateAnon, 8192, 8192, 8192},
          {PROT_READ, kPrivateAnon, 0, 0, 0},
          {PROT_NONE, kPrivateAnon, 0, 0, 0},
          {PROT_READ | PROT_EXEC, kPrivateAnon, 0, 0, 0},
          {kRw, kPrivateAnon | MAP_NORESERVE, 0, 0, 8192},
          {PROT_NONE, kPrivateAnon | MAP_NORESERVE, 0, 0, 0},
          {kRw, kPrivateAnon | MAP_STACK, 8192, 8192, 8192},
          {kRw, kPrivateAnon | MAP_GROWSDOWN, 8192, 8192, 8192},
          {kRw, MAP_PRIVATE, 8192, 8192, 8192},
          {PROT_READ, MAP_PRIVATE, 0, 0, 0},
          {kRw, MAP_SHARED, 0, 0, 0},
          {kRw, MAP_SHARED_VALIDATE, 0, 0, 0},
          {kRw, kSharedAnon, 8192, 8192, 8192},
          {PROT_NONE, kSharedAnon, 8192, 8192, 8192},
          {kRw, kSharedAnon | MAP_NORESERVE, 0, 0, 8192},
          {kRw, kPrivateAnon | MAP_HUGETLB, 0, 0, 0},
          {kRw, kPrivateAnon | MAP_HUGETLB | MAP_NORESERVE, 0, 0, 0},
      }));
  CAPTURE(prot, flags);
  const Event event = mmap_event(8192 * 1024, prot, flags);
  CHECK(charge_kb(event, host({6, 18}, 0)) == mode0);
  CHECK(charge_kb(event, host({6, 18}, 1)) == mode1);
  CHECK(charge_kb(event, host({6, 18}, 2)) == mode2_kb);
}

TEST_CASE("an unknown mode is not guessed") {
  const HostRules rules = host({6, 18}, std::nullopt);
  CHECK(charge_kb(mmap_event(kMib, kRw, kPrivateAnon), rules) == 1024);
  CHECK_FALSE(charge_kb(mmap_event(kMib, kRw, kPrivateAnon | MAP_NORESERVE), rules));
  CHECK(charge_kb(mmap_event(kMib, PROT_NONE, kPrivateAnon | MAP_NORESERVE), rules) == 0);
}

TEST_CASE("lengths are charged in whole pages") {
  CHECK(charge_kb(mmap_event(1, kRw, kPrivateAnon), host({6, 1}, 0)) == 4);
  HostRules big_pages = host({6, 1}, 0);
  big_pages.page_kb = 64;
  CHECK(charge_kb(mmap_event(1, kRw, kPrivateAnon), big_pages) == 64);
}

TEST_CASE("MAP_FIXED is charged in full before 6.12 and by what it adds since") {
  const Event event = mmap_event(kMib, kRw, kPrivateAnon | MAP_FIXED);
  CHECK(charge_kb(event, host({6, 11}, 0)) == 1024);
  CHECK_FALSE(charge_kb(event, host({6, 12}, 0)));
  CHECK_FALSE(charge_kb(event, host({}, 0)));
  CHECK(charge_kb(mmap_event(kMib, PROT_NONE, kPrivateAnon | MAP_FIXED), host({6, 12}, 0)) == 0);
}

TEST_CASE("what a call alone proves about its charge") {
  const HostRules rules = host({6, 18}, 0);
  Event event;
  const auto charge = [&](Op op, std::initializer_list<uint64_t> args) {
    event = test::make_event(op);
    test::set_args(event, args);
    return charge_kb(event, rules);
  };
  CHECK(charge(Op::kMunmap, {0x10000, kMib}) == 0);
  CHECK(charge(Op::kMadvise, {0x10000, kMib, MADV_DONTNEED}) == 0);
  CHECK(charge(Op::kMprotect, {0x10000, kMib, PROT_READ}) == 0);
  CHECK_FALSE(charge(Op::kMprotect, {0x10000, kMib, kRw}));
  CHECK(charge(Op::kMremap, {0x10000, 2 * kMib, kMib, 0}) == 0);
  CHECK(charge(Op::kMremap, {0x10000, kMib, kMib, MREMAP_MAYMOVE}) == 0);
  CHECK_FALSE(charge(Op::kMremap, {0x10000, kMib, 2 * kMib, MREMAP_MAYMOVE}));
  CHECK(charge(Op::kSbrk, {static_cast<uint64_t>(-4096)}) == 0);
  CHECK_FALSE(charge(Op::kBrk, {0x20000}));
  CHECK(charge(Op::kVfork, {}) == 0);
  CHECK(charge(Op::kClone, {CLONE_VM | CLONE_VFORK}) == 0);
  CHECK_FALSE(charge(Op::kClone, {CLONE_VFORK}));
  CHECK_FALSE(charge(Op::kFork, {}));
  CHECK_FALSE(charge(Op::kMalloc, {kMib}));
}

TEST_CASE("sbrk is charged the pages between the breaks") {
  Event event = test::make_event(Op::kSbrk);
  test::set_args(event, {100});
  event.base.result = 0x10ff0;  // 16 bytes below a page
  CHECK(charge_kb(event, host({6, 1}, 0)) == 4);
  event.base.result = 0x10010;
  CHECK(charge_kb(event, host({6, 1}, 0)) == 0);
  event.base.flags = ovcshim::kFailed;
  CHECK_FALSE(charge_kb(event, host({6, 1}, 0)));
  test::set_args(event, {kMib});
  CHECK(charge_kb(event, host({6, 1}, 0)) == 1024);
}

TEST_CASE("what changes of a mapping do to its charge") {
  constexpr MappingState kNone{.accounted = false, .touched = false};
  constexpr MappingState kAc{.accounted = true, .writable = true};
  constexpr MappingState kUntouched{.accounted = true, .writable = true, .touched = false};
  constexpr MappingState kUntouchedFile{
      .accounted = true, .writable = true, .file = true, .touched = false};
  constexpr MappingState kSticky{.accounted = true};
  constexpr MappingState kNr{.noreserve = true};
  constexpr MappingState kShared{.shared = true};
  constexpr MappingState kHuge{.hugetlb = true};
  constexpr MappingState kDontFork{.accounted = true, .writable = true, .dont_copy = true};
  const auto [change, state, kernel, effect] =
      GENERATE_COPY(table<Change, MappingState, KernelVersion, Effect>({
          {Change::kGainWrite, kNone, {6, 1}, Effect::kCharge},
          {Change::kGainWrite, kAc, {6, 1}, Effect::kNothing},
          {Change::kGainWrite, kSticky, {6, 1}, Effect::kNothing},
          {Change::kGainWrite, kNr, {6, 1}, Effect::kNothing},
          {Change::kGainWrite, kShared, {6, 1}, Effect::kNothing},
          {Change::kGainWrite, kHuge, {6, 1}, Effect::kNothing},
          {Change::kLoseWrite, kUntouched, {6, 6}, Effect::kNothing},
          {Change::kLoseWrite, kUntouched, {6, 7}, Effect::kRelease},
          {Change::kLoseWrite, kUntouchedFile, {6, 7}, Effect::kNothing},
          {Change::kLoseWrite, kAc, {6, 18}, Effect::kNothing},
          {Change::kUnmap, kAc, {6, 1}, Effect::kRelease},
          {Change::kUnmap, kShared, {6, 1}, Effect::kNothing},
          {Change::kReplaceFixed, kAc, {6, 11}, Effect::kCharge},
          {Change::kReplaceFixed, kAc, {6, 12}, Effect::kChargeLessOld},
          {Change::kGrow, kAc, {6, 1}, Effect::kCharge},
          {Change::kGrow, kNr, {6, 1}, Effect::kNothing},
          {Change::kShrink, kAc, {6, 1}, Effect::kRelease},
          {Change::kMove, kAc, {5, 10}, Effect::kNothing},
          {Change::kMove, kAc, {6, 1}, Effect::kCheckOnly},
          {Change::kMove, kNr, {6, 1}, Effect::kNothing},
          {Change::kMoveKeepOld, kAc, {6, 1}, Effect::kCharge},
          {Change::kBrkGrow, kNone, {6, 1}, Effect::kCharge},
          {Change::kBrkShrink, kAc, {6, 1}, Effect::kRelease},
          {Change::kStackGrow, kAc, {6, 1}, Effect::kCharge},
          {Change::kMadvise, kAc, {6, 1}, Effect::kNothing},
          {Change::kFork, kAc, {6, 1}, Effect::kCharge},
          {Change::kFork, kSticky, {6, 1}, Effect::kCharge},
          {Change::kFork, kDontFork, {6, 1}, Effect::kNothing},
          {Change::kFork, kNr, {6, 1}, Effect::kNothing},
          {Change::kForkSharedMemory, kAc, {6, 1}, Effect::kNothing},
      }));
  const ChangeRow* row = change_row(change, state, host(kernel, 0));
  REQUIRE(row);
  INFO(row->what);
  CHECK(row->effect == effect);
  CHECK_FALSE(row->source.empty());
}

TEST_CASE("a rule that depends on the version needs the version") {
  CHECK_FALSE(change_row(Change::kMove, {.accounted = true}, host({}, 0)));
  CHECK(change_row(Change::kUnmap, {.accounted = true}, host({}, 0)));
}

TEST_CASE("every row names its source") {
  for (const auto& row : mapping_rows()) CHECK_FALSE(row.source.empty());
  for (const auto& row : change_rows()) CHECK_FALSE(row.source.empty());
}

TEST_CASE("fork is charged the accounted mappings that are copied") {
  using namespace ovcshim;
  const HostRules rules = host({6, 18}, 2);
  CHECK(fork_charge_kb(entry(0x1000, 64, kMapAc | kMapWrite), rules) == 64);
  CHECK(fork_charge_kb(entry(0x1000, 64, kMapAc), rules) == 64);
  CHECK(fork_charge_kb(entry(0x1000, 64, kMapAc | kMapDc), rules) == 0);
  CHECK(fork_charge_kb(entry(0x1000, 64, kMapAc | kMapWf), rules) == 64);
  CHECK(fork_charge_kb(entry(0x1000, 64, kMapNr | kMapWrite), rules) == 0);
  CHECK(fork_charge_kb({0x2000, 0x1000, kMapAc, 0, 0, 0}, rules) == 0);
}

TEST_CASE("mprotect is charged the part of a mapping inside its range") {
  using namespace ovcshim;
  const HostRules rules = host({6, 18}, 0);
  const auto none = entry(0x100000, 64, kMapRead);
  CHECK(gain_write_kb(none, 0x100000, 0x110000, rules) == 64);
  CHECK(gain_write_kb(none, 0x102000, 0x104000, rules) == 8);
  CHECK(gain_write_kb(none, 0x200000, 0x300000, rules) == 0);
  CHECK(gain_write_kb(entry(0x100000, 64, kMapRead | kMapAc), 0x100000, 0x110000, rules) == 0);
  CHECK(gain_write_kb(entry(0x100000, 64, kMapNr), 0x100000, 0x110000, rules) == 0);
}

TEST_CASE("mode 2: the worked example to the kB") {
  const auto v = mode2(worked_example(), 1924320, 58188 / 4 * 32, 1834180);
  REQUIRE(v);
  CHECK(v->user_reserve_kb == 58188);
  CHECK(v->admin_reserve_kb == 0);
  CHECK(v->headroom_kb == 1473264);
  CHECK(v->short_kb == 360920);
  CHECK(v->band_kb == 96416);
  CHECK_FALSE(v->passes());
  CHECK_FALSE(v->borderline());
  const LimitSettings with =
      settings_for_limit(worked_example(), static_cast<uint64_t>(v->limit_kb + v->short_kb));
  CHECK(with.ratio == 16);
  CHECK(with.more_swap_mib == 353);
  CHECK(with.overcommit_kbytes == 3455772 + 360920);
}

TEST_CASE("mode 2: the inequality is strict") {
  const auto v = [](uint64_t request) {
    return *mode2(worked_example(), 1924320, 58188 / 4 * 32, request);
  };
  CHECK(v(1473264).short_kb == 4);
  CHECK_FALSE(v(1473264).passes());
  CHECK(v(1473260).passes());
  CHECK(v(1473260).borderline());
  CHECK_FALSE(v(1000).borderline());
}

TEST_CASE("mode 2: reserves") {
  HostRules rules = worked_example();
  const auto v = [&](uint64_t vm_pages) { return *mode2(rules, 1924320, vm_pages, 0); };
  CHECK(v(1000000).user_reserve_kb == 100408);  // capped by vm.user_reserve_kbytes, in whole pages
  CHECK(v(33).user_reserve_kb == 4);
  rules.admin = false;
  CHECK(v(0).admin_reserve_kb == 8192);
  CHECK(v(0).band_kb == 96416);
  rules.admin.reset();  // not known: counted, and as much uncertainty
  CHECK(v(0).admin_reserve_kb == 8192);
  CHECK(v(0).band_kb == 96416 + 8192);
}

TEST_CASE("mode 2 without one of its terms proves nothing") {
  HostRules rules = worked_example();
  CHECK_FALSE(mode2(rules, std::nullopt, 1, 1));
  CHECK_FALSE(mode2(rules, 1, std::nullopt, 1));
  CHECK_FALSE(mode2(rules, UINT64_MAX - 2, 1, 1));
  CHECK_FALSE(mode2(rules, 1, 1, UINT64_MAX / 2));
  rules.limit_kb.reset();
  CHECK_FALSE(mode2(rules, 1, 1, 1));
}

TEST_CASE("CommitLimit from the settings") {
  HostRules rules = worked_example();
  CHECK(commit_limit_kb(rules, 14, 0) == 3455772);
  CHECK(commit_limit_kb(rules, 50, 0) == 12342048);
  CHECK(commit_limit_kb(rules, 50, 1000003) == 1000000);
  rules.swap_kb = 2048;
  rules.hugetlb_kb = 65536;  // leaves the ratio's base, not that of kbytes
  CHECK(commit_limit_kb(rules, 50, 0) == 12342048 - 32768 + 2048);
  CHECK(commit_limit_kb(rules, 50, 1000000) == 1002048);
  rules.hugetlb_kb.reset();
  CHECK_FALSE(commit_limit_kb(rules, 50, 0));
}

TEST_CASE("the smallest ratio is the smallest") {
  const HostRules rules = worked_example();
  const auto wanted = GENERATE(4u, 246840u, 246844u, 3455772u, 3455776u, 24684096u, 24684100u);
  const auto ratio = settings_for_limit(rules, wanted).ratio;
  REQUIRE(ratio);
  CHECK(commit_limit_kb(rules, *ratio, 0) >= wanted);
  if (*ratio > 0) CHECK(commit_limit_kb(rules, *ratio - 1, 0) < wanted);
}

TEST_CASE("the counter's error band") {
  HostRules rules = worked_example();
  CHECK(counter_band_kb(rules, kModeNever) == 96416);
  CHECK(counter_band_kb(rules, kModeGuess) == 2u * 771378 * 4);  // RAM / CPUs / 4
  rules.kernel = {5, 8};
  CHECK(counter_band_kb(rules, kModeGuess) == 96416);
  rules.ram_kb = 65536;  // small machine: at least 32 pages per CPU
  CHECK(counter_band_kb(rules, kModeNever) == 2 * 32 * 4);
  rules.cpus = 0;
  CHECK_FALSE(counter_band_kb(rules, kModeNever));
}

TEST_CASE("mode 0 since 5.2 knows one limit") {
  HostRules rules = worked_example();
  rules.swap_kb = 1024;
  CHECK(guess_limit_kb(rules) == 24684096 + 1024);
  rules.kernel = {5, 1};
  CHECK_FALSE(guess_limit_kb(rules));
  rules.kernel = {};
  CHECK_FALSE(guess_is_simple(rules));
  rules.kernel = {4, 18};
  CHECK(guess_is_simple(rules) == false);
  rules.vendor_kernel = true;  // may have it backported
  CHECK_FALSE(guess_is_simple(rules));
}

TEST_CASE("mode 0 before 5.2 estimates free memory") {
  const auto fact = [](FactKey key, uint64_t value) {
    return ovcshim::Fact{static_cast<uint32_t>(key), 0, value};
  };
  std::vector<ovcshim::Fact> facts = {
      fact(FactKey::kMemFreeKb, 1000),   fact(FactKey::kCachedKb, 200),
      fact(FactKey::kBuffersKb, 30),     fact(FactKey::kSwapCachedKb, 4),
      fact(FactKey::kShmemKb, 50),       fact(FactKey::kSwapFreeKb, 600),
      fact(FactKey::kSReclaimableKb, 7), fact(FactKey::kKReclaimableKb, 70),
      fact(FactKey::kAdminReserveKb, 8)};
  HostRules rules = host({5, 1}, 0);
  rules.admin = true;
  CHECK(guess_estimate_at_most_kb(rules, facts) == 1000 + 200 + 30 + 4 - 50 + 600 + 70);
  rules.admin = false;
  CHECK(guess_estimate_at_most_kb(rules, facts) == 1854 - 8);
  rules.kernel = {4, 19};  // no KReclaimable yet
  CHECK(guess_estimate_at_most_kb(rules, facts) == 1854 - 8 - 70 + 7);
  rules.kernel = {5, 2};
  CHECK_FALSE(guess_estimate_at_most_kb(rules, facts));
  rules.kernel = {5, 1};
  facts.erase(facts.begin());
  CHECK_FALSE(guess_estimate_at_most_kb(rules, facts));
}

TEST_CASE("facts make rules, absurd ones do not") {
  const auto fact = [](FactKey key, uint64_t value) {
    return ovcshim::Fact{static_cast<uint32_t>(key), 0, value};
  };
  const std::vector<ovcshim::Fact> facts = {
      fact(FactKey::kOvercommitMemory, 2), fact(FactKey::kMemTotalKb, 4096),
      fact(FactKey::kSwapTotalKb, UINT64_MAX - 1), fact(FactKey::kCapEff, 1u << 21),
      fact(FactKey::kUserNsIdentity, 1)};
  HostRules rules = with_facts({}, facts);
  CHECK(rules.mode == 2);
  CHECK(rules.ram_kb == 4096);
  CHECK_FALSE(rules.swap_kb);
  CHECK(rules.admin == true);
  CHECK(with_facts(rules, std::vector{fact(FactKey::kUserNsIdentity, 0)}).admin == false);
  CHECK(with_facts(rules, std::vector{fact(FactKey::kCapEff, 0)}).admin == false);
}
