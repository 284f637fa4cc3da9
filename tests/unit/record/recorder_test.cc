// SPDX-License-Identifier: MIT
//
// The recorder against the reader: what several threads write is what the reader finds, in order,
// none torn, losses counted.
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>
#include <vector>

#include "shim/record/call_lane.h"
#include "tests/unit/catch.h"
#include "tests/unit/shim_fixture.h"
#include "tools/log/log_reader.h"

using namespace ovcshim;

namespace {

// An event whose every field follows from `n`, so that a mixture of two is noticed.
Record numbered(uint64_t n, uint32_t tid, const uint64_t* frames, unsigned count) {
  Record record{};
  record.base.op = Op::kMunmap;
  record.base.begin_tick = record.base.end_tick = n + 1;
  record.base.tid = tid;
  record.base.args[0] = n;
  record.base.args[1] = ~n;
  record.base.result = static_cast<int64_t>(n * 3);
  record.base.frames = static_cast<uint16_t>(count);
  record.frames = frames;
  return record;
}

bool is_whole(const ovc::Event& event) {
  const EventBase& b = event.base;
  if (b.args[1] != ~b.args[0] || b.result != static_cast<int64_t>(b.args[0] * 3)) return false;
  return std::all_of(event.frames.begin(), event.frames.end(),
                     [&](uint64_t f) { return f == b.args[0]; });
}

void write_numbered(uint32_t tid, uint64_t count) {
  std::vector<uint64_t> frames(kMaxFrames);
  for (uint64_t n = 0; n < count; ++n) {
    const uint64_t id = uint64_t{tid} << 32 | n;
    std::fill(frames.begin(), frames.end(), id);
    write_event(numbered(id, tid, frames.data(), static_cast<unsigned>(n % 40)));
  }
}

// What is there of each thread must be in order; returns how many events.
uint64_t check_order(const ovc::LogReader& log) {
  std::map<uint32_t, uint64_t> last;
  uint64_t seen = 0;
  bool whole = true, ordered = true;
  log.for_each_event([&](const ovc::Event& event) {
    if (event.base.op != Op::kMunmap) return true;
    whole = whole && is_whole(event);
    ordered = ordered && (!last.count(event.base.tid) || last[event.base.tid] < event.base.args[0]);
    last[event.base.tid] = event.base.args[0];
    ++seen;
    return true;
  });
  CHECK(whole);
  CHECK(ordered);
  return seen;
}

}  // namespace

TEST_CASE("events of four writers are whole and in order", "[recorder]") {
  ShimLog shim(16 << 20);
  REQUIRE(shim.opened);
  std::vector<std::thread> writers;
  for (uint32_t tid = 1; tid <= 4; ++tid) writers.emplace_back(write_numbered, tid, 3000);
  for (std::thread& writer : writers) writer.join();
  ovc::LogReader log(shim.path);
  CHECK(check_order(log) == 12000);
  CHECK(log.losses().events_lost_busy == 0);
}

TEST_CASE("a small ring wraps: the newest stay, none is torn while it is read", "[recorder]") {
  ShimLog shim(64 << 10);
  REQUIRE(shim.opened);
  std::atomic<bool> done{false};
  std::thread reader([&] {
    ovc::LogReader log(shim.path);
    while (!done) check_order(log);
  });
  std::vector<std::thread> writers;
  for (uint32_t tid = 1; tid <= 3; ++tid) writers.emplace_back(write_numbered, tid, 20000);
  for (std::thread& writer : writers) writer.join();
  done = true;
  reader.join();
  ovc::LogReader log(shim.path);
  CHECK(check_order(log) > 50);
  CHECK(log.losses().event_slots_overwritten > 0);
}

