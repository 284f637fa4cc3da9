// SPDX-License-Identifier: MIT
//
// malloc's family in a program that runs already (`ovc attach --malloc`): the addresses that its
// modules are bound to (GOT, and pointers in their data) become those of the wrappers, and are
// given back.
// A slot is changed only where it holds the very function that the program's calls find, which is
// the one that the wrappers call (serve_as_bound()); or where it is not bound yet, and can only be
// bound to that. Not changed are addresses that the program has stored itself, and the loader's
// own; a module that is loaded later is bound as if the shim was not there.
// Rules: all other threads stand still, nobody is in the loader's list (loader_is_idle()); written
// by /proc/self/mem, so that no mapping changes; no libc calls.
#pragma once
#include <cstdint>

#pragma GCC visibility push(hidden)

namespace ovcshim {

struct BoundSlots {
  uint64_t ours = 0;        // reach the wrappers now
  uint64_t elsewhere = 0;   // bound to another function, or it is not certain to which: left alone
  uint64_t unwritable = 0;  // the kernel did not let us
};

BoundSlots bind_slots();
// How many could not be written: the shim's functions stand there still, and pass on what is asked.
uint64_t give_slots_back();
// The memory that the old values are kept in.
void forget_slots();

}  // namespace ovcshim

#pragma GCC visibility pop
