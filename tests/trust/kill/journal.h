// SPDX-License-Identifier: MIT
//
// The journal of the kill test: what each thread of the victim called and got, written after the
// call returned, in memory that the driver shares. One Actor per thread that ever ran; its ring
// keeps the newest entries, and one more for the call in flight.
#pragma once
#include <cstdint>

#include "shim/format/log_format.h"

namespace kill_test {

inline constexpr uint32_t kRing = 4096;  // entries kept per actor
inline constexpr uint32_t kActors = 384;
inline constexpr uint32_t kOps = static_cast<uint32_t>(ovcshim::Op::kCallOps);

struct Entry {
  uint64_t tick;     // just before the call
  uint64_t args[4];  // as the log's specification lists them for the op
  int64_t result;
  ovcshim::Op op;
  uint16_t err;  // 0: no failure
  uint32_t unused;
};
static_assert(sizeof(Entry) == 56);

struct Actor {
  uint32_t pid, tid;
  uint32_t forked;  // 1: the only thread of a forked child
  uint32_t over;    // 1: it is ending, or its parent has decided to kill it
  uint64_t done;  // calls that have returned. Entry n is in ring[n % kRing]; ring[done % kRing] is
                  // the call in flight
  uint64_t in_flight;  // done + 1 while that entry is filled in
  uint64_t counts[kOps];
  uint64_t bytes;        // requested from the malloc family
  uint64_t big_records;  // of these, what would be call-lane records were it not for its size:
                         // those are events
  Entry ring[kRing];
};

struct Journal {
  uint32_t started;               // futex: 1 once the first calls are made
  uint32_t next;                  // actors given out
  uint64_t text_start, text_end;  // the victim's code: calls from elsewhere are not in the journal
  // set by the driver
  uint64_t seed;
  uint32_t threads;
  uint32_t mapper;  // one call in so many goes to the event lane
  uint32_t forks;   // one call in so many forks
  uint32_t unused;
  Actor actors[kActors];
};

}  // namespace kill_test
