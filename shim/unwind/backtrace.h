// SPDX-License-Identifier: MIT
//
// Return addresses of the calling thread, by .eh_frame.
// Contract: any thread, signal handlers, small and foreign stacks, after fork in a threaded
// process. No allocation, no locks, never faults, never reads outside memory it has proven
// readable, at most 2 kB of stack, bounded time.
#pragma once
#include <cstdint>

#include "shim/unwind/modules.h"

namespace ovcshim {

// Registers of a frame to start from; callee-saved ones matter.
struct FrameState {
  uint64_t pc, sp,
      fp;  // fp: rbp / x29. pc: where execution stands with these registers, not a return address
  uint64_t rbx;                 // of aarch64 x30, if it still holds the return address; else 0
  uint64_t r12, r13, r14, r15;  // x86-64 only
};

// Writes at most `max` return addresses to `out`, innermost (state.pc itself) first. Returns how
// many. *cut is set when the stack went on or could not be followed. With may_call_kernel false
// (seccomp) only what is cached or provable is used: the pages between this function's frame and
// state.sp, which then must be that of a live frame of the calling thread.
// `note` (walk_memo.h) is room for what makes the next walk of the same stack cheap; it may be
// null.
class WalkNote;
unsigned backtrace(const ModuleTable& table, const FrameState& state, uint64_t* out, unsigned max,
                   bool may_call_kernel, bool* cut, WalkNote* note = nullptr);

// Forget cached unwind rules: the module table has changed.
void backtrace_forget();

// Captures the caller's own frame. Always inlined, so that `sp` is the frame of the function it
// stands in.
[[gnu::always_inline]] inline FrameState here() {
  FrameState s{};
#if defined(__x86_64__)
  asm volatile(
      "lea 0(%%rip), %0\n\tmov %%rsp, %1\n\tmov %%rbp, %2\n\tmov %%rbx, %3\n\t"
      "mov %%r12, %4\n\tmov %%r13, %5\n\tmov %%r14, %6\n\tmov %%r15, %7"
      : "=&r"(s.pc), "=m"(s.sp), "=m"(s.fp), "=m"(s.rbx), "=m"(s.r12), "=m"(s.r13), "=m"(s.r14),
        "=m"(s.r15));
#else
  asm volatile("adr %0, .\n\tmov %1, sp\n\tmov %2, x29" : "=&r"(s.pc), "=&r"(s.sp), "=&r"(s.fp));
#endif
  return s;
}

}  // namespace ovcshim
