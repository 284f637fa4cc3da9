// SPDX-License-Identifier: MIT
//
// Refusals that the user asked for: OVCSHIM_INJECT and OVCSHIM_REHEARSE. Without them nothing here is ever called: the refusing functions
// stand before the real ones in `next` only once install_refusals() has put them there.
#pragma once
#include "shim/refusal_spec.h"
#include "shim/state.h"

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

// Is this call, about to be made, to be refused? Its errno, else 0. `args` as in the record; size: bytes, for size>=.
int refused(Op op, const uint64_t* args, uint64_t size);
// The same for a system call by its number, as which nothing is beneath it; it may also be changed: mode 2 knows no MAP_NORESERVE.
int refused_syscall(Op op, long* args);

// The flag for a failed call that began at `begin_tick`: kInjected or kRehearsed if this thread's newest refusal is its own or part of
// it, else 0.
uint16_t refusal_flag(Op op, uint64_t begin_tick);

// What stands behind the refusing functions; `next` where there are none.
struct Next;
const Next& unrefused();

// Puts the refusing functions before those in `next`. After resolve_all(), before recording begins.
void install_refusals(const InjectSpec& inject, const RehearseSpec& rehearse);

}  // namespace ovcshim

#pragma GCC visibility pop
