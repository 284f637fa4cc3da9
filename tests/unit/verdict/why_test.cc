// SPDX-License-Identifier: MIT
//
// `ovc why` over logs built record by record: what becomes one verdict, what is said of the rest,
// and the text of the worked example word for word.
#include <nlohmann/json.hpp>

#include "tests/unit/catch.h"
#include "tests/unit/verdict/why_world.h"

using namespace ovc;
using namespace ovc::test;
using ovcshim::FactKey;

TEST_CASE("the worked example word for word") {
  World world;
  world.worked_refusal();
  const WhyReport report = world.report();
  CHECK(report.found());
  CHECK(why_text(*world.log, report) ==
        R"(fork refused with ENOMEM at 22:13:20.000 in redis-server (pid 7143)
  asked by    not recorded
  cause       commit limit reached (vm.overcommit_memory = 2)
  charge      1,834,180 kB over 84 mappings; refused at the 71st, 7f09ee200000 (163,840 kB, anonymous)
  headroom    1,473,264 kB = CommitLimit 3,455,772 - Committed_AS 1,924,320 - user reserve 58,188
  short by    360,920 kB  (the kernel's own counter may be off by 96,416)
  would pass  mode 0: yes   mode 1: yes   mode 2: with overcommit_ratio >= 16, or 353 MiB more swap
  meaning     fork asks for every accounted mapping once more, and the sum with what all processes were promised passes CommitLimit
  rule        mm/mmap.c dup_mmap(); mm/util.c __vm_enough_memory(): allowed iff Committed_AS + request < CommitLimit - reserves
  to do       this service only: 177 MiB less data (maxmemory); it counts twice, in Committed_AS and again at the fork
              see who was promised the rest of Committed_AS: ovc check --all
              353 MiB more swap: CommitLimit grows by as much, and nothing else changes
              saves fork, so do BGREWRITEAOF and replicas that synchronise, with repl-diskless-sync too; only appending to the AOF (appendonly yes) does not
              until then: CONFIG SET stop-writes-on-bgsave-error no keeps it taking writes, which are not saved
              for the whole host: vm.overcommit_ratio = 16 (now 14)
              for the whole host: vm.overcommit_memory = 0; only single requests larger than RAM and swap are refused then
              the server's start-up warning asks for vm.overcommit_memory = 1: that would help too, but lifts every check for the whole host
)");
}

TEST_CASE("the same as JSON, exactly") {
  World world;
  world.worked_refusal();
  const WhyReport report = world.report();
  const auto json = nlohmann::json::parse(why_json(*world.log, report));
  CHECK(json["found"] == true);
  REQUIRE(json["verdicts"].size() == 1);
  const auto& v = json["verdicts"][0];
  CHECK(v["cause"] == "commit-limit");
  CHECK(v["op"] == "fork");
  CHECK(v["errno"] == "ENOMEM");
  CHECK(v["charge"]["kb"] == 1834180);
  CHECK(v["charge"]["refused_at"]["index"] == 71);
  CHECK(v["charge"]["refused_at"]["start"] == "0x7f09ee200000");
  CHECK(v["mode2"]["headroom_kb"] == 1473264);
  CHECK(v["short_by"] == 360920);
  CHECK(v["error_band"] == 96416);
  CHECK(v["would_pass"]["mode0"] == true);
  CHECK(v["would_pass"]["mode2_with"]["overcommit_ratio"] == 16);
  CHECK(v["would_pass"]["mode2_with"]["more_swap_mib"] == 353);
  CHECK(v["inside"][0]["op"] == "clone");
}

TEST_CASE("the same refusal again and again is one verdict with a count") {
  World world;
  for (uint64_t i = 0; i < 3; ++i)
    world.mode0_facts(
        world.refused(Op::kMmap, 1'000'000'000 * (i + 1), 1'000'000'010 * (i + 1), kBigMmap));
  const WhyReport report = world.report();
  REQUIRE(report.verdicts.size() == 1);
  CHECK(report.verdicts[0].count == 3);
  CHECK(report.verdicts[0].positions.size() == 3);
  CHECK(report.verdicts[0].finding.cause == "single-request-over-ram-and-swap");
  CHECK(why_text(*world.log, report)
            .starts_with("mmap of 17,179,869,184 bytes refused with ENOMEM 3 times from "
                         "22:13:20.999 to 22:13:22.999 in "
                         "redis-server (pid 7143)\n"));
}

TEST_CASE("nothing was refused: what can be said instead") {
  World world;
  Event start = make_event(Op::kStart, 1000, 1000);
  start.facts = {fact(FactKey::kOvercommitMemory, 0)};
  world.put(start);
  world.granted(Op::kMmap, 2000, 2010, {0, kGib, kRw, kPrivateAnon | MAP_NORESERVE},
                0x7f0000000000);
  world.granted(Op::kFork, 3000, 3010, {}, 7150);
  world.granted(Op::kClone, 3001, 3009, {0x1200011}, 7150, ovcshim::kInsideLibc);
  world.now.mode = 2;
  const WhyReport report = world.report();
  CHECK_FALSE(report.found());
  REQUIRE(report.forks.size() == 1);
  CHECK(report.forks[0].count == 1);
  CHECK(
      why_text(*world.log, report) ==
      R"(nothing was refused and nobody was killed in what was seen: 4 events of 1 process (redis-server)
1 fork passed in redis-server (pid 7143), the last at 22:13:20.000: not recorded
redis-server (pid 7143) mapped 1,048,576 kB with MAP_NORESERVE in 1 calls under vm.overcommit_memory = 0 and 0 kB without: a fork is not charged for the former, not even now that mode 2 is on
  so the server's start-up warning about vm.overcommit_memory says little about its forks
)");
}

TEST_CASE("what the lane has lost, the counters still tell") {
  World world;
  world.refused(Op::kFork, 2000, 2010, {});
  ovcshim::Stripe& stripe = world.builder.stripe(1);
  stripe.process = 0;
  stripe.process_serial = 1;
  stripe.owner = 7143;
  stripe.fold_id = 1;
  stripe.failed[static_cast<size_t>(Op::kFork)] = 5;
  const WhyReport report = world.report();
  REQUIRE(report.notes.size() == 1);
  CHECK(report.notes[0].starts_with(
      "5 failed calls were counted, but only 1 of them are still in the log"));
}

TEST_CASE("text of the log cannot drive a terminal") {
  World world;
  std::strcpy(world.builder.process(0).comm, "\x1b[31mevil\n");
  world.refused(Op::kFork, 2000, 2010, {});
  const WhyReport report = world.report();
  const std::string text = why_text(*world.log, report);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find("evil\n") == std::string::npos);
}

