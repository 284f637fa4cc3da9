// SPDX-License-Identifier: MIT
//
// Following a log: each record once, however it grows, wraps or is left unfinished between two
// looks; and what is told of it.
#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <optional>

#include "tests/unit/catch.h"
#include "tests/unit/log_builder.h"
#include "tools/follow/follow_story.h"
#include "tools/log/lane_tail.h"

using namespace ovc;
using namespace ovc::test;
using namespace ovcshim;

namespace {

constexpr uint64_t kSlots = 16;

struct Tail {
  LogBuilder builder{kSlots, 1};
  std::optional<LogReader> log;
  std::optional<LaneTail> tail;

  void open() {
    log.emplace(builder.write());
    tail.emplace(*log);
  }
  // The begin ticks of what is new.
  std::vector<uint64_t> look() {
    if (!tail) open();
    builder.write();
    std::vector<uint64_t> ticks;
    tail->read([](const EventBase&) { return true; },
               [&](const Event& event) { ticks.push_back(event.base.begin_tick); });
    return ticks;
  }
  uint64_t put(uint64_t tick) { return builder.put(make_event(Op::kMmap, tick, tick + 1)); }
};
using Ticks = std::vector<uint64_t>;

}  // namespace

TEST_CASE("each record is given once, in the order of claims") {
  Tail t;
  t.put(1), t.put(2);
  CHECK(t.look() == Ticks{1, 2});
  CHECK(t.look().empty());
  t.put(3);
  t.builder.put(make_snapshot());
  t.put(4);
  CHECK(t.look() == Ticks{3, make_snapshot().base.begin_tick, 4});
  CHECK(t.look().empty());
  CHECK(t.tail->overwritten() == 0);
  CHECK(t.tail->torn() == 0);
}

TEST_CASE(
    "what was overwritten before the first look is no loss, what is overwritten between two is") {
  Tail t;
  for (uint64_t i = 0; i < 3 * kSlots; ++i) t.put(i);
  const Ticks first = t.look();
  CHECK(first.size() == kSlots);
  CHECK(first.front() == 2 * kSlots);
  CHECK(t.tail->overwritten() == 0);
  for (uint64_t i = 0; i < kSlots + 5; ++i) t.put(100 + i);
  CHECK(t.look().front() == 105);
  CHECK(t.tail->overwritten() == 5);
  CHECK(t.tail->share_read() > 1);
  CHECK(t.look().empty());
  CHECK(t.tail->overwritten() == 5);
}

TEST_CASE(
    "a thousand wraps lose nothing where the tail comes often enough, and all is counted where it "
    "does not") {
  Tail t;
  t.look();
  uint64_t put = 0, seen = 0;
  const uint64_t between = GENERATE(kSlots / 2, kSlots - 1, kSlots + 3, 4 * kSlots);
  for (int round = 0; round < 1000; ++round) {
    for (uint64_t i = 0; i < between; ++i) t.put(++put);
    seen += t.look().size();
  }
  CHECK(seen + t.tail->overwritten() == put);
  CHECK((t.tail->overwritten() == 0) == (between <= kSlots));
}

TEST_CASE("a record that is not finished is waited for, and given when it is") {
  Tail t;
  t.look();
  t.put(1);
  const uint64_t position = t.put(2);
  t.builder.tear_last();
  CHECK(t.look() == Ticks{1});
  t.put(3);
  CHECK(t.look() == Ticks{3});
  t.builder.slot(position).word =
      slot_word(SlotStatus::kReady, 0, slot_parts(t.builder.slot(position).word), position);
  CHECK(t.look() == Ticks{2});
  CHECK(t.tail->torn() == 0);
}

TEST_CASE("a record whose writer died is counted as torn once") {
  Tail t;
  t.look();
  t.put(1);
  t.builder.tear_last();
  t.put(2);
  for (int i = 0; i < 5; ++i) t.look();
  CHECK(t.tail->torn() == 1);
  t.put(3);
  t.builder.tear_last();
  t.put(4);
  t.look();
  t.tail->give_up();
  CHECK(t.tail->torn() == 2);
}

TEST_CASE("a call that had not returned is given again when it has") {
  Tail t;
  t.look();
  Event fork = make_event(Op::kFork, 7, 0);
  fork.base.flags = kIntent;
  const uint64_t position = t.builder.put(fork);
  CHECK(t.look() == Ticks{7});
  t.tail->expect(position);
  CHECK(t.look().empty());
  EventBase done = fork.base;
  done.flags = 0, done.end_tick = 9;
  std::memcpy(t.builder.slot(position).payload, &done, sizeof done);
  CHECK(t.look() == Ticks{7});
  CHECK(t.look().empty());
}

namespace {

// A log of one server, and what is told of it.
struct Followed {
  LogBuilder builder{256, 1};
  HostNow now;
  bool alive = true;
  std::optional<LogReader> log;
  std::optional<Story> story;

