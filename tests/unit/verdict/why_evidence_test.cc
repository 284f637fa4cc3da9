// SPDX-License-Identifier: MIT
//
// Which calls are refusals, which belong together, and whose proof serves whom.

#include "tests/unit/catch.h"
#include "tests/unit/verdict/why_world.h"

using namespace ovc;
using namespace ovc::test;
using ovcshim::FactKey;

TEST_CASE("a malloc and the mmaps inside it are one verdict") {
  World world;
  world.refused(Op::kMmap, 5100, 5200, kBigMmap, ovcshim::kInsideLibc);
  world.granted(Op::kMmap, 5300, 5400, {0, 134217728, PROT_NONE, kPrivateAnon | MAP_NORESERVE},
                0x7f0000000000, ovcshim::kInsideLibc);
  const uint64_t last = world.refused(Op::kMmap, 5500, 5600, kBigMmap, ovcshim::kInsideLibc);
  world.mode0_facts(last);
  world.refused(Op::kMalloc, 5000, 6000, {16 * kGib - 4096});
  const WhyReport report = world.report();
  REQUIRE(report.verdicts.size() == 1);
  const Verdict& v = report.verdicts[0];
  CHECK(v.event.base.op == Op::kMalloc);
  CHECK(v.finding.cause == "single-request-over-ram-and-swap");
  REQUIRE(v.finding.steps.size() == 3);
  CHECK(v.finding.steps[1].cause.empty());
  CHECK(why_text(*world.log, report).find("  inside      mmap(NULL, 17179869184,") !=
        std::string::npos);
}

TEST_CASE("a small malloc takes the refusals right before it along") {
  World world;
  world.refused(Op::kBrk, 5000, 5010, {0x20000000}, ovcshim::kInsideLibc);
  world.refused(Op::kMmap, 6000, 6010, kBigMmap, ovcshim::kInsideLibc);
  world.refused(Op::kMalloc, 6000, 6100, {64});  // begins with its last refusal
  const WhyReport report = world.report();
  REQUIRE(report.verdicts.size() == 1);
  CHECK(report.verdicts[0].finding.steps.size() == 2);
}

TEST_CASE("a refusal inside an allocation that was granted does no harm") {
  World world;
  world.mode0_facts(world.refused(Op::kMmap, 5100, 5200, kBigMmap, ovcshim::kInsideLibc));
  world.granted(Op::kMalloc, 5000, 6000, {16 * kGib}, 0x7f0000000000);
  const WhyReport report = world.report();
  REQUIRE(report.verdicts.size() == 1);
  CHECK(report.verdicts[0].coped);
  CHECK_FALSE(report.found());
  CHECK(why_text(*world.log, report).find("1 refusal did no harm") != std::string::npos);
  CHECK(why_text(*world.log, report, true).find("no harm came of it") != std::string::npos);
}

TEST_CASE("an unrelated refusal right before a small malloc is not part of it") {
  World world;
  const auto put = [&](Op op, uint64_t begin, uint64_t end, std::initializer_list<uint64_t> args,
                       std::vector<uint64_t> frames) {
    Event event = make_event(op, begin, end);
    event.base.flags = ovcshim::kFailed;
    event.base.err = ENOMEM;
    event.base.caller = frames.front();
    event.frames = std::move(frames);
    set_args(event, args);
    return world.put(event);
  };
  world.mode0_facts(put(Op::kMmap, 5000, 5010, kBigMmap, {0x1111, 0x9999}));
  put(Op::kMalloc, 5000, 5100, {64}, {0x2222, 0x9999});
  CHECK(world.report().verdicts.size() == 2);
}

