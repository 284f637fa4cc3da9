// SPDX-License-Identifier: MIT
//
// The stack that the kernel gave the program. It grows and is never given back, so from a live
// frame on it up to its top all is mapped, in every walk and in forked children: one proof is
// enough. What is known is [low, top): whoever runs inside it may read from its own frame upwards;
// whoever runs below has the pages between proven once, and low moves down. A thread, a coroutine
// or a signal handler with a stack of its own does not run inside it. The program's munmap,
// mprotect and their like that touch it end that for good (range_goes).
#pragma once
#include <cstdint>

#pragma GCC visibility push(hidden)

namespace ovcshim {

// From the constructor: `own` is an address in a live frame, `above` one further up on the same
// stack that the program was given by the kernel (its arguments). Proves what is between.
void know_main_stack(uint64_t own, uint64_t above);

// The top of the known stack if `own` lies in it, else 0.
uint64_t known_stack_top(uint64_t own);

// [base, high) has been proven, base is the page of a live frame: the new `high`, the known top if
// the known stack begins there.
uint64_t deepen_known_stack(uint64_t base, uint64_t high);

void forget_known_stack(uint64_t start, uint64_t end);

}  // namespace ovcshim

#pragma GCC visibility pop