  Followed() {
    std::strcpy(builder.header().boot_id, "this-boot");
    now.boot_id = "this-boot";
    now.alive = [this](const ProcessSlot&) {
      return alive ? HostNow::Alive::kYes : HostNow::Alive::kNo;
    };
    ProcessSlot& slot = builder.process(0);
    slot.use = static_cast<uint32_t>(SlotUse::kLive);
    slot.serial = 1, slot.pid = 100, slot.start_tick = 1, slot.parent = kNoIndex;
    std::strcpy(slot.comm, "server");
  }
  std::vector<Happening> look(bool last = false) {
    builder.write();
    if (!log) log.emplace(builder.write()), story.emplace(*log);
    return story->go_on(now, last);
  }
  void call(Op op, uint64_t begin, int64_t result, std::initializer_list<uint64_t> args = {}) {
    Event event = make_event(op, begin, begin + 10);
    event.base.result = result;
    set_args(event, args);
    if (result < 0) event.base.flags = kFailed, event.base.err = ENOMEM;
    builder.put(event);
  }
};

}  // namespace

TEST_CASE("a fork and the end of its child are told once") {
  Followed f;
  CHECK(f.look().empty());
  f.call(Op::kFork, 1000, 200);
  const auto forked = f.look();
  REQUIRE(forked.size() == 1);
  CHECK(forked[0].kind == Kind::kForked);
  CHECK(forked[0].fields["child"] == 200);
  f.call(Op::kWaitpid, 2000, 200, {200, 0, 3 << 8});
  const auto ended = f.look();
  REQUIRE(ended.size() == 1);
  CHECK(ended[0].kind == Kind::kEnded);
  CHECK(ended[0].pid == 200);
  CHECK(ended[0].fields["how"] == "exited, 3");
  CHECK_FALSE(ended[0].wrong);
  CHECK(f.look().empty());
  CHECK_FALSE(f.story->found());
}

TEST_CASE("a child that was killed is wrong, one that was asked to end is not") {
  Followed f;
  f.look();
  const int signal = GENERATE(SIGKILL, SIGSEGV, SIGTERM);
  f.call(Op::kFork, 1000, 200);
  f.call(Op::kWaitpid, 2000, 200, {200, 0, static_cast<uint64_t>(signal)});
  const auto lines = f.look();
  REQUIRE(lines.size() == 2);
  CHECK(lines[1].wrong == (signal != SIGTERM));
  CHECK(f.story->found() == (signal != SIGTERM));
}

TEST_CASE("each refused fork gets its line, refused calls of one kind share one") {
  Followed f;
  f.look();
  for (uint64_t i = 0; i < 3; ++i) f.call(Op::kFork, 1000 + 100 * i, -1);
  for (uint64_t i = 0; i < 4; ++i) f.call(Op::kMmap, 2000 + 100 * i, -1, {0, 1 << 30});
  const auto lines = f.look(true);
  size_t forks = 0;
  uint64_t mappings = 0;
  for (const Happening& line : lines) {
    REQUIRE(line.kind == Kind::kRefused);
    if (line.fields["call"] == "fork") forks += line.times;
    else mappings += line.times;
  }
  CHECK(lines.size() == 4);
  CHECK(forks == 3);
  CHECK(mappings == 4);
  CHECK(f.story->found());
}

TEST_CASE("a refused fork and libc's clone beneath it are one refusal") {
  Followed f;
  f.look();
  f.call(Op::kFork, 1000, -1);
  Event clone = make_event(Op::kClone, 1002, 1008);
  clone.base.result = -1;
  clone.base.flags = kFailed | kInsideLibc;
  clone.base.err = ENOMEM;
  set_args(clone, {0x1200011});
  f.builder.put(clone);
  std::vector<Happening> lines = f.look();
  for (Happening& line : f.look(true)) lines.push_back(std::move(line));
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].fields["call"] == "fork");
}

TEST_CASE(
    "a refused allocation and the call that it made are one refusal, though the one is seen later "
    "than the other") {
  Followed f;
  f.look();
  f.call(Op::kMmap, 1002, -1, {0, 1 << 30});
  CHECK(f.look().empty());
  Event malloc = make_event(Op::kMalloc, 1000, 1020);
  malloc.base.flags = kFailed;
  malloc.base.err = ENOMEM;
  set_args(malloc, {1 << 30});
  f.builder.put(malloc);
  CHECK(f.look().empty());
  const auto lines = f.look(true);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].fields["call"] == "malloc");
}

TEST_CASE("what was lost between two looks is told with its count") {
  Followed f;
  f.look();
  f.builder.wrap();
  f.builder.wrap();
  f.builder.header().events_lost_busy = 3;
  uint64_t overwritten = 0, busy = 0;
  for (const Happening& line : f.look()) {
    REQUIRE(line.kind == Kind::kLost);
    (line.text.find("overwritten") != std::string::npos ? overwritten : busy) += line.times;
  }
  CHECK(overwritten == 256);
  CHECK(busy == 3);
  CHECK(f.look().empty());
}

TEST_CASE("a process that is gone without a word is told at the second look, and ends the story") {
  Followed f;
  f.look();
  CHECK(f.story->running(f.now).size() == 1);
  f.alive = false;
  CHECK(f.look().empty());
  const auto lines = f.look();
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].kind == Kind::kVanished);
  CHECK(f.story->all_ended(f.now));
  CHECK(f.look().empty());
}