TEST_CASE("a mapping list made shortly before serves while nothing changed") {
  World world;
  std::vector<ovcshim::Fact> facts = {fact(FactKey::kMapsCount, 12), fact(FactKey::kMapsSource, 1),
                                      fact(FactKey::kMaxMapCount, 10)};
  world.snapshot(world.refused(Op::kMmap, 2000, 2010, {0, 4096, kRw, kPrivateAnon}), 2020, facts);
  const bool changed = GENERATE(false, true);
  if (changed) world.granted(Op::kMunmap, 2500, 2510, {0x10000, 4096});
  facts.erase(facts.begin(), facts.begin() + 2);
  world.snapshot(world.refused(Op::kBrk, 3000, 3010, {0x20000}), 3020, facts);
  const WhyReport report = world.report();
  REQUIRE(report.verdicts.size() == 2);
  CHECK(report.verdicts[1].finding.cause == (changed ? "unknown" : "max-map-count"));
}

TEST_CASE("the sums of an earlier list prove where that list was overwritten") {
  World world;
  const std::vector<ovcshim::Fact> facts = {fact(FactKey::kMapsCount, 12),
                                            fact(FactKey::kMaxMapCount, 10)};
  world.snapshot(world.refused(Op::kMmap, 2000, 2010, {0, 4096, kRw, kPrivateAnon}), 2020, facts);
  const WhyReport report = world.report();
  REQUIRE(report.verdicts.size() == 1);
  CHECK(report.verdicts[0].finding.cause == "max-map-count");
}

TEST_CASE("a refusal of a storm is proven by the first one's proof") {
  World world;
  const std::vector<ovcshim::Fact> facts = {fact(FactKey::kMapsCount, 12),
                                            fact(FactKey::kMaxMapCount, 10)};
  const std::initializer_list<uint64_t> args = {0, 4096, kRw, kPrivateAnon};
  const uint64_t first = world.refused(Op::kMmap, 2000, 2010, args);
  world.snapshot(first, 2020, facts);
  const bool changed = GENERATE(false, true);
  if (changed) world.granted(Op::kMunmap, 2990, 3005, {0x10000, 4096});
  Event later = make_event(Op::kMmap, 3000, 3010);
  later.base.flags = ovcshim::kFailed;
  later.base.err = ENOMEM;
  later.facts = {fact(FactKey::kProvenBy, first)};
  set_args(later, args);
  world.put(later);
  const WhyReport report = world.report();
  REQUIRE(report.verdicts.size() == (changed ? 2 : 1));
  CHECK(report.verdicts[0].finding.cause == "max-map-count");
  CHECK(report.verdicts[0].count == (changed ? 1 : 2));
  if (changed) CHECK(report.verdicts[1].finding.cause == "unknown");
}

TEST_CASE("of an earlier proof the settings stay when something was granted since") {
  World world;
  const uint64_t first = world.refused(Op::kMmap, 2000, 2010, kBigMmap);
  world.snapshot(first, 2020,
                 {fact(FactKey::kMapsCount, 12), fact(FactKey::kMaxMapCount, 10),
                  fact(FactKey::kRlimitAs, 1 << 30), fact(FactKey::kVmSizeKb, 1 << 20)});
  Event later = make_event(Op::kMmap, 3000, 3010);
  later.base.flags = ovcshim::kFailed;
  later.base.err = ENOMEM;
  later.facts = {fact(FactKey::kProvenBy, first), fact(FactKey::kVmSizeKb, 1 << 19)};
  set_args(later, kBigMmap);
  world.put(later);
  const WhyReport report = world.report();
  REQUIRE(report.verdicts.size() == 2);
  CHECK(report.verdicts[0].finding.cause == "max-map-count");
  CHECK(report.verdicts[1].finding.cause == "rlimit-as");
}

TEST_CASE("a proof that is not there any more proves nothing") {
  World world;
  Event later = make_event(Op::kMmap, 3000, 3010);
  later.base.flags = ovcshim::kFailed;
  later.base.err = ENOMEM;
  later.facts = {fact(FactKey::kProvenBy, 77)};
  set_args(later, kBigMmap);
  world.put(later);
  const WhyReport report = world.report();
  REQUIRE(report.verdicts.size() == 1);
  CHECK(report.verdicts[0].finding.cause == "unknown");
}

