// SPDX-License-Identifier: MIT
//
// OVCSHIM_REHEARSE: would the kernel refuse this call under another vm.overcommit_memory and limit?
// The one place of the shim that knows rules of the kernel, since here they are the purpose;
// tools/rules has them with sources, and a test holds the two together.
#pragma once
#include "shim/format/refusal_spec.h"

#pragma GCC visibility push(hidden)

namespace ovcshim {

// In force from now on. The limit is the host's where the spec leaves it open.
void set_rehearsal(const RehearseSpec& spec);

// Mode 2 ignores MAP_NORESERVE (mm/mmap.c do_mmap()): the mmap flags to use instead.
uint64_t rehearsed_mmap_flags(uint64_t flags);

// True if the call would be refused; the figures go to t_refusal. False whenever it cannot be told.
bool rehearsal_refuses(Op op, const uint64_t* args);

}  // namespace ovcshim

#pragma GCC visibility pop
