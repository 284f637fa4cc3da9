// SPDX-License-Identifier: MIT
//
// Records the system calls that libc issues inside itself (see libc_patch.h): malloc's own mmap, brk and mprotect, fork's clone.
// Rules: as event_lane.cc. This stands in for a system call instruction, so it must return exactly what the kernel returned.
#include "shim/libc_hook.h"

#include "shim/event.h"
#include "shim/libc_patch.h"
#include "shim/process.h"
#include "shim/refuse.h"

namespace ovcshim {
namespace {

constexpr uint64_t kCloneVm = 0x100;

Op op_of(long nr) {
  switch (nr) {
    case __NR_mmap: return Op::kMmap;
    case __NR_munmap: return Op::kMunmap;
    case __NR_mremap: return Op::kMremap;
    case __NR_mprotect: return Op::kMprotect;
    case __NR_brk: return Op::kBrk;
    case __NR_madvise: return Op::kMadvise;
    case __NR_clone: return Op::kClone;
    default: return Op::kNone;
  }
}

int arguments_of(Op op) { return op == Op::kMmap ? 6 : op == Op::kMremap ? 5 : op == Op::kBrk ? 1 : op == Op::kMunmap ? 2 : 3; }

// The kernel's clone is (flags, stack, parent_tid, child_tid, tls) on x86-64; the record follows libc's clone, fn = 0.
void set_args(EventBase& base, const long args[6]) {
  for (int i = 0; i < arguments_of(base.op); ++i) base.args[i] = static_cast<uint64_t>(args[i]);
  if (base.op != Op::kClone) return;
  base.args[2] = 0;
  base.args[3] = static_cast<uint64_t>(args[2]);
  base.args[4] = static_cast<uint64_t>(args[4]);
}

// brk reports refusal by returning the old break.
bool refused(Op op, long result, const long args[6]) {
  return op == Op::kBrk ? static_cast<uint64_t>(result) < static_cast<uint64_t>(args[0]) : sys::failed(result);
}

bool is_forwarded(long nr) {
  Hot& hot = *t_hot;
  if (hot.forwarding != static_cast<uint16_t>(nr)) return false;
  hot.forwarding = 0;
  return true;
}

long issue(long nr, const long a[6]) { return sys::call(nr, a[0], a[1], a[2], a[3], a[4], a[5]); }

// brk says no by the break it returns.
long issue_or_refuse(Op op, long nr, const long a[6]) {
  long args[6] = {a[0], a[1], a[2], a[3], a[4], a[5]};
  const int err = refused_in_libc(op, args);
  if (!err) return issue(nr, args);
  return op == Op::kBrk ? sys::call(__NR_brk, 0) : -err;
}

}  // namespace
}  // namespace ovcshim

extern "C" long ovcshim_libc_syscall(long nr, const long args[6], const LibcSyscallFrame* frame) {
  using namespace ovcshim;
  const Op op = op_of(nr);
  if (!g.recording || op == Op::kNone || is_forwarded(nr)) return issue(nr, args);
  Event event;
  event.base = {};
  event.base.op = op;
  event.flags = kInsideLibc;
  set_args(event.base, args);
  const FrameState at{frame->site_return, frame->sp, frame->rbp, frame->rbx, frame->r12, frame->r13, frame->r14, frame->r15};
  const bool is_fork = op == Op::kClone;
  if (!begin(event, op, is_fork ? When::kIntent : When::kAfter, Freshness::kCheap, frame->site_return, at))
    return issue(nr, args);
  const uint64_t fork_position = event.position;
  const long result = g.refuses ? issue_or_refuse(op, nr, args) : issue(nr, args);
  if (is_fork && result == 0 && !(args[0] & static_cast<long>(kCloneVm))) {
    register_process(fork_position, false);
    return result;
  }
  const bool failed = refused(op, result, args);
  end(event, result, failed, op == Op::kBrk ? 12 /* ENOMEM: what libc's brk says */ : static_cast<int>(-result));
  return result;
}
