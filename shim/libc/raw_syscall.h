// SPDX-License-Identifier: MIT
//
// System calls by their number: those inside libc (libc_hook.cc) and those a program makes through
// syscall(2). One table says which of them are recorded, as what.
#pragma once
#include "shim/record/state.h"
#include "shim/unwind/backtrace.h"

#pragma GCC visibility push(hidden)

namespace ovcshim {

// The call as it stands in the record: its op and its arguments in the order of Op. kNone: not one
// that is recorded.
struct RawCall {
  Op op = Op::kNone;
  uint64_t args[6] = {};
  const char* text = nullptr;  // a path or a name
};
RawCall raw_call(long nr, const long args[6]);

// Makes the system call, or refuses it (refuse.h), and records it with the flag given. Returns what
// the kernel returned. Not for calls whose child goes on with the caller's stack or with another
// one.
long record_syscall(long nr, const long args[6], const RawCall& call, uint16_t flag,
                    uint64_t caller, const FrameState& at);

}  // namespace ovcshim

#pragma GCC visibility pop
