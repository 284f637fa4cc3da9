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

  SECTION("alive") { CHECK(ends().empty()); }
  SECTION("vanished") {
    world.alive = false;
    REQUIRE(ends().size() == 1);
    CHECK(ends()[0].id == "ended-without-goodbye");
    CHECK(ends()[0].pid == 7143);
    CHECK(ends()[0].tick == 2010);
  }
  SECTION("said goodbye") {
    world.alive = false;
    world.builder.process(0).use = static_cast<uint32_t>(ovcshim::SlotUse::kEnded);
    CHECK(ends().empty());
  }
  SECTION("exit status known") {
    world.alive = false;
    world.builder.process(0).exit_known = 1;
    CHECK(ends().empty());
  }
  SECTION("became another program that is not recorded") {
    world.alive = false;
    world.granted(Op::kExecve, 3000, 0, {1, 0}, 0, ovcshim::kIntent);
    CHECK(ends().empty());
  }
  SECTION("the exec failed") {
    world.alive = false;
    world.refused(Op::kExecve, 3000, 3010, {1, 0}, 0, ENOENT);
    CHECK(ends().size() == 1);
  }
  SECTION("another boot") {
    world.now.boot_id = "another-boot";
    REQUIRE(ends().size() == 1);
    CHECK(ends()[0].notes.at(0).find("started anew") != std::string::npos);
  }
  SECTION("not known whether alive") {
    world.now.alive = [](const ovcshim::ProcessSlot&) { return HostNow::Alive::kUnknown; };
    CHECK(ends().empty());
  }
  SECTION("abort") {
    world.granted(Op::kAbort, 3000, 0, {}, 0, ovcshim::kIntent);
    REQUIRE(ends().size() == 1);
    CHECK(ends()[0].id == "aborted");
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
    const auto ends = world.report().endings;
    REQUIRE(ends.size() == 1);
    return ends[0].notes.empty() ? std::string() : ends[0].notes[0];
  };
  CHECK(note(3) ==
        "not the kernel's OOM killer: the host counted no OOM kill between 22:13:20.000 and now "
        "(/proc/vmstat oom_kill = 3)");
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
