// SPDX-License-Identifier: MIT
//
// Has the program entered seccomp, or may it be about to? Then the shim makes no system call of its
// own any more: a filter may kill over it. One that lets all pass that the shim calls, or answers
// it with an errno, changes nothing. A call that fails (programs ask in this way what the kernel
// can do) leaves things as they were.
#pragma once
#include <cstdint>

#pragma GCC visibility push(hidden)

namespace ovcshim {

// What has been entered, and how many threads are inside a call that would enter it.
struct Seccomp {
  static constexpr uint32_t kFilter = 1, kStrict = 2, kFilterAsked = 1u << 8,
                            kStrictAsked = 1u << 16, kAnyStrictAsked = 0xffu << 16;
  uint32_t state = 0;
};
extern Seccomp g_seccomp;

inline bool is_quiet() { return g_seccomp.state != 0; }

// Strict seccomp takes the TSC away too (arch/x86/kernel/process.c disable_TSC()): reading it would
// be SIGSEGV.
inline bool is_without_tsc() {
  return g_seccomp.state & (Seccomp::kStrict | Seccomp::kAnyStrictAsked);
}

// Is the filter (a sock_fprog of the program's) harmless for every system call that the shim makes?
// To be asked before it is set. False where it cannot be read or followed. It takes memory for the
// moment, 20 bytes for each instruction.
bool is_harmless_filter(const void* program);

// The two sides of a call that enters seccomp otherwise. Quiet before it: after it would be too
// late.
inline void seccomp_asked(bool strict) {
  __atomic_fetch_add(&g_seccomp.state, strict ? Seccomp::kStrictAsked : Seccomp::kFilterAsked,
                     __ATOMIC_RELAXED);
}
inline void seccomp_answered(bool strict, bool entered) {
  if (entered)
    __atomic_fetch_or(&g_seccomp.state, strict ? Seccomp::kStrict : Seccomp::kFilter,
                      __ATOMIC_RELAXED);
  __atomic_fetch_sub(&g_seccomp.state, strict ? Seccomp::kStrictAsked : Seccomp::kFilterAsked,
                     __ATOMIC_RELAXED);
}

// A filter set without a call that the shim sees (by an instruction in the program itself). Asked
// where files are about to be opened and when a thread appears: a filter is more likely to let
// this one question pass than those. Of a program that was started with a filter nothing can be
// learnt so.
void note_inherited_seccomp();  // from the constructor
void learn_of_seccomp();

}  // namespace ovcshim

#pragma GCC visibility pop
