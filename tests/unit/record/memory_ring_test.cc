// SPDX-License-Identifier: MIT
//
// The memory ring against its reader: what the shim's own code wrote is the event that it would
// have been, argument for argument, and what does not fit is not written there.
#include <algorithm>
#include <atomic>
#include <map>
#include <thread>
#include <vector>

#include "shim/record/memory_ring.h"
#include "shim/record/stack_table.h"
#include "tests/unit/catch.h"
#include "tests/unit/shim_fixture.h"
#include "tools/log/log_reader.h"

using namespace ovcshim;

namespace {

constexpr uint64_t kStart = 5'000'000'000, kAt = 0x7f12'3456'7000;
constexpr uint16_t kLibc = kInsideLibc;

// A call as end() has it, with its stack in the table.
struct Made {
  Event event{};
  Record record{};
  std::vector<uint64_t> frames{0x401000, 0x402000, 0x403000};

  Made(Op op, std::initializer_list<uint64_t> args, uint64_t result, uint16_t flags = 0) {
    EventBase& base = record.base;
    std::copy(args.begin(), args.end(), base.args);
    base.op = op, base.flags = flags, base.result = static_cast<int64_t>(result);
    base.pid = 4711, base.tid = 4712, base.process = g_private->slot;
    base.process_serial = g_private->serial, base.image = 3, base.call_seq = 77;
    base.begin_tick = kStart, base.end_tick = kStart + 900;
    base.caller = frames[0], base.frames = static_cast<uint16_t>(frames.size());
    base.before = {5, 1000, 2000, 30, 40, 50};
    record.frames = frames.data();
    event.reading_tick = kStart - 5;
    number();
  }
  void number() {
    const Stack stack{record.base.image, record.frames, record.base.frames,
                      (record.base.flags & kStackCut) != 0};
    bool is_whole = false;
    const uint32_t known = stack_number(stack, &is_whole);
    event.stack_is_whole = is_whole;
    event.row = totals_row(known, static_cast<uint32_t>(record.base.op), 0);
  }
  Made(const Made&) = delete;
  uint64_t write() const { return write_memory_call(event, record); }
};

struct Ring {
  ShimLog shim{64 << 10};
  Ring() {
    REQUIRE(shim.opened);
    g_ticks_per_ms = 1'000'000;
    g.header->clock = static_cast<uint32_t>(Clock::kMonotonicNs);
  }
  // The event that is read at this place.
  ovc::Event at(uint64_t position) const {
    REQUIRE(position != kUnknown);
    const auto event = ovc::LogReader(shim.path).event_at(position);
    REQUIRE(event);
    return *event;
  }
};

void check_same(const ovc::Event& read, const Made& made) {
  const EventBase &a = read.base, &b = made.record.base;
  CHECK(a.op == b.op);
  for (int i = 0; i < 6; ++i) CHECK(a.args[i] == b.args[i]);
  CHECK(a.result == b.result);
  CHECK(a.flags == b.flags);
  CHECK((a.pid == b.pid && a.tid == b.tid));
  CHECK((a.process == b.process && a.process_serial == b.process_serial && a.image == b.image));
  CHECK((a.begin_tick == b.begin_tick && a.end_tick == b.end_tick && a.call_seq == b.call_seq));
  CHECK((a.caller == b.caller && a.frames == b.frames && a.err == 0));
  CHECK(read.frames == std::vector<uint64_t>(made.record.frames, made.record.frames + b.frames));
  CHECK((read.text.empty() && read.facts.empty() && read.mappings.empty() && read.returned()));
}

void check_kept(const Ring& ring, Op op, std::initializer_list<uint64_t> args, uint64_t result,
                uint16_t flags = 0) {
  const Made made(op, args, result, flags);
  check_same(ring.at(made.write()), made);
}
void check_refused(Op op, std::initializer_list<uint64_t> args, uint64_t result,
                   uint16_t flags = 0) {
  CHECK(Made(op, args, result, flags).write() == kUnknown);
}

uint64_t units() { return g.header->memory_cursor; }

}  // namespace

