// SPDX-License-Identifier: MIT
//
// One store of an execution comes late, as processors with a weak order of memory (aarch64) may
// have it: its own thread sees it at once, the others only when it lands: before what the thread
// stores behind a release or a release fence, before anybody else writes the same bytes, and when
// the thread ends or is killed. What is stored in between is seen earlier. Loads stay in their
// order; what that leaves out stands in tests/trust/README.md.
#pragma once
#include <cstdint>

namespace model {

void reset_late();  // a new execution
// Before a store of `bytes` at `at` by the running thread: may it be late, and is it the one?
void before_store(const volatile void* at, uint64_t bytes, bool release);
void release_fence();
// The late store as the other threads, or as the thread that is to run next, see it.
void before_switch(uint32_t from, uint32_t to);
void release_late_of(uint32_t tid);  // it ends

}  // namespace model
