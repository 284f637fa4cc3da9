// SPDX-License-Identifier: MIT
//
// Has the program entered seccomp? Plain C names, since the assembly of syscall() writes and reads them.
#pragma once

// Strict seccomp takes the TSC away too (arch/x86/kernel/process.c disable_TSC()): reading it would be SIGSEGV.
inline constexpr unsigned char kQuietFilter = 1, kQuietStrict = 2;

#pragma GCC visibility push(hidden)
extern "C" {
extern unsigned char ovcshim_quiet;  // not 0: no system calls of the shim's own any more
extern void* ovcshim_next_syscall;   // libc's syscall(); null before the constructor
}
#pragma GCC visibility pop
