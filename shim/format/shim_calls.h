// SPDX-License-Identifier: MIT
//
// The system calls that the shim makes for itself (tests/trust/faults/calls.table) whatever the
// program does, and those by which `ovc attach` and the loader bring it in. Not clone, clone3 and
// exit, which it makes only where the program has just made them.
#pragma once
#include <sys/syscall.h>

#include <cstdint>

// clang-format off
#if defined(__x86_64__)
#define OVC_SHIM_CALLS_HERE(X) X(arch_prctl)
#else
#define OVC_SHIM_CALLS_HERE(X)
#endif
#define OVC_SHIM_CALLS(X) OVC_SHIM_CALLS_HERE(X) \
  X(brk) X(capget) X(clock_gettime) X(close) X(faccessat) X(fallocate) X(fcntl) X(fstat) \
  X(fstatfs) X(ftruncate) X(getcwd) X(getdents64) X(getegid) X(geteuid) X(getpgid) X(getpid) \
  X(getppid) X(getresuid) X(getrusage) X(getsockopt) X(gettid) X(ioctl) X(kill) X(madvise) \
  X(memfd_create) X(mmap) X(mprotect) X(mremap) X(munlock) X(munmap) X(nanosleep) X(newfstatat) \
  X(openat) X(ppoll) X(prctl) X(pread64) X(prlimit64) X(process_vm_readv) X(pwrite64) X(read) \
  X(readlinkat) X(renameat2) X(rt_sigpending) X(rt_sigprocmask) X(rt_sigreturn) \
  X(rt_sigtimedwait) X(sched_getaffinity) X(sched_getscheduler) X(sendto) X(shmctl) X(shmget) \
  X(statfs) X(statx) X(symlinkat) X(sysinfo) X(tkill) X(uname) X(unlinkat) X(vmsplice) X(write)
// clang-format on

namespace ovcshim {

struct ShimCall {
  uint32_t nr;
  const char* name;
};
#define OVC_SHIM_CALL(name) {SYS_##name, #name},
inline constexpr ShimCall kShimCalls[] = {OVC_SHIM_CALLS(OVC_SHIM_CALL)};
#undef OVC_SHIM_CALL

}  // namespace ovcshim
