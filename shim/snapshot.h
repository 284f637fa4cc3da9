// SPDX-License-Identifier: MIT
//
// The proof of a failure: limits, counters, settings and the list of mappings, taken right after the call was refused.
#pragma once
#include "shim/log_format.h"

namespace ovcshim {

// Which failures deserve one: those of the fork family and of memory calls. Bad arguments prove themselves.
bool wants_snapshot(Op op, int err);

// Writes kSnapshot, and kMappings records with the whole list of mappings, about the event at `position`. The mapping list is costly
// for a big process (12 ms per GiB of 4 kB pages): at most one a second per process for memory calls, always for forks.
void write_snapshot(uint64_t position, const EventBase& about);

}  // namespace ovcshim
