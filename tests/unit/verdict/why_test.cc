// SPDX-License-Identifier: MIT
//
// `ovc why` over logs built record by record: what becomes one verdict, what is no finding, how a
// process ended, and the text of the worked example word for word.
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "tests/unit/catch.h"
#include "tests/unit/worked_example.h"
#include "tools/verdict/why_report.h"

using namespace ovc;
using namespace ovc::test;
using ovcshim::FactKey;

namespace {

constexpr uint64_t kGib = 1 << 30;

struct World {
  LogBuilder builder{512};
  HostNow now;
  bool alive = true;
  std::optional<LogReader> log;

  World() {
    setenv("TZ", "UTC", 1);
    tzset();
    std::strcpy(builder.header().boot_id, "this-boot");
    std::strcpy(builder.header().kernel_release, "6.18.44");
    now.boot_id = "this-boot";
    now.alive = [this](const ovcshim::ProcessSlot&) {
      return alive ? HostNow::Alive::kYes : HostNow::Alive::kNo;
    };
    process(0, 7143, "redis-server");
  }
  ovcshim::ProcessSlot& process(uint32_t index, uint32_t pid, const char* comm) {
    ovcshim::ProcessSlot& slot = builder.process(index);
    slot.use = static_cast<uint32_t>(ovcshim::SlotUse::kLive);
    slot.serial = 1;
    slot.pid = pid;
    slot.start_tick = 1;
    slot.parent = ovcshim::kNoIndex;
    std::strcpy(slot.comm, comm);
    return slot;
  }
  uint64_t put(Event event) {
    if (event.base.pid == 100) event.base.pid = event.base.tid = 7143;
    return builder.put(event);
  }
  // A call that fails, with calls of its own inside its ticks put separately.
  uint64_t refused(Op op, uint64_t begin, uint64_t end, std::initializer_list<uint64_t> args,
                   uint16_t flags = 0, uint16_t err = ENOMEM) {
    Event event = make_event(op, begin, end);
    event.base.flags = static_cast<uint16_t>(ovcshim::kFailed | flags);
    event.base.err = err;
    event.base.result = -1;
    set_args(event, args);
    return put(event);
  }
  uint64_t granted(Op op, uint64_t begin, uint64_t end, std::initializer_list<uint64_t> args,
                   int64_t result = 0, uint16_t flags = 0) {
    Event event = make_event(op, begin, end);
    event.base.flags = flags;
    event.base.result = result;
    set_args(event, args);
    return put(event);
  }
  void snapshot(uint64_t about, uint64_t tick, std::vector<ovcshim::Fact> facts) {
    Event event = make_event(Op::kSnapshot, tick, tick);
    event.facts = std::move(facts);
    set_args(event, {about});
    put(event);
  }
  void mappings(uint64_t about, const std::vector<ovcshim::MappingEntry>& list) {
    constexpr size_t kPerRecord = 60;
    for (size_t i = 0; i < list.size(); i += kPerRecord) {
      const size_t end = std::min(list.size(), i + kPerRecord);
      Event event = make_event(Op::kMappings, 9100, 9100);
      event.mappings.assign(list.begin() + static_cast<std::ptrdiff_t>(i),
                            list.begin() + static_cast<std::ptrdiff_t>(end));
      set_args(event, {about, i, list.size(), end == list.size()});
      put(event);
    }
  }
  // The BGSAVE of the worked example; its libc clone too, as the shim sees it.
  void worked_refusal() {
    Event fork = worked_fork();
    const uint64_t position = put(fork);
    fork.base.op = Op::kClone;
    fork.base.flags |= ovcshim::kInsideLibc;
    fork.base.begin_tick += 10;
    fork.base.end_tick -= 10;
    set_args(fork, {0x1200011});
    put(fork);
    mappings(position, worked_mappings());
    snapshot(position, 9000, worked_facts());
  }
  void mode0_facts(uint64_t about) {
    snapshot(about, 9000,
             {fact(FactKey::kMemTotalKb, 8000000), fact(FactKey::kSwapTotalKb, 0),
              fact(FactKey::kOvercommitMemory, 0)});
  }
  WhyReport report() {
    log.emplace(builder.write());
    return why_report(*log, now);
  }
};

constexpr uint64_t kRw = PROT_READ | PROT_WRITE, kPrivateAnon = MAP_PRIVATE | MAP_ANONYMOUS;
const std::initializer_list<uint64_t> kBigMmap = {0, 16 * kGib, kRw, kPrivateAnon, UINT64_MAX, 0};

}  // namespace

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
  CHECK(why_text(*world.log, report).starts_with("not seen: what "));
}

