// SPDX-License-Identifier: MIT
//
// What survives which damage, and what is reported lost. The builder is an independent writer of
// the same specification.
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "tests/unit/catch.h"
#include "tests/unit/log_builder.h"
#include "tools/log/log_reader.h"

using namespace ovc;
using namespace ovc::test;
using namespace ovcshim;

namespace {

std::vector<Event> events_of(const LogReader& log) {
  std::vector<Event> list;
  log.for_each_event([&](const Event& event) {
    list.push_back(event);
    return true;
  });
  return list;
}

std::string error_of(const std::string& path) {
  try {
    const LogReader log(path);
    return "no error";
  } catch (const Error& error) { return error.what(); }
}

std::string error_of(LogBuilder& builder) { return error_of(builder.write()); }

using Catch::Matchers::ContainsSubstring;

}  // namespace

TEST_CASE("logs of both architectures are read, whatever this one is") {
  const auto machine = GENERATE(Machine::kX86_64, Machine::kAarch64);
  LogBuilder b;
  b.header().machine = static_cast<uint32_t>(machine);
  CHECK(error_of(b) == "no error");
}

// ---- events ----

TEST_CASE("an empty log has no events") {
  LogBuilder b;
  const LogReader log(b.write());
  CHECK(events_of(log).empty());
  CHECK(log.losses().event_slots_torn == 0);
}

TEST_CASE("an event comes out as it was put in") {
  LogBuilder b;
  b.put(make_snapshot());
  const LogReader log(b.write());
  const auto list = events_of(log);
  REQUIRE(list.size() == 1);
  CHECK(list[0].frames == std::vector<uint64_t>{1, 2, 3});
  CHECK(list[0].text == "0::/cgroup\n");
  CHECK(list[0].facts.size() == 30);
  CHECK(list[0].fact(static_cast<FactKey>(7)) == 70u);
  CHECK(list[0].mappings.at(0).end == 0x2000);
  CHECK(log.event_at(list[0].position).has_value());
}

TEST_CASE("an unknown figure is no figure") {
  Event event = make_event(Op::kSnapshot);
  event.facts = {{static_cast<uint32_t>(FactKey::kMemTotalKb), 0, kUnknown}};
  CHECK_FALSE(event.fact(FactKey::kMemTotalKb).has_value());
}

TEST_CASE("a torn record is skipped and counted, the next one is read") {
  LogBuilder b;
  b.put(make_snapshot());
  b.tear_last();
  b.put(make_event(Op::kFork));
  const LogReader log(b.write());
  REQUIRE(events_of(log).size() == 1);
  CHECK(events_of(log)[0].base.op == Op::kFork);
  CHECK(log.losses().event_slots_torn == 3);
}

TEST_CASE("a record whose completion was interrupted is an intent") {
  LogBuilder b;
  Event event = make_event(Op::kFork);
  event.base.flags = kFailed;
  event.base.err = 12;
  b.put(event);
  b.update_last();
  const LogReader log(b.write());
  const auto list = events_of(log);
  REQUIRE(list.size() == 1);
  CHECK_FALSE(list[0].returned());
  CHECK_FALSE(list[0].failed());
  CHECK(list[0].base.end_tick == 0);
}

TEST_CASE("a void slot is lost, nothing else") {
  LogBuilder b;
  b.put(make_event(Op::kFork));
  b.void_last();
  b.put(make_event(Op::kMmap));
  const LogReader log(b.write());
  CHECK(events_of(log).size() == 1);
  CHECK(log.losses().event_slots_torn == 1);
}

TEST_CASE("a claimed slot that was never written is torn") {
  LogBuilder b;
  b.header().event_cursor = 1;
  b.put(make_event(Op::kMmap));
  const LogReader log(b.write());
  CHECK(events_of(log).size() == 1);
  CHECK(log.losses().event_slots_torn == 1);
}

TEST_CASE("the wrap leaves the newest records and counts the others") {
  LogBuilder b(16);
  b.put(make_snapshot());
  b.put(make_event(Op::kFork));
  b.wrap();
  const LogReader log(b.write());
  CHECK(events_of(log).size() == 16);
  CHECK(log.losses().event_slots_overwritten == 4);
  CHECK(log.losses().event_slots_torn == 0);
}

TEST_CASE("the tail of a record whose head was overwritten is overwritten, not torn") {
  LogBuilder b(16);
  b.put(make_snapshot());  // 3 slots
  while (b.header().event_cursor < 17) b.put(make_event(Op::kMadvise));
  const LogReader log(b.write());
  CHECK(events_of(log).size() == 14);
  CHECK(log.losses().event_slots_overwritten == 3);
  CHECK(log.losses().event_slots_torn == 0);
}

