// SPDX-License-Identifier: MIT
//
// Records the system calls that libc issues inside itself (see libc_patch.h): malloc's own mmap,
// brk and mprotect, fork's clone. Rules: as event_lane.cc. This stands in for a system call
// instruction, so it must return exactly what the kernel returned.
#include "shim/record/forwarding.h"

#include "shim/libc/libc_patch.h"
#include "shim/libc/raw_syscall.h"
#include "shim/sys/thread_pointer.h"

namespace ovcshim {
namespace {

bool is_forwarded(long nr) {
  Hot& hot = *t_hot;
  if (hot.forwarding != static_cast<uint16_t>(nr)) return false;
  hot.forwarding = 0;
  return true;
}

}  // namespace
}  // namespace ovcshim

extern "C" long ovcshim_libc_syscall(long nr, const long args[6], const LibcSyscallFrame* frame) {
  using namespace ovcshim;
  const RawCall call =
      g.recording && has_libc_tls() && !is_forwarded(nr) ? raw_call(nr, args) : RawCall{};
  if (call.op == Op::kNone)
    return sys::call(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
  const FrameState at{frame->site_return, frame->sp,  frame->rbp, frame->rbx,
                      frame->r12,         frame->r13, frame->r14, frame->r15};
  return record_syscall(nr, args, call, kInsideLibc, frame->site_return, at);
}
