// SPDX-License-Identifier: MIT
//
// The proof of a failure: limits, counters, cgroup and, where due, every mapping with its charge flags, as the kernel shows them right after.
#pragma once
#include "shim/log_format.h"

namespace ovcshim {

enum class Proof {
  kNone,   // a failure that the call's own arguments explain, or that the record of the call around it will prove
  kFacts,  // everything but the list of mappings: for memory calls, more often than once a second
  kFull,
};

// What the failure of `op` with `err` is worth now. Called once a failure: it keeps the time of the last list.
Proof proof_for(Op op, int err);

// Writes it, about the record at `position`.
void write_snapshot(uint64_t position, Proof proof);

}  // namespace ovcshim
