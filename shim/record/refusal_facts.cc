// SPDX-License-Identifier: MIT
//
// See refusal_facts.h.
#include "shim/record/refusal_facts.h"

#include <errno.h>
#include <linux/sched.h>

#include "shim/sys/libc_kind.h"
#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

// ---- tasks ----
// kernel/fork.c copy_process() checks RLIMIT_NPROC and threads-max, then, much later, takes a
// process number, and last asks the control group; all say EAGAIN. A clone with an argument that is
// rejected in between tells which it was, and can make nothing.

constexpr long kCommon = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_VFORK;

// Errno. Were a child made after all, by a kernel that is none: it ends here, its parent waits
// (CLONE_VFORK).
uint64_t errno_of(long answer) {
  if (answer == 0) sys::call(__NR_exit, 0);
  return answer < 0 ? static_cast<uint64_t>(-answer) : kUnknown;
}

// The pidfd is stored after the process number was given out and before the control group is asked.
uint64_t probe_late() {
  struct {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
  } args{kCommon | 0x1000 /* CLONE_PIDFD */, UINT64_MAX, 0, 0, 0, 0, 0, 0};
  return errno_of(sys::call(435 /* clone3 */, reinterpret_cast<long>(&args), sizeof args));
}

#if defined(__x86_64__)
// copy_thread(): no thread area lies outside the address space. Before the process number.
uint64_t probe_early() {
  return errno_of(sys::call(__NR_clone, kCommon | CLONE_SETTLS, 0, 0, 0, -1));
}
#else
uint64_t probe_early() { return kUnknown; }
#endif

uint64_t value_of(const Facts& facts, FactKey key) {
  for (uint32_t i = 0; i < facts.count; ++i)
    if (facts.list[i].key == static_cast<uint32_t>(key)) return facts.list[i].value;
  return kUnknown;
}

// Under a filter nothing is called that the program has not just called itself.
void add_fork_probes(Facts& facts, const EventBase& about) {
  const uint64_t filter = value_of(facts, FactKey::kSeccomp);
  if (about.flags & (kRehearsed | kInjected)) return;
  if (filter == 0) facts.add(FactKey::kForkProbe, probe_late());
  if (filter == 0 || filter == 2) facts.add(FactKey::kForkProbeEarly, probe_early());
}

// A filter may answer in the kernel's place, with any errno. Asked here is the system call that
// libc has just made, with arguments that the kernel rejects before it looks at anything else.

// glibc makes threads and starts programs by clone3, of which a filter may know nothing.
// kernel/fork.c copy_clone_args_from_user(): without arguments EINVAL first of all.
constexpr unsigned kGlibcWithClone3 = 34;

bool asks_clone3(Op op) {
  const bool forks =
      op == Op::kFork || op == Op::kUnderscoreFork || op == Op::kVfork || op == Op::kClone;
  return !forks && glibc_minor() >= kGlibcWithClone3;
}

// By its number: which of the three it was is not told. vfork has no argument to reject, musl's
// fork on x86-64 neither.
bool asks_clone(const EventBase& call) {
  const bool plain = call.op != Op::kVfork && !(call.flags & kRawSyscall);
  const bool forks = call.op == Op::kFork || call.op == Op::kUnderscoreFork;
  return plain && (!forks || glibc_minor() != 0);
}

// kernel/fork.c copy_process(): signal handlers are shared with the memory only.
uint64_t clone_answer() {
  constexpr long kForks = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | 17 /* SIGCHLD */;
  return errno_of(sys::call(__NR_clone, kForks | CLONE_SIGHAND, 0, 0, 0, 0));
}

void add_filter_answers(Facts& facts, const EventBase& about) {
  if (about.flags & (kRehearsed | kInjected) || value_of(facts, FactKey::kSeccomp) != 2) return;
  uint64_t answer = ENOSYS;  // libc takes clone then
  if (asks_clone3(about.op))
    facts.add(FactKey::kClone3Answer, answer = errno_of(sys::call(435 /* clone3 */, 0, 0)));
  if (answer == ENOSYS && asks_clone(about)) facts.add(FactKey::kCloneAnswer, clone_answer());
}

}  // namespace

void add_refusal_facts(Facts& facts, const EventBase& about) {
  if (is_fork_op(about.op) && (about.err == EAGAIN || hides_errno(about.op)))
    add_fork_probes(facts, about);
  if (is_fork_op(about.op)) add_filter_answers(facts, about);
}

}  // namespace ovcshim
