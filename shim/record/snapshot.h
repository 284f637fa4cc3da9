// SPDX-License-Identifier: MIT
//
// The proof of a failure: limits, counters, cgroup and, where due, every mapping with its charge
// flags, as the kernel shows them right after. And lists of mappings without a failure, from which
// the address space is followed.
#pragma once
#include "shim/format/log_format.h"

namespace ovcshim {

enum class Proof {
  kNone,   // a failure that the call's own arguments explain, or that the record of the call around
           // it will prove
  kFacts,  // everything but the list of mappings: for memory calls, more often than once a second
  kFull,
  kCounters,  // as kFacts, of no failure: a child was killed
};

// What the failure of `op` with `err` is worth now. Called once a failure: it keeps the time of the
// last list.
Proof proof_for(Op op, int err);

// Writes it, about the refused call whose record is at `position`; of a rehearsed one with what the
// rehearsal compared.
void write_snapshot(uint64_t position, Proof proof, const EventBase& about);

// The whole list of mappings as kMappings records about the event at `position`, from which a
// reader can follow the address space: when an image starts, when the loader has brought new
// objects (its own calls are not seen), when the lane is about to pass the last list, at the end.
void write_mapping_list(uint64_t position);

// An image's first list is always written: the process is small then. A later one only if it takes
// less than 1 ms, whatever that leaves unknown: a big server must not be stopped for it. When the
// lane passes the old one also only if it is less than 1 % of the time; for new objects the refresh
// of the module list sees to that, ten times a second at most. The last one may take 20 ms if that
// is less than 1 %.
enum class ListOccasion { kNewObjects, kPassed, kEnd };
bool may_list_mappings(ListOccasion occasion);
// The address space is known from here on without a list: a forked child's is its parent's.
void note_listed();

}  // namespace ovcshim