TEST_CASE("an intent is completed in place, or written anew when the ring has passed it",
          "[recorder]") {
  ShimLog shim(64 << 10);
  REQUIRE(shim.opened);
  Record record = numbered(7, 1, nullptr, 0);
  record.base.flags = kIntent;
  record.base.end_tick = 0;
  const uint64_t position = write_event(record);
  REQUIRE(position != kUnknown);
  ovc::LogReader log(shim.path);
  CHECK_FALSE(log.event_at(position)->returned());
  record.base.flags = kFailed;
  record.base.err = 12;
  record.base.end_tick = 99;
  CHECK(complete_event(position, record.base));
  CHECK(log.event_at(position)->returned());
  CHECK(log.event_at(position)->base.err == 12);
  write_numbered(2, 1000);
  CHECK_FALSE(complete_event(position, record.base));
}

TEST_CASE("a slot that somebody holds is passed over and never overwritten", "[recorder]") {
  ShimLog shim(64 << 10);
  REQUIRE(shim.opened);
  const uint64_t held = g.header->event_cursor + 5;
  Slot& slot = g.events.slots[held % g.events.count];
  slot.word = slot_word(SlotStatus::kBusy, 0, 1, held);
  slot.payload[0] = 0x5a;
  write_numbered(1, 2000);
  CHECK(slot.word == slot_word(SlotStatus::kBusy, 0, 1, held));
  CHECK(slot.payload[0] == 0x5a);
  ovc::LogReader log(shim.path);
  CHECK(check_order(log) > 50);
  CHECK(log.losses().event_slots_torn > 0);
}

TEST_CASE("every small call is in the lane, in order, with its size and caller", "[recorder]") {
  ShimLog shim(1 << 20, 4 << 20);
  REQUIRE(shim.opened);
  constexpr uint64_t kCalls = 50000;
  for (uint64_t i = 0; i < kCalls; ++i)
    record_call(Op::kMalloc, 0x1000 + i * 16, i % 1000, 0x400000 + i * 4);
  ovc::LogReader log(shim.path);
  uint64_t n = 0;
  bool right = true;
  log.for_each_call([&](const ovc::Call& call) {
    right = right && call.op == Op::kMalloc && call.address == 0x1000 + n * 16 &&
            call.size == n % 1000 && call.caller == 0x400000 + n * 4;  // aarch64's instructions
    ++n;
    return true;
  });
  CHECK(right);
  CHECK(n == kCalls);
  CHECK(log.totals()
            .at({g_private->slot, g_private->serial})
            .calls[static_cast<size_t>(Op::kMalloc)] == kCalls);
}

TEST_CASE("calls below the least size are counted, and so is each free", "[recorder]") {
  ShimLog shim(1 << 20, 1 << 20);
  REQUIRE(shim.opened);
  record_call(Op::kMalloc, 0x10, 50, 1);  // while all are kept
  keep_calls_from(100);
  for (uint64_t size : {99u, 100u, 101u}) record_call(Op::kMalloc, 0x20, size, 1);
  record_call<false>(Op::kReallocFrom, 0x20, 99, 1);
  CHECK(record_call(Op::kRealloc, 0x30, 99, 1) == 0x30);
  record_call(Op::kFree, 0x30, 0, 1);
  keep_calls_from(0);
  record_call(Op::kFree, 0x40, 0, 1);
  ovc::LogReader log(shim.path);
  std::vector<std::pair<Op, uint64_t>> kept;
  log.for_each_call([&](const ovc::Call& call) {
    kept.emplace_back(call.op, call.size);
    return true;
  });
  CHECK(kept == std::vector<std::pair<Op, uint64_t>>{
                    {Op::kMalloc, 50}, {Op::kMalloc, 100}, {Op::kMalloc, 101}, {Op::kFree, 0}});
  const ovc::Totals totals = log.totals().at({g_private->slot, g_private->serial});
  CHECK(totals.calls[static_cast<size_t>(Op::kMalloc)] == 4);
  CHECK(totals.calls[static_cast<size_t>(Op::kRealloc)] == 1);
  CHECK(totals.calls[static_cast<size_t>(Op::kFree)] == 2);
  CHECK(totals.calls_not_kept == 3);
  CHECK(totals.requested_bytes == 50 + 99 + 100 + 101 + 99);
  CHECK(totals.sizes[6] == 1);  // 50
  CHECK(totals.sizes[7] == 4);
}

