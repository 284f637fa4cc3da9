// SPDX-License-Identifier: MIT
//
// Reads any memory of this process without ever faulting. Two ways.
//   Directly, inside the objects the program was started with (keep_object). The loader never
//   unloads those, so what another thread does with dlclose cannot reach them; what lies in a
//   hole between two segments is not theirs. The program's own munmap and its like are told
//   here before they are made (range_goes). Each page is proven readable once (sys::readable),
//   for all that is read in it, by forked children too: they have the same pages and a copy of
//   what is noted here. A proof lapses after a second or two: a library overwritten on disk
//   takes its pages away without a call of this process.
//   By copy through the kernel, for all else: objects that dlclose may take away at any moment,
//   stacks of unknown origin, wild pointers. process_vm_readv; where a seccomp filter refuses
//   it (Podman's and CRI-O's for a container without CAP_SYS_PTRACE), a read of /proc/self/mem,
//   which needs no leave for one's own memory (kernel/fork.c mm_access()).
// Not so: sys::readable() and then a direct read of memory that another thread may unmap between.
// Rules in this file: those of backtrace.h.
#pragma once
#include <cstddef>
#include <cstdint>

#pragma GCC visibility push(hidden)

namespace ovcshim {

// False, and nothing is promised of `to`, where it cannot be read or not be proven to be readable.
bool copy_memory(void* to, uint64_t from, size_t len);

// The same for what no proof is kept of.
bool copy_by_kernel(void* to, uint64_t from, size_t len);

// [start, end) is part of an object that stays until the end, without holes. In ascending order,
// from the constructor. `head`: the object begins there, and that page can be read.
void keep_object(uint64_t start, uint64_t end, bool head);

// Is it the first page of one of them, and can be read?
bool is_kept_head(uint64_t address);
// They have just been found readable; after the clock's rate has become known.
void heads_are_proven();

// The caller is about to unmap, replace or protect these bytes: nothing of an object they touch is
// read directly any more, and nobody does when this returns (or has been interrupted doing so).
void range_goes(uint64_t start, uint64_t bytes);

// Where this process's pid stands; 0 there: not known. It must be memory that a fork empties.
void own_pid_is_at(const uint32_t* pid);

// Seconds, more or less: proofs of this one and of the one before hold.
void proof_era_is(uint64_t era);

}  // namespace ovcshim

#pragma GCC visibility pop
