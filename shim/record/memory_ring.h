// SPDX-License-Identifier: MIT
//
// Writes calls of the mmap family that were granted into the ring of memory_format.h. Callable
// anywhere, by any number of writers in any number of processes; never waits for anybody.
#pragma once
#include "shim/record/event.h"

#pragma GCC visibility push(hidden)

namespace ovcshim {

// Position of the record; kUnknown: it does not fit there, or there was no room. It is an event
// then. `event` says what the record does not: its row, and the reading that was in force.
uint64_t write_memory_call(const Event& event, const Record& record);

}  // namespace ovcshim

#pragma GCC visibility pop
