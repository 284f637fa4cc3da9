// SPDX-License-Identifier: MIT
//
// The proof of a failure: limits, counters, cgroup and, where due, every mapping with its charge
// flags, as the kernel shows them right after the call. Also lists of mappings without a failure,
// from which the address space is replayed.
#pragma once
#include "shim/format/log_format.h"
#include "shim/record/proofs.h"

namespace ovcshim {

// Writes it, about the record of `call` at `position`; kFull with the list of mappings. A rehearsed
// one: with what the rehearsal compared. `earlier`: as begin_proof() gives it; a list leaves its
// slots alone. False: another thread's is being written.
bool write_snapshot(uint64_t position, Proof proof, const EventBase& call, uint64_t earlier = 0);

// In its place: the refusal at `proven_by` has one that holds for the record at `position` too.
void write_reference(uint64_t position, uint64_t proven_by);

// The whole list of mappings as kMappings records about the event at `position`, from which a
// reader can follow the address space: when an image starts, when the loader has brought new
// objects (its own calls are not seen), when the lane is about to pass the last list, at the end.
// One of more than `most` mappings is given up. overcommit_mode: as just read, if it was.
void write_mapping_list(uint64_t position, uint64_t most = UINT64_MAX,
                        uint64_t overcommit_mode = kUnknown);

// The same of a new image's, as it was read with its objects. Nobody else is in this process yet.
struct ImageList;
void write_image_list(uint64_t about, const ImageList& list, uint64_t overcommit_mode);

// The same of a list that ovc read while the process ran (attach_order.h). `quiet`: nothing was
// granted to the process since before it was read.
struct ReadList;
void write_read_list(uint64_t about, const ReadList& list, bool quiet);

// An image's first list is always written: the process is small then. (One that
// was attached to is not: it gets one of the kind above.) A later one only if it takes
// less than 1 ms, whatever that leaves unknown: a big server must not be stopped for it. When the
// lane passes the old one also only if it is less than 1 % of the time; for new objects the refresh
// of the module list sees to that, ten times a second at most. The last one may take 20 ms if that
// is less than 1 %, and is left out for a forked child that has none of its own before it: nothing
// can be compared with it, and a server has one for each connection.
enum class ListOccasion { kNewObjects, kPassed, kEnd };
bool may_list_mappings(ListOccasion occasion);
// A list was too dear, and will be asked for again: there may be fewer mappings by then.
void forget_some_mappings();
// The address space is known from here on without a list: a forked child's is its parent's.
void note_listed();

}  // namespace ovcshim
