// SPDX-License-Identifier: MIT
//
// See clock.h.
#include "shim/record/clock.h"

#include <time.h>

#include "shim/record/state.h"

namespace ovcshim {
namespace {

uint64_t clock_ns(long clock) {
  struct {
    long sec, nsec;
  } t{};
  sys::call(__NR_clock_gettime, clock, reinterpret_cast<long>(&t));
  return static_cast<uint64_t>(t.sec) * 1000000000u + static_cast<uint64_t>(t.nsec);
}

}  // namespace

ClockPair clock_pair() {
  ClockPair best{};
  uint64_t narrowest = UINT64_MAX;
  for (int tries = 0; tries < 3; ++tries) {
    const uint64_t before = tick_now();
    const ClockPair pair{before, clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_REALTIME)};
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
