// SPDX-License-Identifier: MIT
//
// Records the system calls that libc issues inside itself (see libc_patch.h): malloc's own mmap,
// brk and mprotect, fork's clone. Rules: as event_lane.cc. This stands in for a system call
// instruction, so it must return exactly what the kernel returned.
#include "shim/record/forwarding.h"

#include "shim/libc/libc_patch.h"
#include "shim/libc/raw_syscall.h"
#include "shim/record/call_lane.h"
#include "shim/record/event.h"
#include "shim/record/process.h"
#include "shim/sys/thread_pointer.h"

namespace ovcshim {
namespace {

bool is_forwarded(long nr) {
  Hot& hot = *t_hot;
  if (hot.forwarding != static_cast<uint16_t>(nr)) return false;
  hot.forwarding = 0;
  return true;
}

// _exit and abort as libc itself comes by them: main's return, quick_exit, a module that reached
// libc past the shim, assert(), a check of malloc. What the shim's own functions recorded, or kEnd
// and a status tell already, is no news. Not inlined: its event would lie on the stack of every
// other call, and a coroutine's may have 4 kB.
[[gnu::noinline]] void record_mark(long nr, const long args[6], const FrameState& at) {
  const bool exits = nr == kMarkBase + __NR_exit_group;
  const int status = static_cast<int>(args[0]);
  if (exits && !exit_is_news(status)) return;
  Event event;
  for (uint64_t& arg : event.base.args) arg = 0;
  event.flags = g.attached ? 0 : kInsideLibc;
  if (exits) event.base.args[0] = static_cast<uint64_t>(status), event.base.args[1] = kUnknown;
  const Op op = exits ? Op::kUnderscoreExit : Op::kAbort;
  if (begin(event, op, When::kIntent, Freshness::kLast, at.pc, at)) count_event(op, 0, false);
}

}  // namespace
}  // namespace ovcshim

extern "C" long ovcshim_libc_syscall(long nr, const long args[6], const LibcSyscallFrame* frame) {
  using namespace ovcshim;
  if (nr >= kMarkBase) {
    if (g.recording && has_libc_tls() && !is_forwarded(nr)) record_mark(nr, args, frame->state());
    return nr - kMarkBase;
  }
  RawCall call =
      g.recording && has_libc_tls() && !is_forwarded(nr) ? raw_call(nr, args) : RawCall{};
  if (call.op == Op::kNone)
    return sys::call(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
  const FrameState at = frame->state();
  // Where no wrapper stands before libc, its system calls are the program's calls; that of _Fork is
  // fork.
  if (g.attached && call.op == Op::kClone) call = {Op::kFork, {}, nullptr};
  return record_syscall(nr, args, call, g.attached ? 0 : kInsideLibc, frame->site_return, at);
}