TEST_CASE("failures of normal life are no findings") {
  World world;
  world.refused(Op::kWaitpid, 1, 2, {UINT64_MAX}, 0, ECHILD);
  world.refused(Op::kExecve, 3, 4, {1, 1}, 0, ENOENT);
  world.refused(Op::kMadvise, 5, 6, {0x1000, 4096, 99}, 0, EINVAL);
  const WhyReport report = world.report();
  CHECK(report.verdicts.empty());
  CHECK_FALSE(report.found());
}

TEST_CASE("a call that has not returned is not refused") {
  World world;
  Event fork = make_event(Op::kFork, 5000, 0);
  fork.base.flags = ovcshim::kIntent;
  world.put(fork);
  CHECK_FALSE(world.report().found());
}

TEST_CASE("how processes end") {
  World world;
  world.granted(Op::kMmap, 2000, 2010, {0, 4096, 0, 0}, 0x10000);
  const auto ends = [&] { return world.report().endings; };
  const auto quiet = [&] { return world.report().quiet_endings; };

  SECTION("alive") {
    CHECK(ends().empty());
    CHECK(quiet().empty());
  }
  SECTION("gone, and nothing is recorded of how: no finding") {
    world.alive = false;
    CHECK_FALSE(world.report().found());
    REQUIRE(quiet().size() == 1);
    CHECK(quiet()[0].id == "no-exit-recorded");
    CHECK(quiet()[0].pid == 7143);
    CHECK(quiet()[0].tick == 2010);
    const WhyReport report = world.report();
    CHECK(why_text(*world.log, report)
              .find("redis-server (pid 7143): no exit recorded, last sign of life") !=
          std::string::npos);
  }
  SECTION("said goodbye") {
    world.alive = false;
    world.builder.process(0).use = static_cast<uint32_t>(ovcshim::SlotUse::kEnded);
    CHECK(quiet().empty());
  }
  SECTION("exit status known") {
    world.alive = false;
    world.builder.process(0).exit_known = 1;
    CHECK(quiet().empty());
  }
  SECTION("became another program that is not recorded") {
    world.alive = false;
    world.granted(Op::kExecve, 3000, 0, {1, 0}, 0, ovcshim::kIntent);
    CHECK(quiet().empty());
  }
  SECTION("the exec failed") {
    world.alive = false;
    world.refused(Op::kExecve, 3000, 3010, {1, 0}, 0, ENOENT);
    CHECK(quiet().size() == 1);
  }
  SECTION("another boot") {
    world.now.boot_id = "another-boot";
    REQUIRE(quiet().size() == 1);
    CHECK(quiet()[0].notes.at(0).find("started anew") != std::string::npos);
  }
  SECTION("not known whether alive") {
    world.now.alive = [](const ovcshim::ProcessSlot&) { return HostNow::Alive::kUnknown; };
    CHECK(quiet().empty());
  }
  SECTION("abort") {
    world.granted(Op::kAbort, 3000, 0, {}, 0, ovcshim::kIntent);
    REQUIRE(ends().size() == 1);
    CHECK(ends()[0].id == "aborted");
  }
  SECTION("abort, and the parent was told of the same") {
    world.granted(Op::kAbort, 3000, 0, {}, 0, ovcshim::kIntent);
    Event wait = make_event(Op::kWaitpid, 2900, 3100);
    wait.base.pid = wait.base.tid = 7000;
    wait.base.process = ovcshim::kNoIndex;
    wait.base.result = 7143;
    set_args(wait, {7143, 0, SIGABRT});
    world.put(wait);
    REQUIRE(ends().size() == 1);
    CHECK(ends()[0].id == "aborted");
    CHECK(ends()[0].comm == "redis-server");
    CHECK(ends()[0].count == 1);
  }
}

