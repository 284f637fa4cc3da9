// SPDX-License-Identifier: MIT
//
// See clock.h.
#include "shim/record/clock.h"

#include <time.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "shim/record/state.h"
#include "shim/sys/vdso.h"

namespace ovcshim {

constinit uint64_t g_fork_clock = 0;

// Intel SDM vol. 3, 18.17.1: CPUID 80000007H EDX bit 8, the TSC runs at a constant rate in all
// states.
bool counter_is_steady() {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  return __get_cpuid(0x80000007, &a, &b, &c, &d) && d & 1u << 8;
#else
  return true;
#endif
}

uint64_t boot_ns() { return sys::clock_ns(CLOCK_BOOTTIME); }

// A moment near the border of a tick may have been read on either side of it.
uint64_t same_clock_tick(uint64_t from_ns, uint64_t to_ns) {
  constexpr uint64_t kTickNs = 10000000 /* USER_HZ is 100 everywhere */, kMarginNs = 100000;
  if (from_ns < kMarginNs || to_ns < from_ns) return kUnknown;
  const uint64_t first = (from_ns - kMarginNs) / kTickNs, last = (to_ns + kMarginNs) / kTickNs;
  return first == last ? first : kUnknown;
}

ClockPair clock_pair() {
  ClockPair best{};
  uint64_t narrowest = UINT64_MAX;
  for (int tries = 0; tries < 3; ++tries) {
    const uint64_t before = tick_now();
    const ClockPair pair{before, sys::clock_ns(CLOCK_MONOTONIC), sys::clock_ns(CLOCK_REALTIME)};
    const uint64_t width = tick_now() - before;
    if (width < narrowest) best = pair, narrowest = width, best.tick = before + width / 2;
    if (width < g_ticks_per_ms / 500) break;
  }
  return best;
}

bool is_clock_known(uint64_t tick) {
  constexpr uint64_t kAgeMs = 10;
  return tick - g.header->newest.tick < kAgeMs * g_ticks_per_ms;
}

void keep_clock_known(uint64_t tick) {
  if (!is_clock_known(tick)) g.header->newest = clock_pair();
}

void add_clocks(Facts& facts, const ClockPair& pair) {
  facts.add(FactKey::kMonotonicNs, pair.monotonic_ns);
  facts.add(FactKey::kPosixNs, pair.posix_ns);
}

}  // namespace ovcshim
