// SPDX-License-Identifier: MIT
#include "shim/record/log_size.h"

#include "tests/unit/catch.h"

using namespace ovcshim;

namespace {

uint64_t file_bytes(const LogSize& size) {
  FileHeader h{};
  lay_out(h, size);
  return h.file_bytes;
}

}  // namespace

TEST_CASE("log size: what fits is left as asked for") {
  LogSize size = wanted_size({});
  REQUIRE(make_fit(size, LogBound::kFreeSpace, kInfinite, size.wanted_bytes));
  CHECK(size.bound == LogBound::kNone);
  CHECK(file_bytes(size) == size.wanted_bytes);
  CHECK(size.events_bytes == LogWish{}.events_bytes);
}

TEST_CASE("log size: whatever is allowed, the log has no more, and no less than it can") {
  constexpr uint64_t kLeast = 800 * 1024;
  uint64_t before = 0;
  for (uint64_t allowed = 4096; allowed < (160u << 20); allowed = allowed * 5 / 4) {
    LogSize size = wanted_size({});
    const bool fits = make_fit(size, LogBound::kMemoryGroup, allowed * 8, allowed);
    CAPTURE(allowed);
    CHECK(fits == (allowed >= file_bytes(size)));
    CHECK((fits || allowed < kLeast));
    if (!fits) continue;
    CHECK(file_bytes(size) >= before);
    // Steps are halves of a lane.
    CHECK((file_bytes(size) == size.wanted_bytes || allowed < (6u << 20) ||
           file_bytes(size) * 3 >= allowed));
    CHECK(size.events_bytes >= 64 * 1024);
    CHECK(size.stripes >= 64);
    before = file_bytes(size);
  }
  CHECK(before == wanted_size({}).wanted_bytes);
}

TEST_CASE("log size: a lane that is off stays off, a small one is not made larger") {
  LogSize size = wanted_size({.events_bytes = 64 * 1024, .calls_bytes = 0});
  REQUIRE(make_fit(size, LogBound::kRlimitFsize, 2 << 20, 2 << 20));
  CHECK(size.events_bytes == 64 * 1024);
  CHECK(size.calls_bytes == 0);
  CHECK(size.stripes < kStripes);
  CHECK(size.bound == LogBound::kRlimitFsize);
  CHECK(size.left_bytes == 2 << 20);
}
