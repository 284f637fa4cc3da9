// SPDX-License-Identifier: MIT
//
// Does the calling thread have libc's thread-local variables? Not if the program has given it a
// thread pointer of its own: clone(CLONE_SETTLS), arch_prctl(ARCH_SET_FS), wrfsbase. Then the
// shim's own lie wherever the program's block lies: they must be neither read nor written, for the
// bytes are the program's, or not mapped at all. Such a thread runs unrecorded. To be asked before
// anything thread-local is touched, wherever a wrapper is not on malloc's fast path. That path need
// not ask: libc's malloc, which has just come back from the same thread, keeps thread-local
// pointers itself and would not have come back from a block that is not libc's; in one that is all
// zero the shim's variable says "no state", and the way from there asks.
#pragma once
#include <cstdint>

#include "shim/sys/libc_kind.h"

#pragma GCC visibility push(hidden)

namespace ovcshim {

bool has_libc_tls();

// From the constructor, in the first thread. `variable`: one of the shim's thread-local ones.
// `hwcap2`: AT_HWCAP2. False: this thread's block is not one of that libc; nothing may be recorded.
bool note_libc_tls(Libc libc, const void* variable, uint64_t hwcap2);

}  // namespace ovcshim

#pragma GCC visibility pop
