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

// glibc makes threads and starts programs by clone3, of which a filter may know nothing. Without
// arguments it does nothing: kernel/fork.c copy_clone_args_from_user() says EINVAL first of all.
constexpr unsigned kGlibcWithClone3 = 34;

bool by_clone3(const EventBase& call) {
  const bool thread = call.op == Op::kPthreadCreate || call.op == Op::kThrdCreate;
  const bool says_errno = thread || call.op == Op::kPosixSpawn || call.op == Op::kPosixSpawnp;
  const bool denied = call.err == EPERM || call.err == EACCES;
  return (says_errno && denied) || (hides_errno(call.op) && call.err == ENOMEM);
}

void add_clone3_answer(Facts& facts, const EventBase& about) {
  if (about.flags & (kRehearsed | kInjected)) return;
  if (value_of(facts, FactKey::kSeccomp) != 2 || glibc_minor() < kGlibcWithClone3) return;
  facts.add(FactKey::kClone3Answer, errno_of(sys::call(435 /* clone3 */, 0, 0)));
}

}  // namespace

void add_refusal_facts(Facts& facts, const EventBase& about) {
  if (is_fork_op(about.op) && (about.err == EAGAIN || hides_errno(about.op)))
    add_fork_probes(facts, about);
  if (by_clone3(about)) add_clone3_answer(facts, about);
}

}  // namespace ovcshim
