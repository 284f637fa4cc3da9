// SPDX-License-Identifier: MIT
//
// Refusals that the user asked for (made by shim/refuse), as they are recorded: the newest one of
// this thread, and the rehearsal in force.
#pragma once
#include "shim/format/refusal_spec.h"
#include "shim/record/state.h"

#pragma GCC visibility push(hidden)

namespace ovcshim {

// This thread's newest refusal, for the record of the refused call and of those around it.
struct Refusal {
  uint64_t tick;  // when; 0: never
  Op op;          // of the call refused
  uint16_t flag;  // kInjected or kRehearsed
  // rehearsed ones: what it was decided from, kB
  uint64_t charge_kb, committed_kb, allowed_kb, limit_kb;
};
extern thread_local constinit Refusal t_refusal;

// The flag for a failed call that began at `begin_tick`: kInjected or kRehearsed if this thread's
// newest refusal is its own or part of it, else 0.
uint16_t refusal_flag(Op op, uint64_t begin_tick);

// Mode and limit in force, kB; kUnknown if nothing is rehearsed. Constant once recording has begun.
extern RehearseSpec g_rehearsal;
inline bool rehearses() { return g_rehearsal.mode != kUnknown; }

}  // namespace ovcshim

#pragma GCC visibility pop