TEST_CASE("a flipped byte in a slot word loses that record only") {
  LogBuilder b;
  b.put(make_event(Op::kMmap));
  b.put(make_event(Op::kFork));
  b.put(make_event(Op::kMunmap));
  b.flip_byte(b.header().events.offset + kSlotBytes + 3);
  const LogReader log(b.write());
  CHECK(events_of(log).size() == 2);
  CHECK(log.losses().event_slots_torn == 1);
}

TEST_CASE("lengths that do not fit the record make it damaged") {
  Event event = make_event(Op::kMmap);
  LogBuilder b;
  b.put(event);
  const size_t field = GENERATE(offsetof(EventBase, frames), offsetof(EventBase, text_len) + 1,
                                offsetof(EventBase, facts), offsetof(EventBase, mappings));
  b.slot(0).payload[field] = 0xff;
  const LogReader log(b.write());
  CHECK(events_of(log).empty());
  CHECK(log.losses().event_slots_torn == 1);
}

TEST_CASE("reading can stop early and go on from there") {
  LogBuilder b;
  for (int i = 0; i < 3; ++i) b.put(make_event(Op::kMmap, static_cast<uint64_t>(1000 + i)));
  const LogReader log(b.write());
  const LanePlace next = log.for_each_event([](const Event&) { return false; });
  CHECK(next.events == 1);
  std::vector<uint64_t> ticks;
  log.for_each_event([&](const Event& e) { return ticks.push_back(e.base.begin_tick), true; },
                     next);
  CHECK(ticks == std::vector<uint64_t>{1001, 1002});
}

TEST_CASE("the two rings are read as one, by time, and each can be gone on with") {
  LogBuilder b(16, 8, 16);
  b.put(make_event(Op::kMmap, 1000));
  b.put_vital(make_event(Op::kFork, 1001));
  b.put(make_event(Op::kMunmap, 1003));
  const uint64_t wait = b.put_vital(make_event(Op::kWait, 1002));
  const LogReader log(b.write());
  std::vector<uint64_t> ticks;
  const auto note = [&](const Event& e) {
    return ticks.push_back(e.base.begin_tick), ticks.size() != 2;
  };
  const LanePlace next = log.for_each_event(note);
  CHECK(ticks == std::vector<uint64_t>{1000, 1001});
  log.for_each_event(note, next);
  CHECK(ticks == std::vector<uint64_t>{1000, 1001, 1002, 1003});
  CHECK(log.event_at(wait)->base.op == Op::kWait);
  CHECK_FALSE(log.event_at(kVitalBit | 2));
}

TEST_CASE("a flood of memory events leaves the vitals alone, and each ring counts its own losses") {
  LogBuilder b(16, 8, 16);
  const uint64_t fork = b.put_vital(make_event(Op::kFork));
  for (int i = 0; i < 1000; ++i) b.put(make_event(Op::kMmap));
  const LogReader log(b.write());
  CHECK(log.event_at(fork)->base.op == Op::kFork);
  CHECK(log.losses().event_slots_overwritten == 984);
  CHECK(log.losses().vital_slots_overwritten == 0);
}

TEST_CASE("a position of the vitals in a log without them is nothing") {
  LogBuilder b;
  b.put(make_event(Op::kMmap));
  CHECK_FALSE(LogReader(b.write()).event_at(kVitalBit));
}

TEST_CASE("a cursor beyond all reason does not hang the reader") {
  LogBuilder b;
  b.put(make_event(Op::kMmap));
  b.header().event_cursor = UINT64_MAX;
  const LogReader log(b.write());
  CHECK(events_of(log).empty());
}

// ---- tables ----

