// SPDX-License-Identifier: MIT
#include "tools/replay/growth_diff.h"

#include "shim/format/growth_format.h"
#include "tests/unit/catch.h"
#include "tests/unit/log_builder.h"

using namespace ovc;
using namespace ovcshim;

namespace {

constexpr uint32_t kPlain = kKindWritable | kKindEverWritable;
constexpr uint64_t kPage = 0x7f0000000;

void put_grower(test::LogBuilder& b, uint64_t frame, uint64_t calls, uint64_t granted_kb,
                uint32_t kind, uint64_t page, uint64_t pages) {
  CallTotals totals{};
  totals.key = static_cast<uint64_t>(Op::kMmap);
  totals.calls = calls, totals.granted_bytes = granted_kb << 10, totals.last_tick = 1000 + calls;
  b.put_grower({frame, 0x2000}, totals, kind, page, pages);
}

void put_process(test::LogBuilder& b) {
  auto& slot = b.process(0);
  slot.use = static_cast<uint32_t>(SlotUse::kLive), slot.serial = 1, slot.pid = 100;
  b.header().host[0] = {static_cast<uint32_t>(FactKey::kOvercommitMemory), 0, 2};
}

Event call(uint64_t begin, uint64_t address, uint64_t kb) {
  Event event = test::make_event(Op::kMmap, begin, begin + 10);
  event.base.process = 0, event.base.process_serial = 1, event.base.image = 1;
  event.base.result = static_cast<int64_t>(address);
  test::set_args(event, {0, kb << 10, 3, 0x22, UINT64_MAX, 0});
  event.frames = {0x1000 + kb, 0x2000};
  return event;
}

}  // namespace

TEST_CASE("diff: of two logs, by what they hold more, and what did not change is left out") {
  test::LogBuilder before(64, 8, 64), after(64, 8, 64);
  put_process(before), put_process(after);
  put_grower(before, 0x1000, 10, 40, kPlain, kPage, 3);
  put_grower(before, 0x1004, 2, 8, kPlain, kPage + 100, 2);
  put_grower(after, 0x1000, 15, 60, kPlain, kPage, 1);
  put_grower(after, 0x1004, 2, 8, kPlain, kPage + 100, 2);
  put_grower(after, 0x1008, 1, 100, kPlain, kPage + 200, 25);
  const auto diff = growth_between(LogReader(before.write()), LogReader(after.write()));
  CHECK(diff.same_recording);
  CHECK(diff.doubts.empty());
  CHECK(diff.now == Delta{92, 92});
  CHECK(diff.ever == Delta{120, 120});
  REQUIRE(diff.stacks.size() == 2);
  CHECK(diff.stacks[0].now == Delta{100, 100});
  CHECK(diff.stacks[0].calls == 1);
  CHECK(diff.stacks[1].now == Delta{-8, -8});
  CHECK(diff.stacks[1].ever == Delta{20, 20});
  CHECK(diff.stacks[1].calls == 5);
}

TEST_CASE("diff: what the first log has and the second has not is less") {
  test::LogBuilder before(64, 8, 64), after(64, 8, 64);
  put_process(before), put_process(after);
  after.header().created.tick = 77;
  put_grower(before, 0x1000, 10, 40, kPlain, kPage, 3);
  const auto diff = growth_between(LogReader(before.write()), LogReader(after.write()));
  CHECK_FALSE(diff.same_recording);
  REQUIRE(diff.stacks.size() == 1);
  CHECK(diff.stacks[0].now == Delta{-12, -12});
  CHECK(diff.stacks[0].calls == -10);
}

TEST_CASE("diff: an older copy as the second, or a log without totals, is refused") {
  test::LogBuilder before(64, 8, 64), after(64, 8, 64), none(64, 8, 0);
  put_process(before), put_process(after);
  put_grower(after, 0x1000, 10, 40, kPlain, kPage, 3);
  CHECK_THROWS_AS(growth_between(LogReader(after.write()), LogReader(before.write())), Error);
  CHECK_THROWS_AS(growth_between(LogReader(none.write()), LogReader(after.write())), Error);
}

TEST_CASE("diff: what may be charged is between bounds, and calls without a row are said") {
  test::LogBuilder before(64, 8, 64), after(64, 8, 64);
  put_process(before), put_process(after);
  put_grower(after, 0x1000, 1, 40, kKindUnknown, kPage, 3);
  auto diff = growth_between(LogReader(before.write()), LogReader(after.write()));
  REQUIRE(diff.stacks.size() == 1);
  CHECK(diff.stacks[0].now == Delta{0, 12});
  CHECK(diff.stacks[0].ever == Delta{0, 40});
  auto* header =
      reinterpret_cast<GrowthHeader*>(after.bytes().data() + after.header().growth.offset);
  header->rows_missing = 3;
  diff = growth_between(LogReader(before.write()), LogReader(after.write()));
  CHECK(diff.doubts.size() == 1);
}

TEST_CASE("diff: two moments of one log, from its records") {
  test::LogBuilder b(64, 8, 64);
  put_process(b);
  b.put(call(2000, 0x7f0000000000, 64));
  b.put(call(3000, 0x7f0000100000, 128));
  b.put(call(4000, 0x7f0000200000, 256));
  const auto diff = growth_between(LogReader(b.write()), 2500, 3500);
  REQUIRE(diff.stacks.size() == 1);
  CHECK(diff.stacks[0].now == Delta{128, 128});
  CHECK(diff.stacks[0].ever == Delta{128, 128});
  CHECK(diff.stacks[0].calls == 1);
  CHECK(growth_between(LogReader(b.write()), 5000, 6000).stacks.empty());
}

TEST_CASE("diff: moments whose records were overwritten are not known") {
  test::LogBuilder b(256, 8, 64);
  put_process(b);
  for (uint64_t i = 0; i < 400; ++i) b.put(call(2000 + 100 * i, 0x7f0000000000 + (i << 20), 64));
  const LogReader log(b.write());
  CHECK_THROWS_AS(growth_between(log, 2500, 90000), Error);
  CHECK(growth_between(log, log.events_complete_from() + 1, 90000).stacks.size() == 1);
}
