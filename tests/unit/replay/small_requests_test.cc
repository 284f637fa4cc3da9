// SPDX-License-Identifier: MIT
#include "tools/replay/small_requests.h"

#include "tests/unit/catch.h"
#include "tests/unit/log_builder.h"
#include "tools/replay/holders.h"

using namespace ovc;
using namespace ovcshim;

namespace {

constexpr uint64_t kEach = 512 << 10;

void put_samples(test::LogBuilder& b, uint64_t frame, Op op, uint64_t samples) {
  CallTotals totals{};
  totals.key = static_cast<uint64_t>(op);
  totals.calls = samples, totals.asked_bytes = samples * kEach;
  b.put_grower({frame, 0x2000}, totals, kKindSampled, 0, 0);
  b.growth_header().sample_bytes = kEach;
  b.growth_header().samples += samples;
}

}  // namespace

TEST_CASE("small requests: who asked most comes first, and none is a call that maps memory") {
  test::LogBuilder b(64, 8, 64);
  put_samples(b, 0x1000, Op::kMalloc, 3);
  put_samples(b, 0x1004, Op::kRealloc, 100);
  put_samples(b, 0x1008, Op::kCalloc, 0);
  b.growth_header().samples_lost = 7;
  const LogReader log(b.write());
  const auto found = small_requests(log);
  REQUIRE(found);
  CHECK(found->samples == 103);
  CHECK(found->without_room == 7);
  REQUIRE(found->askers.size() == 2);
  CHECK(found->askers[0].op == Op::kRealloc);
  CHECK(found->bytes(found->askers[0].samples) == 100 * kEach);
  CHECK(found->deviation(100) == 10 * kEach);
  CHECK(growers(log)->stacks.empty());
}

TEST_CASE("small requests: no samples, nothing is said") {
  test::LogBuilder b(64, 8, 64);
  CHECK(!small_requests(LogReader(b.write())));
}

TEST_CASE("small requests: the error is that of counted samples") {
  CHECK(error_percent(1) == 196);
  CHECK(error_percent(10000) == 2);
}