TEST_CASE("each call of the mmap family is read back as it was made", "[memory ring]") {
  const Ring ring;
  constexpr uint64_t kNoFd = UINT64_MAX, kIntFd = 0xffffffff;
  check_kept(ring, Op::kMmap, {0, 4096, 3, 0x22, kNoFd, 0}, kAt);
  check_kept(ring, Op::kMmap, {kAt, 100, 0, 0x4032, kIntFd, 0}, kAt, kLibc);
  check_kept(ring, Op::kMmap, {0, (uint64_t{1} << 42) - 1, 7, 0x21, 0, 0}, kAt, kRawSyscall);
  check_kept(ring, Op::kMunmap, {kAt, 5000}, 0, kStackCut);
  check_kept(ring, Op::kMremap, {kAt, 4096, 1 << 20, 1, 0}, kAt + (1 << 20));
  check_kept(ring, Op::kMremap, {kAt, 4096, uint64_t{1} << 45, 3, kAt + 4096}, kAt + 4096);
  check_kept(ring, Op::kMprotect, {kAt, 12288, 1}, 0);
  check_kept(ring, Op::kMprotect, {kAt, 12288, 3, 16}, 0);
  check_kept(ring, Op::kBrk, {0x55550123}, 0);
  check_kept(ring, Op::kBrk, {0x55550123}, 0x55550123, kLibc);
  check_kept(ring, Op::kBrk, {0}, 0x55550123, kRawSyscall);
  check_kept(ring, Op::kSbrk, {0x21000}, 0x55550001);
  check_kept(ring, Op::kSbrk, {0}, 0x55550001);
  check_kept(ring, Op::kSbrk, {static_cast<uint64_t>(-4096)}, 0x55550fff);
}

TEST_CASE("what does not fit is left to the events ring", "[memory ring]") {
  const Ring ring;
  constexpr uint64_t kNoFd = UINT64_MAX;
  check_refused(Op::kMmap, {0, 4096, 1, 0x2, 5, 0}, kAt);          // a file
  check_refused(Op::kMmap, {0, 4096, 3, 0x22, 5, 0}, kAt);         // a descriptor nobody needs
  check_refused(Op::kMmap, {0, 4096, 3, 0x22, kNoFd, 4096}, kAt);  // an offset
  check_refused(Op::kMmap, {kAt + 4096, 4096, 3, 0x22, kNoFd, 0}, kAt);  // a hint not followed
  check_refused(Op::kMmap, {0, 4096, 16, 0x22, kNoFd, 0}, kAt);
  check_refused(Op::kMmap, {0, 4096, 3, 0x40200022, kNoFd, 0}, kAt);  // pages of a size
  check_refused(Op::kMmap, {0, uint64_t{1} << 42, 3, 0x22, kNoFd, 0}, kAt);
  check_refused(Op::kMmap, {0, 4096, 3, 0x22, kNoFd, 0}, kAt, kFailed);
  check_refused(Op::kMmap, {0, 4096, 3, 0x22, kNoFd, 0}, kAt, kChildSide);
  check_refused(Op::kMmap, {0, 4096, 3, 0x22, kNoFd, 0}, uint64_t{1} << 50);
  check_refused(Op::kMunmap, {kAt + 1, 4096}, 0);
  check_refused(Op::kMadvise, {kAt, 4096, 10}, 0);
  check_refused(Op::kBrk, {0x55550123}, 0x55550000, kLibc);
  Made slow(Op::kMunmap, {kAt, 4096}, 0);
  slow.record.base.end_tick = kStart + (1 << 24);
  CHECK(slow.write() == kUnknown);
  Made long_stack(Op::kMunmap, {kAt, 4096}, 0);
  long_stack.frames.assign(64, 0x400000);
  long_stack.record.frames = long_stack.frames.data(), long_stack.record.base.frames = 64;
  long_stack.number();
  CHECK(long_stack.write() == kUnknown);
  Made no_row(Op::kMunmap, {kAt, 4096}, 0);
  no_row.event.row = kNoRow;
  CHECK(no_row.write() == kUnknown);
  CHECK(units() == 0);
}

TEST_CASE("a call without frames has none, and knows its caller", "[memory ring]") {
  const Ring ring;
  Made made(Op::kMunmap, {kAt, 4096}, 0, kStackCut);
  const Stack caller{3, made.frames.data(), 1, true};  // as note_growth enters it
  made.event.row = totals_row(stack_number(caller), static_cast<uint32_t>(Op::kMunmap), 0);
  made.record.base.frames = 0;
  check_same(ring.at(made.write()), made);
}

TEST_CASE("the reading in force stands in the context, and its age follows", "[memory ring]") {
  const Ring ring;
  Made made(Op::kMunmap, {kAt, 4096}, 0);
  const CommitState first = ring.at(made.write()).base.before;
  CHECK((first.age_ns == 5 && first.committed_kb == 1000 && first.limit_kb == 2000));
  CHECK((first.vm_size_pages == 30 && first.resident_pages == 40 && first.data_pages == 50));
  CHECK(units() == 4);
  // A newer one soon after: the first holds, and is older.
  made.record.base.begin_tick += 20'000'000, made.record.base.end_tick += 20'000'000;
  made.event.reading_tick = made.record.base.begin_tick - 1;
  made.record.base.before.committed_kb = 1500;
  const CommitState second = ring.at(made.write()).base.before;
  CHECK((second.age_ns == 20'000'005 && second.committed_kb == 1000));
  CHECK(units() == 5);
  // After a while it is told.
  made.record.base.begin_tick += 100'000'000, made.record.base.end_tick += 100'000'000;
  made.event.reading_tick = made.record.base.begin_tick - 1;
  const CommitState third = ring.at(made.write()).base.before;
  CHECK((third.age_ns == 1 && third.committed_kb == 1500));
  CHECK(units() == 9);
  // None at all: nothing is known.
  Made blind(Op::kMunmap, {kAt, 4096}, 0);
  blind.record.base.tid = 99, blind.event.reading_tick = 0;
  const CommitState none = ring.at(blind.write()).base.before;
  CHECK((none.age_ns == kUnknown && none.committed_kb == kUnknown));
}

