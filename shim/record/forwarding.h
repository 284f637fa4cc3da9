// SPDX-License-Identifier: MIT
//
// What a wrapper tells the hook on the system calls inside libc (shim/libc/libc_hook.cc), so that
// one call does not become two records.
#pragma once
#include "shim/record/state.h"

namespace ovcshim {

// This thread's next system call `nr` inside libc is made by a wrapper that records it itself; 0
// takes it back. Without thread state nothing can be told, and the call is recorded twice, once as
// kInsideLibc.
inline void expect_in_libc(long nr) {
  if (t_hot != &g_no_hot) t_hot->forwarding = static_cast<uint16_t>(nr);
}

// This thread is inside a call of the fork family that will be recorded as a whole: its own record
// will bring the proof of a failure. kTakesBack: all that libc maps within it, it gives back before
// it returns.
enum class Beneath : uint16_t { kNothing, kFork, kTakesBack };
inline void beneath_fork(Beneath inside) {
  if (t_hot != &g_no_hot) t_hot->beneath = static_cast<uint16_t>(inside);
}

}  // namespace ovcshim
