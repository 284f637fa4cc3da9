// SPDX-License-Identifier: MIT
//
// After a call that returned twice: the child's side and the parent's side, for every wrapper of
// the fork family.
#pragma once
#include <errno.h>

#include "shim/record/event.h"
#include "shim/record/forwarding.h"
#include "shim/record/process.h"
#include "shim/sys/thread_pointer.h"

namespace ovcshim {

// The child's half of a fork: its private memory is zero, so it enters itself in the log.
OVC_COLD inline void child_side(uint64_t fork_position) {
  if (has_libc_tls() && register_process(fork_position) && g_private->slot != kNoIndex)
    g.processes[g_private->slot].fork_position = fork_position;
}

// Completion in the parent: what the commit counter says now belongs to the record. `err` counts if
// result is negative.
OVC_COLD inline void fork_done(Event& event, int64_t result, int err) {
  event.base.end_tick = tick_now();  // what follows is our own time, not the call's
  beneath_fork(Beneath::kNothing);
  event.base.args[5] = committed_now();
  end(event, result, result < 0, err);
}

}  // namespace ovcshim
