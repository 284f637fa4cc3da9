// SPDX-License-Identifier: MIT
//
// Refusals that the user asked for: OVCSHIM_INJECT and OVCSHIM_REHEARSE. Without these variables no
// code here runs: install_refusals() puts the refusing functions before the real ones in `next`
// only if one is set.
#pragma once
#include "shim/format/refusal_spec.h"
#include "shim/record/state.h"

#pragma GCC visibility push(hidden)

namespace ovcshim {

// Is this call, about to be made, to be refused? Its errno, else 0. `args` as in the record; size:
// bytes, for size>=.
int refused(Op op, const uint64_t* args, uint64_t size);
// The same for a system call by its number, as which nothing is beneath it; it may also be changed:
// mode 2 knows no MAP_NORESERVE.
int refused_syscall(Op op, long* args);

// Puts the refusing functions before those in `next`. After resolve_all(), before recording begins.
void install_refusals(const InjectSpec& inject, const RehearseSpec& rehearse);

}  // namespace ovcshim

#pragma GCC visibility pop
