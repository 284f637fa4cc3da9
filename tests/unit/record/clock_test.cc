// SPDX-License-Identifier: MIT
//
// The clocks without a system call, and when a child's start is known from the moments around it.
#include <sys/auxv.h>
#include <time.h>

#include "shim/format/log_format.h"
#include "shim/record/clock.h"
#include "shim/sys/vdso.h"
#include "tests/unit/catch.h"

using namespace ovcshim;

namespace {

uint64_t libc_ns(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000000000 + static_cast<uint64_t>(t.tv_nsec);
}

// No reading is before the one before it, whoever made it.
void check_order(clockid_t clock) {
  for (int i = 0; i < 100; ++i) {
    const uint64_t before = libc_ns(clock), ours = sys::clock_ns(clock), after = libc_ns(clock);
    CHECK(before <= ours);
    CHECK(ours <= after);
  }
}

}  // namespace

TEST_CASE("clock: the vdso's is the kernel's, before it is found, after, and when it is gone") {
  check_order(CLOCK_MONOTONIC);
  const uint64_t none[] = {0, 0}, wild[] = {AT_SYSINFO_EHDR, 4096, 0, 0},
                 right[] = {AT_SYSINFO_EHDR, getauxval(AT_SYSINFO_EHDR), 0, 0};
  for (const uint64_t* auxv : {none, wild, right}) {
    sys::find_vdso(auxv);
    check_order(CLOCK_MONOTONIC);
    check_order(CLOCK_BOOTTIME);
  }
  sys::forget_vdso();
  check_order(CLOCK_MONOTONIC);
}

TEST_CASE("clock: two moments in one tick tell it, and no others do") {
  constexpr uint64_t kMs = 1000000;
  CHECK(same_clock_tick(101 * kMs, 109 * kMs) == 10);
  CHECK(same_clock_tick(101 * kMs, 101 * kMs) == 10);
  CHECK(same_clock_tick(101 * kMs, 111 * kMs) == kUnknown);
  CHECK(same_clock_tick(109 * kMs, 101 * kMs) == kUnknown);  // another time namespace
  CHECK(same_clock_tick(100 * kMs, 105 * kMs) == kUnknown);  // on the border
  CHECK(same_clock_tick(105 * kMs, 110 * kMs - 1) == kUnknown);
  CHECK(same_clock_tick(0, 5 * kMs) == kUnknown);
}