TEST_CASE("a context that does not suit is followed by another", "[memory ring]") {
  const Ring ring;
  Made made(Op::kMunmap, {kAt, 4096}, 0);
  made.write();
  const auto check_new = [&](uint64_t wanted) {
    const uint64_t before = units();
    check_same(ring.at(made.write()), made);
    CHECK(units() - before == wanted);
  };
  check_new(1);
  made.record.base.call_seq += 1 << 21;
  check_new(4);
  made.record.base.call_seq -= 1;
  check_new(4);  // a handler's call was between
  made.record.base.begin_tick -= 1;
  check_new(4);
  made.record.base.begin_tick += uint64_t{1} << 34;
  made.record.base.end_tick = made.record.base.begin_tick;
  made.event.reading_tick = made.record.base.begin_tick - 5;
  check_new(4);
  check_new(1);
  made.record.base.tid += kContexts;  // the same place
  check_new(4);
  made.record.base.process_serial += 1;
  check_new(4);
  made.record.base.pid += 1;
  check_new(4);
}

TEST_CASE("a small memory ring wraps: what is left is whole and in order", "[memory ring]") {
  const Ring ring;
  std::atomic<bool> done{false};
  const auto check = [&](const ovc::LogReader& log) {
    std::map<uint32_t, uint64_t> last;
    uint64_t seen = 0;
    bool sound = true;
    log.for_each_event([&](const ovc::Event& event) {
      if (!(event.position & kMemoryBit) || event.position & kVitalBit) return true;
      const EventBase& b = event.base;
      const uint64_t n = b.args[1];
      sound = sound && b.args[0] == (uint64_t{b.tid} << 32 | n << 12) &&
              b.begin_tick == kStart + n && b.call_seq == n && event.frames.size() == 3 &&
              (!last.count(b.tid) || last[b.tid] < n);
      last[b.tid] = n;
      ++seen;
      return true;
    });
    CHECK(sound);
    return seen;
  };
  std::thread reader([&] {
    const ovc::LogReader log(ring.shim.path);
    while (!done) check(log);
  });
  std::vector<std::thread> writers;
  for (uint32_t tid = 1; tid <= 3; ++tid)
    writers.emplace_back([tid] {
      Made made(Op::kMunmap, {0, 0}, 0);
      EventBase& base = made.record.base;
      base.tid = tid;
      for (uint64_t n = 1; n <= 20000; ++n) {
        base.args[0] = uint64_t{tid} << 32 | n << 12, base.args[1] = n;
        base.begin_tick = kStart + n, base.end_tick = base.begin_tick + 1, base.call_seq = n;
        made.write();
      }
    });
  for (std::thread& writer : writers) writer.join();
  done = true;
  reader.join();
  const ovc::LogReader log(ring.shim.path);
  const uint64_t kept = g.memory.count - memory_reach(g.memory.count);
  CHECK(check(log) > kept * 9 / 10);
  CHECK(check(log) <= kept);
  CHECK(log.losses().memory_units_overwritten == units() - kept);
  CHECK(log.events_complete_from() > kStart);
  CHECK(log.events_overwritten());
}

TEST_CASE("a unit that somebody holds is passed over and never overwritten", "[memory ring]") {
  const Ring ring;
  Made made(Op::kMunmap, {kAt, 4096}, 0);
  made.write();
  const uint64_t held = units() + 5, word = unit_word(UnitState::kBusy, 0, 1, 0);
  g.memory.units[held].word = word;
  for (uint64_t n = 0; n < 3 * g.memory.count; ++n) CHECK(made.write() != kUnknown);
  CHECK(g.memory.units[held].word == word);
  CHECK(ovc::LogReader(ring.shim.path).losses().event_slots_torn == 1);
}

TEST_CASE("a closed part of the memory ring is not written to", "[memory ring]") {
  const Ring ring;
  Made made(Op::kMunmap, {kAt, 4096}, 0);
  CHECK(made.write() != kUnknown);
  g.memory.open = units() + 1;
  CHECK(made.write() != kUnknown);
  CHECK(made.write() == kUnknown);
  g.memory.open = 0;
  CHECK(made.write() != kUnknown);
}