TEST_CASE("forks whose records are gone are still counted") {
  World world;
  ovcshim::ProcessSlot& child = world.process(1, 7150, "redis-server");
  child.parent = 0;
  child.parent_serial = 1;
  child.exit_known = 1;
  const WhyReport report = world.report();
  REQUIRE(report.forks.size() == 1);
  CHECK(report.forks[0].count == 1);
  CHECK(why_text(*world.log, report)
            .find("1 fork passed in redis-server (pid 7143), made by calls that left no record") !=
        std::string::npos);
}

TEST_CASE("a rule that was not understood was not in force") {
  World world;
  const bool understood = GENERATE(true, false);
  std::strcpy(world.builder.header().rehearse, understood ? "mode=2,limit=2G" : "mode=2,limit=+2G");
  Event start = make_event(Op::kStart, 1000, 1000);
  start.facts = {fact(FactKey::kOvercommitMemory, 0)};
  world.put(start);
  world.granted(Op::kMmap, 2000, 2010, {0, kGib, kRw, kPrivateAnon | MAP_NORESERVE},
                0x7f0000000000);
  const WhyReport report = world.report();
  REQUIRE(report.notes.size() == 1);
  CHECK((report.notes[0].find("not understood") == std::string::npos) == understood);
  CHECK(report.noreserve.empty() == understood);  // mode 2 would have charged it
}

TEST_CASE("a count without a record is told by its own cause") {
  World world;
  Event fork = make_event(Op::kFork, 2000, 0);
  fork.base.flags = ovcshim::kIntent;
  world.put(fork);
  ovcshim::Stripe& stripe = world.builder.stripe(1);
  stripe.process = 0;
  stripe.process_serial = 1;
  stripe.owner = 7143;
  stripe.fold_id = 1;
  stripe.failed[static_cast<size_t>(Op::kFork)] = 1;
  const WhyReport report = world.report();
  REQUIRE(report.notes.size() == 1);
  CHECK(report.notes[0].find("overwritten") == std::string::npos);
  CHECK(report.notes[0].find("not how it ended") != std::string::npos);
}

TEST_CASE("what was not seen is said first") {
  World world;
  world.granted(Op::kExecve, 3000, 0, {1, 0}, 0, ovcshim::kIntent);
  world.builder.header().follow = 2;
  const WhyReport report = world.report();
  CHECK(why_text(*world.log, report).starts_with("not seen: "));
}

TEST_CASE("a block is what would print the same: same cause, other reason is another block") {
  World world;
  world.refused(Op::kMunmap, 10, 11, {0x1000, 0}, 0, EINVAL);
  world.refused(Op::kMunmap, 20, 21, {0x1001, 4096}, 0, EINVAL);
  world.refused(Op::kMunmap, 30, 31, {0x1000, 0}, 0, EINVAL);
  const WhyReport report = world.report();
  REQUIRE(report.verdicts.size() == 2);
  CHECK(report.verdicts[0].finding.summary == "the length is 0");
  CHECK(report.verdicts[0].count == 2);
  CHECK(report.verdicts[1].finding.summary == "the address is not at the start of a page");
  CHECK(report.verdicts[0].finding.cause == report.verdicts[1].finding.cause);
}

TEST_CASE("of several sizes in one block the title tells the range, and a note whose figures") {
  World world;
  for (uint64_t i = 0; i < 2; ++i)
    world.mode0_facts(world.refused(Op::kMmap, 100 * (i + 1), 100 * (i + 1) + 10,
                                    {0, (16 + i) * kGib, kRw, kPrivateAnon, UINT64_MAX, 0}));
  const WhyReport report = world.report();
  REQUIRE(report.verdicts.size() == 1);
  const std::string text = why_text(*world.log, report);
  CHECK(text.starts_with("mmap of 17,179,869,184 to 18,253,611,008 bytes refused"));
  CHECK(text.find("the figures are those of the first of these calls") != text.npos);
}
