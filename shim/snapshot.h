// SPDX-License-Identifier: MIT
//
// The proof of a failure: limits, counters, settings and the list of mappings, taken right after the call was refused. And lists of mappings
// without a failure, from which the address space is followed.
#pragma once
#include "shim/log_format.h"

namespace ovcshim {

// Which failures deserve one: those of the fork family and of memory calls. Bad arguments prove themselves.
bool wants_snapshot(Op op, int err);

// Writes kSnapshot, and kMappings records with the whole list of mappings, about the event at `position`. The mapping list is costly
// for a big process (12 ms per GiB of 4 kB pages): at most one a second per process for memory calls, always for forks.
void write_snapshot(uint64_t position, const EventBase& about);

// The whole list of mappings as kMappings records about the event at `position`, from which a reader can follow the address space: when an
// image starts, when the loader has brought new objects (its own calls are not seen), when the lane is about to pass the last list, at the end.
void write_mapping_list(uint64_t position);

// An image's first list is always written: the process is small then. A later one if it will take less than 1 ms or not more than 1 % of the
// time (and module lists are read ten times a second at most); the last one likewise, but it never holds up the end for more than 20 ms.
enum class ListOccasion { kLater, kEnd };
bool may_list_mappings(ListOccasion occasion);

}  // namespace ovcshim