TEST_CASE("totals are the sum of a process's stripes") {
  LogBuilder b;
  b.process(2).use = static_cast<uint32_t>(SlotUse::kLive);
  b.process(2).pid = 77;
  b.process(2).serial = 5;
  std::memset(b.process(2).comm, 'x', sizeof b.process(2).comm);
  for (const size_t i : {size_t{1}, size_t{3}}) {
    b.stripe(i).process = 2, b.stripe(i).process_serial = 5, b.stripe(i).fold_id = i;
    b.stripe(i).calls[static_cast<size_t>(Op::kMalloc)] = 10 * i;
  }
  b.stripe(4).process = 2, b.stripe(4).process_serial = 4, b.stripe(4).fold_id = 9;
  b.stripe(4).calls[static_cast<size_t>(Op::kMalloc)] = 1000;  // of an earlier process in that slot
  const LogReader log(b.write());
  const Totals totals = log.totals().at({2, 5});
  CHECK(totals.calls[static_cast<size_t>(Op::kMalloc)] == 40);
  CHECK(totals.threads == 2);
  REQUIRE(log.processes().size() == 1);
  CHECK(log.processes()[0].comm() == std::string(15, 'x'));
  CHECK(log.process(2, 5).has_value());
  CHECK_FALSE(log.process(2, 4).has_value());
}

TEST_CASE("a stripe that was just folded is not counted twice") {
  LogBuilder b;
  b.stripe(1).process = 0, b.stripe(1).process_serial = 1, b.stripe(1).fold_id = 42;
  b.stripe(1).calls[static_cast<size_t>(Op::kFree)] = 3;
  b.header().retired_version = 1;
  b.retired(1).last_folded = 42;
  b.retired(1).calls[static_cast<size_t>(Op::kFree)] = 3;
  b.retired(1).processes = 1;
  const LogReader log(b.write());
  CHECK(log.totals().count({0, 1}) == 0);
  CHECK(log.retired_totals().calls[static_cast<size_t>(Op::kFree)] == 3);
  CHECK(log.retired_processes() == 1);
}

// ---- what is refused ----

TEST_CASE("files that are no logs are refused with a reason") {
  LogBuilder b;
  SECTION("foreign") {
    b.bytes()[0] = '#';
    CHECK_THAT(error_of(b), ContainsSubstring("is not an ovcshim log"));
  }
  SECTION("empty") {
    b.truncate(0);
    CHECK_THAT(error_of(b), ContainsSubstring("is empty"));
  }
  SECTION("shorter than the magic") {
    b.truncate(5);
    CHECK_THAT(error_of(b), ContainsSubstring("is not an ovcshim log"));
  }
  SECTION("header cut") {
    b.truncate(100);
    CHECK_THAT(error_of(b), ContainsSubstring("is cut off after 100 bytes"));
  }
  SECTION("lanes cut") {
    b.truncate(b.bytes().size() - 1);
    CHECK_THAT(error_of(b), ContainsSubstring("is cut off"));
  }
  SECTION("allocated, nothing written") {
    std::fill(b.bytes().begin(), b.bytes().end(), static_cast<unsigned char>(0));
    CHECK_THAT(error_of(b), ContainsSubstring("holds no records yet"));
  }
  SECTION("half-written") {
    b.header().ready = 0;
    CHECK_THAT(error_of(b), ContainsSubstring("is half-written"));
  }
  SECTION("other byte order") {
    b.header().endian = __builtin_bswap32(kEndianMark);
    CHECK_THAT(error_of(b), ContainsSubstring("other byte order"));
  }
  SECTION("other architecture") {
    b.header().machine = 243;
    CHECK_THAT(error_of(b), ContainsSubstring("another architecture"));
  }
  SECTION("newer, incompatible") {
    b.header().version = 9;
    b.header().incompatible_flags = 4;
    CHECK_THAT(error_of(b), ContainsSubstring("needs a newer ovc"));
  }
  SECTION("newer, compatible") {
    b.header().version = 9;
    b.header().compatible_flags = 4;
    CHECK(error_of(b) == "no error");
  }
  SECTION("areas outside") {
    b.header().events.offset = UINT64_MAX - 255;
    CHECK_THAT(error_of(b), ContainsSubstring("event lane outside"));
  }
  SECTION("no event lane") {
    b.header().events.bytes = 0;
    CHECK_THAT(error_of(b), ContainsSubstring("no room"));
  }
}

TEST_CASE("what is not a regular file is not opened") {
  CHECK_THAT(error_of("/tmp"), ContainsSubstring("is a directory"));
  CHECK_THAT(error_of("/dev/zero"), ContainsSubstring("not a regular file"));
  CHECK_THAT(error_of("/nonexistent/x.ovc"), ContainsSubstring("No such file"));
}

TEST_CASE("a log that is truncated while it is read yields no more") {
  LogBuilder b;
  b.put(make_event(Op::kMmap));
  const std::string path = b.write();
  const LogReader log(path);
  REQUIRE(::truncate(path.c_str(), 0) == 0);
  CHECK(events_of(log).empty());
  CHECK(log.processes().empty());
}