TEST_CASE("the call lane wraps: counters stay exact and the loss is counted", "[recorder]") {
  ShimLog shim(1 << 20, 64 << 10);
  REQUIRE(shim.opened);
  constexpr uint64_t kCalls = 100000;
  for (uint64_t i = 0; i < kCalls; ++i) record_call(Op::kMalloc, 16, 1, 1);
  ovc::LogReader log(shim.path);
  uint64_t kept = 0;
  log.for_each_call([&](const ovc::Call&) { return ++kept, true; });
  CHECK(kept > 0);
  CHECK(kept + log.losses().calls_overwritten == kCalls);
  CHECK(log.totals()
            .at({g_private->slot, g_private->serial})
            .calls[static_cast<size_t>(Op::kMalloc)] == kCalls);
}

TEST_CASE("a living thread's chunk is not taken, a dead one's is", "[recorder]") {
  ShimLog shim(1 << 20, 64 << 10);
  REQUIRE(shim.opened);
  std::atomic<bool> stop{false}, wrote{false};
  long tid = 0;
  std::thread idle([&] {
    record_call(Op::kMalloc, 0xabc0, 77, 1);
    tid = syscall(SYS_gettid);
    wrote = true;
    while (!stop) std::this_thread::yield();
  });
  while (!wrote) std::this_thread::yield();
  for (uint64_t i = 0; i < 50000; ++i) record_call(Op::kMalloc, 16, 1, 1);
  auto idle_is_there = [&] {
    bool there = false;
    ovc::LogReader(shim.path).for_each_call(
        [&](const ovc::Call& call) { return there = there || call.size == 77, true; });
    return there;
  };
  CHECK(idle_is_there());
  stop = true;
  idle.join();
  while (syscall(SYS_tgkill, getpid(), tid, 0) == 0)
    std::this_thread::yield();  // who joins is woken before the thread is gone
  for (uint64_t i = 0; i < 50000; ++i) record_call(Op::kMalloc, 16, 1, 1);
  CHECK_FALSE(idle_is_there());
}

TEST_CASE("threads that end leave their chunks to others, who nobody told", "[recorder]") {
  ShimLog shim(64 << 10, 64 << 10);
  REQUIRE(shim.opened);
  constexpr int kNurseries = 3, kLives = 40;
  constexpr uint64_t kCalls = 700;
  std::atomic<bool> done{false};
  std::atomic<uint64_t> torn{0};
  const auto count_torn = [&] {
    ovc::LogReader(shim.path).for_each_call(
        [&](const ovc::Call& call) { return torn += call.address != call.size << 4, true; });
  };
  std::thread reader([&] {
    while (!done) count_torn();
  });
  // Each waits for the threads of its own only, so that the others' end unseen.
  const auto nursery = [] {
    for (int i = 0; i < kLives; ++i)
      std::thread([] {
        for (uint64_t n = 1; n <= kCalls; ++n) record_call(Op::kMalloc, n << 4, n, 1);
        write_numbered(static_cast<uint32_t>(sys::call(__NR_gettid)), 20);
      }).join();
  };
  std::vector<std::thread> nurseries;
  for (int i = 0; i < kNurseries; ++i) nurseries.emplace_back(nursery);
  for (std::thread& each : nurseries) each.join();
  done = true;
  reader.join();
  count_torn();
  CHECK(torn == 0);
  ovc::LogReader log(shim.path);
  uint64_t kept = 0;
  log.for_each_call([&](const ovc::Call&) { return ++kept, true; });
  const ovc::Totals totals = log.totals().at({g_private->slot, g_private->serial});
  CHECK(totals.calls[static_cast<size_t>(Op::kMalloc)] == kNurseries * kLives * kCalls);
  CHECK(kept + log.losses().calls_overwritten + totals.calls_not_kept ==
        kNurseries * kLives * kCalls);
}
