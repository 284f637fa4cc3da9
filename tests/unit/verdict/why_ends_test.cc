// SPDX-License-Identifier: MIT
//
// How processes ended, as `ovc why` says it of logs built record by record.
#include <signal.h>

#include "tests/unit/catch.h"
#include "tests/unit/verdict/why_world.h"

using namespace ovc;
using namespace ovc::test;
using ovcshim::FactKey;

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
  SECTION("a log without a boot id (no /proc): whether it lives is not known") {
    world.builder.header().boot_id[0] = '\0';
    CHECK(quiet().empty());
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

TEST_CASE("a child that its parent made only to kill it is no finding") {
  World world;
  const auto by_parent = [&](Op op, uint64_t begin, uint64_t end, int64_t result,
                             std::initializer_list<uint64_t> args) {
    return world.granted(op, begin, end, args, result);
  };
  by_parent(Op::kFork, 2000, 2010, 9000, {});
  by_parent(Op::kMmap, 2020, 2021, 0x10000, {0, 4096, 0, 0});

  SECTION("strace's and gdb's probes") {
    by_parent(Op::kWaitpid, 2025, 2026, 9000, {9000, 0, 0x137f});  // stopped
    by_parent(Op::kKill, 2030, 2031, 0, {9000, SIGKILL});
    by_parent(Op::kWaitpid, 2040, 2050, 9000, {9000, 0, SIGKILL});
    const WhyReport report = world.report();
    CHECK(report.endings.empty());
    REQUIRE(report.asked_endings.size() == 1);
    CHECK(report.asked_endings[0].signal == SIGKILL);
    CHECK(why_text(*world.log, report).find("nobody else was killed") != std::string::npos);
  }
  SECTION("it had something to do meanwhile") {
    Event own = make_event(Op::kFork, 2025, 2026);
    own.base.pid = own.base.tid = 9000;
    own.base.result = 9001;
    world.put(own);
    by_parent(Op::kKill, 2030, 2031, 0, {9000, SIGKILL});
    by_parent(Op::kWaitpid, 2040, 2050, 9000, {9000, 0, SIGKILL});
    CHECK(world.report().endings.size() == 1);
  }
  SECTION("so had the parent") {
    by_parent(Op::kFork, 2025, 2026, 9001, {});
    by_parent(Op::kKill, 2030, 2031, 0, {9000, SIGKILL});
    by_parent(Op::kWaitpid, 2040, 2050, 9000, {9000, 0, SIGKILL});
    CHECK(world.report().endings.size() == 1);
  }
  SECTION("somebody else killed it") {
    by_parent(Op::kWaitpid, 2040, 2050, 9000, {9000, 0, SIGKILL});
    CHECK(world.report().endings.size() == 1);
  }
}

TEST_CASE("how it ended, where only ovc run was told") {
  World world;
  world.granted(Op::kMmap, 2000, 2010, {0, 4096, 0, 0}, 0x10000);
  world.alive = false;
  const auto told = [&](uint32_t pid, int status) {
    world.now.waited_for = WaitedFor{pid, status};
  };

  SECTION("by a signal that says something went wrong") {
    told(7143, SIGSEGV);
    const WhyReport report = world.report();
    REQUIRE(report.endings.size() == 1);
    CHECK(report.quiet_endings.empty());
    CHECK(
        tell(*world.log, report.endings[0]).title.find("killed by SIGSEGV, as ovc run was told") !=
        std::string::npos);
  }
  SECTION("as it was asked to") {
    told(7143, SIGTERM);
    CHECK_FALSE(world.report().found());
    CHECK(world.report().quiet_endings.empty());
  }
  SECTION("another process") {
    told(7144, SIGSEGV);
    CHECK(world.report().endings.empty());
    CHECK(world.report().quiet_endings.size() == 1);
  }
  SECTION("its own record goes before") {
    world.builder.process(0).exit_known = 1;
    told(7143, SIGSEGV);
    CHECK(world.report().endings.empty());
  }
}
