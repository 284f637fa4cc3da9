// SPDX-License-Identifier: MIT
//
// Has the program entered seccomp? Plain C names, since the assembly of syscall() writes and reads them.
#pragma once

#pragma GCC visibility push(hidden)
extern "C" {
extern bool ovcshim_quiet;            // no system calls of the shim's own any more
extern void* ovcshim_next_syscall;    // libc's syscall(); null before the constructor
}
#pragma GCC visibility pop