TEST_CASE("one that passes on how its child ended is no second end") {
  World world;
  world.process(1, 7150, "timeout").start_tick = 2000;
  world.process(2, 7151, "worker").start_tick = 2500;
  const bool last_act = GENERATE(true, false);
  Event wait = make_event(Op::kWaitpid, 2600, 3000);  // timeout waits for the worker
  wait.base.process = 1;
  wait.base.pid = wait.base.tid = 7150;
  wait.base.result = 7151;
  set_args(wait, {7151, 0, SIGSEGV});
  world.put(wait);
  if (!last_act) {
    Event later = make_event(Op::kMunmap, 3100, 3110);
    later.base.process = 1;
    later.base.pid = later.base.tid = 7150;
    world.put(later);
  }
  world.granted(Op::kWaitpid, 2000, 4000, {7150, 0, SIGSEGV}, 7150);
  const auto ends = world.report().endings;
  REQUIRE(ends.size() == (last_act ? 1 : 2));
  CHECK(ends[0].comm == "worker");
  CHECK(ends[0].notes.empty() == !last_act);
}

TEST_CASE("a program that ends by SIGSYS may have been killed over a call of the shim's") {
  World world;
  world.granted(Op::kWaitpid, 3000, 4000, {8000, 0, SIGSYS}, 8000);
  const auto ends = world.report().endings;
  REQUIRE(ends.size() == 1);
  CHECK(ends[0].notes.at(0).find("OVCSHIM=0") != std::string::npos);
}

TEST_CASE("what waits tell of children") {
  World world;
  world.process(1, 7150, "redis-server").start_tick = 2000;
  Event first = make_event(Op::kFork, 2000, 2100);
  first.base.process = 1;
  first.base.pid = first.base.tid = 7150;
  world.put(first);
  const int signal = GENERATE(SIGKILL, SIGSEGV, SIGUSR1, 0);
  const bool in_log = GENERATE(true, false);
  CAPTURE(signal, in_log);
  const int64_t pid = in_log ? 7150 : 8000;
  world.granted(Op::kWaitpid, 3000, 4000,
                {static_cast<uint64_t>(pid), 0, static_cast<uint64_t>(signal)}, pid);
  const auto ends = world.report().endings;
  REQUIRE(ends.size() == (signal == SIGKILL || signal == SIGSEGV ? 1 : 0));
  if (ends.empty()) return;
  CHECK(ends[0].id == "killed-by-signal");
  CHECK(ends[0].signal == signal);
  CHECK(ends[0].comm == (in_log ? "redis-server" : ""));
  CHECK(ends[0].exact);
}

TEST_CASE("OOM kills counted around an end") {
  World world;
  Event start = make_event(Op::kStart, 1000, 1000);
  start.facts = {fact(FactKey::kVmstatOomKill, 3)};
  world.put(start);
  world.alive = false;
  const auto note = [&](std::optional<uint64_t> now) {
    world.now.oom_kills = now;
    const auto ends = world.report().quiet_endings;
    REQUIRE(ends.size() == 1);
    return ends[0].notes.empty() ? std::string() : ends[0].notes[0];
  };
  CHECK(note(3).empty());
  CHECK(note(5) ==
        "the host counted 2 OOM kills between 22:13:20.000 and now (/proc/vmstat oom_kill 3 -> 5)");
  CHECK(note(std::nullopt).empty());
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

TEST_CASE("many that end alike are one entry") {
  World world;
  for (uint32_t i = 1; i < 4; ++i) {
    world.process(i, 7150 + i, "worker");
    world.granted(Op::kWaitpid, 3000, 4000 + i, {7150 + i, 0, SIGKILL}, 7150 + i);
  }
  const auto ends = world.report().endings;
  REQUIRE(ends.size() == 1);
  CHECK(ends[0].count == 3);
  CHECK(ends[0].pid == 7151);
  CHECK(ends[0].last_tick == 4003);
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
  std::vector<ovcshim::Fact> facts = {fact(FactKey::kMapsCount, 12),
                                      fact(FactKey::kMaxMapCount, 10)};
  world.snapshot(world.refused(Op::kMmap, 2000, 2010, {0, 4096, kRw, kPrivateAnon}), 2020, facts);
  const bool changed = GENERATE(false, true);
  if (changed) world.granted(Op::kMunmap, 2500, 2510, {0x10000, 4096});
  facts.erase(facts.begin());
  world.snapshot(world.refused(Op::kBrk, 3000, 3010, {0x20000}), 3020, facts);
  const WhyReport report = world.report();
  REQUIRE(report.verdicts.size() == 2);
  CHECK(report.verdicts[1].finding.cause == (changed ? "unknown" : "max-map-count"));
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
