// SPDX-License-Identifier: MIT
//
// The threads' states (Hot). The first ones lie in Private; when all are in use and no dead
// thread's turns up, a block of as many again is mapped, up to 65,536. Beyond that, or where
// mapping is refused, a thread has none: its calls are counted by atomic adds and not recorded.
// Blocks stay, and a forked child finds them where they are, wiped. Rules: as event_lane.cc.
#pragma once
#include "shim/record/state.h"

namespace ovcshim {

// For the calling thread, which has none; nullptr if there is none to be had. One that was a dead
// thread's goes on with its counters. A handful of system calls at most, however many threads live.
Hot* claim_hot(uint32_t tid);

// None could be had a moment ago: asking again would cost more than it is worth.
bool hots_are_full();

// Unmaps the blocks: no thread will ask for its own any more.
void give_hots_back();

// Is this address the shim's private memory?
bool is_private_memory(uint64_t address);

}  // namespace ovcshim
