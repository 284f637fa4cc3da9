// SPDX-License-Identifier: MIT
//
// prctl(): a program that puts itself under seccomp decides which system calls may be made, and may
// be killed over any other: the shim's own end here, unless all of them may be made. What needs
// none goes on: the call lane, counters, events without fresh readings. The same calls by number:
// raw_syscall.cc.
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "shim/interpose/interpose.h"
#include "shim/sys/seccomp.h"
#include "shim/sys/vdso.h"

using namespace ovcshim;

// The arguments are what the kernel takes; libc reads as many.
OVC_EXPORT int prctl(int option, ...) noexcept {
  __builtin_va_list list;
  __builtin_va_start(list, option);
  unsigned long a[4];
  for (unsigned long& arg : a) arg = __builtin_va_arg(list, unsigned long);
  __builtin_va_end(list);
  const bool strict = a[0] == SECCOMP_MODE_STRICT;
  const bool enters = option == PR_SET_SECCOMP &&
                      (strict || !is_harmless_filter(reinterpret_cast<const void*>(a[1])));
  if (enters) seccomp_asked(strict);
  if (option == PR_SET_TSC && a[0] == PR_TSC_SIGSEGV) g.use_tsc = false, sys::forget_vdso();
  const int result = found(next.prctl, "prctl")(option, a[0], a[1], a[2], a[3]);
  if (enters) seccomp_answered(strict, result == 0);
  return result;
}