TEST_CASE("a mapping made and then made writable shows what is charged") {
  World world;
  world.granted(Op::kMmap, 2000, 2010, {0, 16 * kGib, PROT_NONE, kPrivateAnon, UINT64_MAX, 0},
                0x7f0000000000);
  const bool touched = GENERATE(false, true);
  if (touched) world.granted(Op::kMprotect, 2100, 2110, {0x7f0000000000, 4096, kRw});
  world.mode0_facts(world.refused(Op::kMprotect, 3000, 3010, {0x7f0000000000, 16 * kGib, kRw}));
  CHECK(world.report().verdicts.at(0).finding.cause ==
        (touched ? "unknown" : "single-request-over-ram-and-swap"));
}
TEST_CASE("a call that has not returned is not refused") {
  World world;
  Event fork = make_event(Op::kFork, 5000, 0);
  fork.base.flags = ovcshim::kIntent;
  world.put(fork);
  CHECK_FALSE(world.report().found());
}

TEST_CASE("failures of normal life are no findings") {
  World world;
  world.refused(Op::kWaitpid, 1, 2, {UINT64_MAX}, 0, ECHILD);
  world.refused(Op::kExecve, 3, 4, {1, 1}, 0, ENOENT);
  world.refused(Op::kMadvise, 5, 6, {0x1000, 4096, 99}, 0, EINVAL);
  world.refused(Op::kShmget, 7, 8, {4711, 4096, 0600}, 0, ENOENT);
  world.refused(Op::kSetrlimit, 9, 10, {7, 1 << 20, 1 << 20}, 0, EPERM);
  world.refused(Op::kMemfdCreate, 11, 12, {1 << 10}, 0, EINVAL);
  const WhyReport report = world.report();
  CHECK(report.verdicts.empty());
  CHECK_FALSE(report.found());
}

TEST_CASE("probes do no harm, what only looks like one does") {
  World world;
  const auto mmap = [&](uint64_t begin, uint64_t len, uint64_t flags, uint16_t err) {
    Event event = make_event(Op::kMmap, begin, begin + 10);
    event.base.caller = 0x1111;
    event.frames = {0x1111, 0x2222};
    set_args(event, {0, len, kRw, flags, UINT64_MAX, 0});
    if (err) event.base.flags = ovcshim::kFailed, event.base.err = err, event.base.result = -1;
    else event.base.result = 0x7f0000000000;
    world.put(event);
  };
  constexpr uint64_t kSync = 0x80003, kNoReplace = 0x100000;
  SECTION("does the file take these flags?") {
    mmap(2000, 4096, kSync, EOPNOTSUPP);
    CHECK_FALSE(world.report().found());
  }
  SECTION("is the address free?") {
    mmap(2000, 4096, kPrivateAnon | kNoReplace, EEXIST);
    CHECK_FALSE(world.report().found());
  }
  SECTION("fewer flags") {
    mmap(2000, kGib, kPrivateAnon | MAP_LOCKED, EAGAIN);
    mmap(2100, kGib, kPrivateAnon, 0);
    CHECK_FALSE(world.report().found());
  }
  SECTION("halved until it was granted") {
    mmap(2000, 16 * kGib, kPrivateAnon, ENOMEM);
    mmap(2100, 8 * kGib, kPrivateAnon, ENOMEM);
    mmap(2200, 4 * kGib, kPrivateAnon, 0);
    CHECK_FALSE(world.report().found());
    CHECK(world.report().verdicts.at(0).count == 2);
  }
  SECTION("something small afterwards is no smaller try") {
    mmap(2000, 16 * kGib, kPrivateAnon, ENOMEM);
    mmap(2100, 4096, kPrivateAnon, 0);
    CHECK(world.report().found());
  }
  SECTION("the same again is no smaller try") {
    mmap(2000, 16 * kGib, kPrivateAnon, ENOMEM);
    mmap(2100, 16 * kGib, kPrivateAnon, 0);
    CHECK(world.report().found());
  }
}
