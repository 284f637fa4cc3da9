// SPDX-License-Identifier: MIT
//
// Makes system calls that glibc issues inside itself visible (malloc's mmap/brk/mprotect, fork's
// clone): the `mov` of `mov $nr,%eax; syscall` (aarch64: `mov x8, #nr; svc #0`) in a known libc
// function become a jump to a stub, which hands the call to libc_syscall_hook and returns behind
// the site. No address of libc changes its meaning; errno and __curbrk are still set by libc's
// code.
#pragma once
#include <cstdint>

#include "shim/format/log_format.h"
#include "shim/libc/code_writer.h"
#include "shim/unwind/backtrace.h"

namespace ovcshim {

// A site is one instruction before and after, so a thread that stands still may stand anywhere.
enum class OtherThreads : uint8_t { kNone, kStopped };

// Replaces the sites: from the constructor, if the process has one thread, or while all other
// threads stand still. Leaves libc exactly as it was unless it returns kOn or kPartly; `writing`
// says how the code was written, or why not. `proven`: as of find_libc.
InternalsState patch_libc(uint64_t threads, CodeWriting& writing,
                          OtherThreads others = OtherThreads::kNone,
                          bool (*proven)(uint64_t) = nullptr);

// Gives every byte back, while all other threads stand still. A thread that is in a stub goes on
// behind its site, in code that was never changed. False: some byte is not what it was.
bool give_libc_back();
// The page beside libc that its sites jump to, 0: there is none. To be unmapped when no thread
// stands in it any more.
uint64_t near_page();

}  // namespace ovcshim

// Provided by the recorder, called by the stubs. Returns what the system call returned (a value or
// -errno). site_return: address behind the site, for the record's caller. frame: the registers at
// the site from which a walk of the stack begins.
struct LibcSyscallFrame {
#if defined(__x86_64__)
  uint64_t rbx, rbp, r12, r13, r14, r15, sp, site_return;
  ovcshim::FrameState state() const { return {site_return, sp, rbp, rbx, r12, r13, r14, r15}; }
#else
  uint64_t x29, x30, sp, site_return;
  ovcshim::FrameState state() const { return {site_return, sp, x29, x30, 0, 0, 0, 0}; }
#endif
};
// A number from kMarkBase on is a mark: libc makes that system call itself, right after this, and
// wants its number back.
inline constexpr long kMarkBase = 0x1000;
extern "C" long ovcshim_libc_syscall(long nr, const long args[6], const LibcSyscallFrame* frame);
