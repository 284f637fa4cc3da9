// SPDX-License-Identifier: MIT
//
// The kernel's clocks, read without a system call where its vdso has them; it reads the TSC, which
// strict seccomp and prctl(PR_SET_TSC) take away. As sys.h: callable at any time.
#pragma once
#include <cstdint>

#pragma GCC visibility push(hidden)

namespace ovcshim::sys {

// From the constructor. Until then, and where the vdso is not understood, the kernel is asked.
// `proven`: of an address, is its page known to be readable?
void find_vdso(const uint64_t* auxv, bool (*proven)(uint64_t) = nullptr);

// The program takes these bytes away, or the TSC.
void forget_vdso(uint64_t start, uint64_t end);
inline void forget_vdso() { forget_vdso(0, ~uint64_t{0}); }

// 0 if even the kernel does not say.
uint64_t clock_ns(long clock);

}  // namespace ovcshim::sys

#pragma GCC visibility pop
