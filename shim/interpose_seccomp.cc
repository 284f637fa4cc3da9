// SPDX-License-Identifier: MIT
//
// A program that puts itself under seccomp decides which system calls may be made, and may be killed over any other: the shim's own end here.
// What needs none goes on: the call lane, counters, events without fresh readings. See also syscall_*.S.
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "shim/interpose.h"
#include "shim/seccomp.h"

using namespace ovcshim;

extern "C" [[gnu::visibility("hidden")]] long ovcshim_failed_syscall(long result) {
  errno = static_cast<int>(-result);
  return -1;
}

// The arguments are what the kernel takes; libc reads as many. Quiet before the call: after it would be too late.
OVC_EXPORT int prctl(int option, ...) noexcept {
  __builtin_va_list list;
  __builtin_va_start(list, option);
  unsigned long a[4];
  for (unsigned long& arg : a) arg = __builtin_va_arg(list, unsigned long);
  __builtin_va_end(list);
  if (option == PR_SET_SECCOMP) ovcshim_quiet = a[0] == 1 ? kQuietStrict : kQuietFilter;
  if (option == PR_SET_TSC && a[0] == PR_TSC_SIGSEGV) g.use_tsc = false;
  return found(next.prctl, "prctl")(option, a[0], a[1], a[2], a[3]);
}
