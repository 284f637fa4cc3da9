// SPDX-License-Identifier: MIT
//
// One event from the wrapper's point of view: begin() before the call is forwarded, end() after it.
// The wrapper saves and restores errno around both. An Event lives on the wrapper's stack and stays
// small; everything bulky uses the scratch memory.
#pragma once
#include "shim/proc/proc_files.h"
#include "shim/record/event_lane.h"
#include "shim/record/owners.h"
#include "shim/record/state.h"
#include "shim/unwind/backtrace.h"

namespace ovcshim {

enum class When : uint8_t {
  kAfter,   // recorded when the call has returned
  kIntent,  // committed before the call is forwarded, completed after: it can change the process,
            // or block
};
enum class Freshness {
  kCheap,  // newest reading, renewed when older than kReadingMaxAgeMs
  kFresh,  // read now: the call costs far more than the reading
  kLast,   // as kCheap; a child just forked has its parent's figures of the host, none of its own
};

// A reading older than this is renewed even for cheap calls: two small files every 10 ms are 0.2 %
// of the time.
inline constexpr uint64_t kReadingMaxAgeMs = 10;

struct Event {  // lies on foreign stacks: without gaps
  EventBase base;
  FrameState frame;
  uint64_t position = kUnknown;  // of the intent
  uint64_t size = 0;             // malloc family: bytes requested, for the counters
  uint64_t granted = 0;          // granted_count() when it began
  uint64_t reading_tick = 0;     // of base.before
  OwnedRuns moving;              // mremap: whose the memory was before
  uint32_t row = UINT32_MAX;     // of CallTotals, when noted: see growth.h
  uint16_t flags = 0;            // EventFlags known beforehand
  When when = When::kAfter;
  bool active : 1 = false;
  bool stack_is_whole : 1 = false;  // in the table of stacks
};

// False, and end() must not be called, if nothing is to be recorded. `text` (a path) may be null;
// it is read with care.
bool begin(Event& event, Op op, When when, Freshness freshness, uint64_t caller,
           const FrameState& frame, const char* text = nullptr);

// Fills in the outcome and records it. On failure of a fork or memory call the proving snapshot is
// written first. `text`: for a call without intent.
void end(Event& event, int64_t result, bool failed, int err, const char* text = nullptr);

// Records about this process (kStart, kEnd, kSnapshot, kModule): filled base, no stack.
EventBase plain_base(Op op);

// The commit state now or lately; the tick of the reading, 0 if there is none. `status`: gets what
// add_status() gives, by the same reading (nothing if none was made).
uint64_t commit_state(CommitState& state, Freshness freshness, Facts* status = nullptr);

// Committed_AS, kB, read now, soon after a fresh state: no filter can have come unseen in between,
// and of the process itself nothing more need be read.
uint64_t committed_now();

// Scratch memory; nullptr if all is taken.
Scratch* take_scratch();
inline void give_back(Scratch* scratch) { __atomic_store_n(&scratch->taken, 0, __ATOMIC_RELEASE); }

}  // namespace ovcshim
