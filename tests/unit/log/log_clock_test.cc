// SPDX-License-Identifier: MIT
//
// What a tick is, told from pairs of clock readings of which some are torn.
#include <cmath>

#include "tests/unit/catch.h"
#include "tests/unit/log_builder.h"

using namespace ovc;
using namespace ovc::test;
using namespace ovcshim;

TEST_CASE("ticks of a monotonic clock are nanoseconds") {
  LogBuilder b;
  const LogReader log(b.write());
  CHECK(log.ns_per_tick() == 1.0);
  CHECK(log.posix_ns(1500) == 1'700'000'000'000'000'500);
  CHECK(log.posix_ns(500) == 1'699'999'999'999'999'500);
}

TEST_CASE("the rate comes from the farthest plausible pair") {
  LogBuilder b;
  b.header().clock = static_cast<uint32_t>(Clock::kTsc);
  b.header().created = {1'000'000, 5'000'000'000, 1'700'000'000'000'000'000};
  b.header().newest = {3'000'000, 900'000'000'000'000, 1};  // torn
  Event start = make_event(Op::kStart, 1'000'000 + 2'000'000'000, 0);
  start.facts = {{static_cast<uint32_t>(FactKey::kPosixNs), 0, 1'700'000'001'000'000'000},
                 {static_cast<uint32_t>(FactKey::kMonotonicNs), 0, 6'000'000'000}};
  b.put(start);
  Event later = start;
  later.base.op = Op::kSnapshot;
  later.base.begin_tick = 1'000'000 + 4'000'000'000;
  later.facts[0].value += 1'000'000'000;
  later.facts[1].value += 1'000'000'000;
  b.put(later);
  const LogReader log(b.write());
  CHECK(std::abs(log.ns_per_tick() - 0.5) < 1e-6);
  CHECK(log.ticks_to_ns(2000) == 1000);
}

TEST_CASE("a step of the wall clock is followed") {
  LogBuilder b;
  Event later = make_event(Op::kSnapshot, 2'000'001'000, 0);
  later.facts = {{static_cast<uint32_t>(FactKey::kPosixNs), 0, 1'700'003'602'000'000'000},
                 {static_cast<uint32_t>(FactKey::kMonotonicNs), 0, 2'000'001'000}};
  b.put(later);
  const LogReader log(b.write());
  CHECK(log.posix_ns(1'000'001'000) == 1'700'000'001'000'000'000);
  CHECK(log.posix_ns(2'000'001'000) == 1'700'003'602'000'000'000);
}
