// SPDX-License-Identifier: MIT
//
// What a refusal is proven with, and what that may cost. A program that retries is refused by the
// thousand: the first refusal of such a storm gets the whole proof (snapshot.h), the others refer
// to it (PROOFS in log_format.h), as long as nothing was granted to the process since.
#pragma once
#include "shim/proc/proc_files.h"
#include "shim/record/state.h"

namespace ovcshim {

enum class Proof {
  kNone,     // a failure that the call's own arguments explain, or that the record of the call
             // around it will prove; or there was no time left for one
  kEarlier,  // an earlier refusal's holds for this one too
  kChanged,  // an earlier refusal's holds but for what has been granted since: sizes are read anew
  kErrno,    // what decides an errno, limits and privileges; the mappings have no part in it
  kFacts,    // everything but the list of mappings
  kFull,
  kTasks,     // as kFacts, of a refusal in which the mappings have no part: a limit on tasks
  kCounters,  // as kFacts, of no failure: a child was killed
  kLasting,   // as kFacts, of a storm that goes on: where what must last is kept
};

struct ProofPlan {
  Proof proof = Proof::kNone;
  uint64_t proven_by = kUnknown;  // kEarlier, kChanged: position of the earlier refusal
  bool own() const { return proof >= Proof::kErrno; }
  bool refers() const { return proof == Proof::kEarlier || proof == Proof::kChanged; }
};

// What this failure is worth now. `granted`: granted_count() when the call began.
// Memory calls: proofs take 1/16 of the time, but for a burst of 10 ms; one that takes longer is
// made when nothing was spent for a while, or for the first refusal of a storm, three times; a
// storm whose sizes change gets four in 100 ms. A refusal to copy the process always has a proof of
// its own, unless it repeats one that holds. A storm that would overwrite its own proof has it made
// again where it lasts, whatever there is to pay: once in half a ring that is little a refusal.
// EAGAIN of a fork is a limit on tasks: the mappings are not listed for it, and none made or given
// back in between matters to it.
ProofPlan plan_proof(const EventBase& base, uint64_t granted);

// For a refusal whose proof is kChanged: the sizes as they are now, read once for all refusals
// between two granted calls.
void add_changed_sizes(Facts& facts);

// Its own proof is about to be written, about the record at `position`; and what it took. A proof
// that could not be written holds for nobody.
// begin_proof() gives where the storm's proof before it lies, if that is in the vitals ring and
// recent: it is not to be overwritten; 0: there is none.
uint64_t begin_proof(const EventBase& base, uint64_t position);
void end_proof(uint64_t position, Proof proof, uint64_t ticks, bool written);

// The sums of the newest list that was read for a proof, `granted` being granted_count() before it;
// and whether they are those of the mappings now: nothing was granted since, VmSize is the same.
void keep_totals(const MapTotals& totals, uint64_t granted);
bool totals_hold(uint64_t granted);

// Calls that changed the process so far, by kind of change; and one more. What libc does within a
// spawn that fails, it takes back.
uint64_t granted_count();
void note_granted(const EventBase& base);

}  // namespace ovcshim
