// SPDX-License-Identifier: MIT
//
// See raw_syscall.h. Rules: as event_lane.cc; errno is not touched. The second half is what the
// assembly of syscall() calls.
#include "shim/libc/raw_syscall.h"

#include <errno.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "shim/proc/proc_file.h"
#include "shim/record/exec_args.h"
#include "shim/record/forking.h"
#include "shim/record/limit_args.h"
#include "shim/record/lock_all.h"
#include "shim/refuse/refuse.h"
#include "shim/sys/vdso.h"

namespace ovcshim {
namespace {

// Which argument of the system call stands at each place of the record; 0 ends the list, n is
// argument n - 1.
struct RawRow {
  long nr;
  Op op;
  uint8_t from[6];
  uint8_t text = 0;  // which argument is a path or a name
};
constexpr RawRow kRows[] = {
    {__NR_mmap, Op::kMmap, {1, 2, 3, 4, 5, 6}},
    {__NR_munmap, Op::kMunmap, {1, 2}},
    {__NR_mremap, Op::kMremap, {1, 2, 3, 4, 5}},
    {__NR_mprotect, Op::kMprotect, {1, 2, 3}},
    {__NR_pkey_mprotect, Op::kMprotect, {1, 2, 3, 4}},
    {__NR_brk, Op::kBrk, {1}},
    {__NR_madvise, Op::kMadvise, {1, 2, 3}},
    {__NR_remap_file_pages, Op::kRemapFilePages, {1, 2, 3, 4, 5}},
    {__NR_shmget, Op::kShmget, {1, 2, 3}},
    {__NR_shmat, Op::kShmat, {1, 2, 3}},
    {__NR_shmdt, Op::kShmdt, {1}},
    {__NR_prlimit64, Op::kPrlimit, {1, 2}},
    {__NR_mlock, Op::kMlock, {1, 2}},
    {__NR_mlock2, Op::kMlock2, {1, 2, 3}},
    {__NR_mlockall, Op::kMlockall, {1}},
    {__NR_munlock, Op::kMunlock, {1, 2}},
    {__NR_munlockall, Op::kMunlockall, {}},
    {__NR_memfd_create, Op::kMemfdCreate, {2}, 1},
    {__NR_ftruncate, Op::kFtruncate, {1, 2}},
    {__NR_fallocate, Op::kFallocate, {1, 2, 3, 4}},
    {__NR_unshare, Op::kUnshare, {1}},
    {__NR_setns, Op::kSetns, {1, 2}},
#if defined(__x86_64__)
    {__NR_fork, Op::kFork, {}},
    {__NR_clone, Op::kClone, {1, 2, 0, 3, 5}},  // libc's order: flags, stack, fn, parent_tid, tls
#else
    {__NR_clone, Op::kClone, {1, 2, 0, 3, 4}},
#endif
    {__NR_wait4, Op::kWait4, {1, 3}},
    {__NR_waitid, Op::kWaitid, {1, 2, 4}},
    {__NR_execve, Op::kExecve, {}, 1},
    {__NR_execveat, Op::kExecveat, {}, 2},
    {__NR_exit_group, Op::kUnderscoreExit, {1}},
};

const RawRow* row_of(long nr) {
  for (const RawRow& row : kRows)
    if (row.nr == nr) return &row;
  return nullptr;
}

const clone_args* readable_clone_args(long address, long size) {
  constexpr uint64_t kSmallest = 64;  // CLONE_ARGS_SIZE_VER0
  const auto start = static_cast<uint64_t>(address);
  if (is_quiet() || start % 8 || static_cast<uint64_t>(size) < kSmallest) return nullptr;
  if (!sys::readable(reinterpret_cast<const void*>(start)) ||
      !sys::readable(reinterpret_cast<const void*>(start + kSmallest - 8)))
    return nullptr;
  return reinterpret_cast<const clone_args*>(start);
}

// brk reports refusal by returning the old break.
bool is_refused(Op op, long result, const long args[6]) {
  return op == Op::kBrk ? static_cast<uint64_t>(result) < static_cast<uint64_t>(args[0])
                        : sys::failed(result);
}

long issue(long nr, const long a[6]) { return sys::call(nr, a[0], a[1], a[2], a[3], a[4], a[5]); }

// brk says no by the break it returns.
long issue_or_refuse(Op op, long nr, const long a[6]) {
  long args[6] = {a[0], a[1], a[2], a[3], a[4], a[5]};
  const int err = refused_syscall(op, args);
  if (!err) return issue(nr, args);
  return op == Op::kBrk ? sys::call(__NR_brk, 0) : -err;
}

long forwarded(Op op, long nr, const long args[6]) {
  if (op == Op::kMlockall) {
    const LogAside aside(static_cast<uint64_t>(args[0]));
    return g.refuses ? issue_or_refuse(op, nr, args) : issue(nr, args);
  }
  return g.refuses ? issue_or_refuse(op, nr, args) : issue(nr, args);
}

bool copies_memory(const RawCall& call) {
  return call.op == Op::kFork || (call.op == Op::kClone && !(call.args[0] & CLONE_VM));
}

bool is_wait(Op op) { return op == Op::kWait4 || op == Op::kWaitid; }

bool needs_intent(const RawCall& call) {
  if (is_wait(call.op)) return !(call.args[call.op == Op::kWait4 ? 1 : 2] & WNOHANG);
  return is_fork_op(call.op) || (call.op >= Op::kExecve && call.op <= Op::kAbort);
}

// What a wait that found a child said about it, where the program asked for it.
void add_wait_status(EventBase& base, long result, const long args[6]) {
  if (base.op == Op::kWait4) {
    const auto* status = reinterpret_cast<const int*>(args[1]);
    base.args[2] = result > 0 && status ? static_cast<uint32_t>(*status) : kUnknown;
    base.args[3] = kUnknown;
  } else if (const auto* info = reinterpret_cast<const siginfo_t*>(args[2]); info && result == 0) {
    base.args[3] = static_cast<uint64_t>(info->si_code);
    base.args[4] = static_cast<uint64_t>(info->si_status);
    base.args[5] = static_cast<uint64_t>(info->si_pid);
  }
}

// What was too long: argv and the environment follow the path.
void add_exec_size(EventBase& base, long nr, const long args[6]) {
  const RawRow* row = row_of(nr);
  if (!row || (row->op != Op::kExecve && row->op != Op::kExecveat)) return;
  const ExecSize size = exec_size(reinterpret_cast<char* const*>(args[row->text]),
                                  reinterpret_cast<char* const*>(args[row->text + 1]));
  base.args[3] = size.bytes, base.args[4] = size.longest;
}

}  // namespace

RawCall raw_call(long nr, const long args[6]) {
  RawCall call;
  if (nr == __NR_clone3) {
    const clone_args* given = readable_clone_args(args[0], args[1]);
    if (given)
      call = {Op::kClone,
              {given->flags | given->exit_signal, given->stack, 0, given->parent_tid, given->tls},
              nullptr};
    return call;
  }
  const RawRow* row = row_of(nr);
  if (!row) return call;
  call.op = row->op;
  for (int i = 0; i < 6; ++i)
    if (row->from[i]) call.args[i] = static_cast<uint64_t>(args[row->from[i] - 1]);
  if (nr == __NR_prlimit64)
    limit_args(call.args + 2, reinterpret_cast<const struct rlimit*>(args[2]));
  if (nr == __NR_pkey_mprotect) call.args[3] = static_cast<uint32_t>(args[3] + 1);
  if (row->text) call.text = reinterpret_cast<const char*>(args[row->text - 1]);
  if (call.op == Op::kExecve || call.op == Op::kExecveat) {
    const long* lists = args + row->text;
    const ExecArgs given = exec_args(reinterpret_cast<char* const*>(lists[0]),
                                     reinterpret_cast<char* const*>(lists[1]));
    call.args[0] = given.arguments, call.args[1] = given.passes_shim_on,
    call.args[2] = given.environment;
  }
  return call;
}

long record_syscall(long nr, const long args[6], const RawCall& call, uint16_t flag,
                    uint64_t caller, const FrameState& at) {
  Event event;
  for (int i = 0; i < 6; ++i) event.base.args[i] = call.args[i];
  event.flags = flag;
  const bool intent = needs_intent(call), copies = copies_memory(call),
             whole_fork = copies && !(flag & kInsideLibc);
  const When when = intent ? When::kIntent : When::kAfter;
  if (!begin(event, call.op, when, whole_fork ? Freshness::kFresh : Freshness::kCheap, caller, at,
             intent ? call.text : nullptr))
    return issue(nr, args);
  const uint64_t fork_position = event.position;
  if (call.op == Op::kUnderscoreExit)
    note_exit_status(static_cast<int>(call.args[0]), event.base.pid);
  const long result = forwarded(call.op, nr, args);
  if (copies && result == 0) {
    child_side(fork_position);
    return result;
  }
  const bool failed = is_refused(call.op, result, args);
  const int err =
      call.op == Op::kBrk ? ENOMEM /* what libc's brk says */ : static_cast<int>(-result);
  if (failed && err == E2BIG) add_exec_size(event.base, nr, args);
  if (call.op == Op::kPrlimit)
    limit_args(event.base.args + 4,
               failed ? nullptr : reinterpret_cast<const struct rlimit*>(args[3]));
  if (is_wait(call.op)) add_wait_status(event.base, result, args);
  if (whole_fork) fork_done(event, result, err);
  else end(event, result, failed, err, intent ? nullptr : call.text);
  return result;
}

}  // namespace ovcshim

using namespace ovcshim;

namespace {

// By number, for the assembly.
struct Watched {
  uint64_t words[8] = {};
  constexpr Watched() {
    for (const RawRow& row : kRows) set(row.nr);
    set(__NR_clone3);
    set(__NR_prctl);
    set(__NR_seccomp);
#if defined(__x86_64__)
    set(__NR_vfork);
#endif
  }
  constexpr void set(long nr) { words[nr / 64] |= uint64_t{1} << nr % 64; }
};

// What syscall() has to do next; the numbers stand in syscall_*.S too.
enum Step : long {
  kDone = 0,     // made and recorded; the result is ready, errno set
  kForward = 1,  // libc's syscall(), untouched
  kVfork = 2,    // vfork()
  kClone = 3,    // a child on our stack, or on one of its own: made in assembly, recorded when the
                 // parent has returned
  kClone3 = 4,
};
struct SyscallPlan {
  long step, result;
};

SyscallPlan done(long result) {
  if (!sys::failed(result)) return {kDone, result};
  errno = static_cast<int>(-result);
  return {kDone, -1};
}

enum class SeccompWish { kNone, kFilter, kStrict };

// seccomp()'s other operations only ask; of prctl's modes, strict is 1.
SeccompWish seccomp_wish(const long* args) {
  const bool by_prctl = args[0] == __NR_prctl && args[1] == PR_SET_SECCOMP;
  if (by_prctl) return args[2] == SECCOMP_MODE_STRICT ? SeccompWish::kStrict : SeccompWish::kFilter;
  if (args[0] != __NR_seccomp) return SeccompWish::kNone;
  if (args[1] == SECCOMP_SET_MODE_STRICT) return SeccompWish::kStrict;
  return args[1] == SECCOMP_SET_MODE_FILTER ? SeccompWish::kFilter : SeccompWish::kNone;
}

// A result above 0 is the descriptor of a listener, or, where all threads were to follow, the id of
// one that could not: then none has entered.
long enter_seccomp(const long* args, SeccompWish wish) {
  const bool strict = wish == SeccompWish::kStrict;
  seccomp_asked(strict);
  const long result = sys::call(args[0], args[1], args[2], args[3], args[4], args[5], args[6]);
  const auto flags = static_cast<uint64_t>(args[2]);
  const bool tried_all_threads = args[0] == __NR_seccomp && (flags & SECCOMP_FILTER_FLAG_TSYNC) &&
                                 !(flags & SECCOMP_FILTER_FLAG_NEW_LISTENER);
  seccomp_answered(strict, tried_all_threads ? result == 0 : !sys::failed(result));
  return result;
}

// Does the child go on with this stack or with one that it was given? No C function may stand on it
// then.
bool moves_stack(const RawCall& call) {
  return call.op == Op::kClone && ((call.args[0] & CLONE_VM) || call.args[1]);
}

// The record of a clone that was made in assembly, or refused.
long record_clone(const RawCall& call, long result, uint64_t caller, const FrameState& at) {
  Event event;
  for (int i = 0; i < 6; ++i) event.base.args[i] = call.args[i];
  event.flags = kRawSyscall;
  if (begin(event, Op::kClone, When::kAfter, Freshness::kCheap, caller, at))
    end(event, result, sys::failed(result), static_cast<int>(-result));
  return result;
}

}  // namespace

extern "C" {
[[gnu::visibility("hidden")]] extern const Watched ovcshim_watched_syscalls;
constinit const Watched ovcshim_watched_syscalls;

// Sets errno for the system call that the assembly makes itself.
[[gnu::visibility("hidden")]] long ovcshim_failed_syscall(long result) {
  errno = static_cast<int>(-result);
  return -1;
}

// args: the number and six arguments, as the caller gave them. For kClone3 the third argument is
// set to the child's stack, which the kernel ignores and the assembly wants to know.
[[gnu::visibility("hidden")]] SyscallPlan ovcshim_plan_syscall(long* args, uint64_t caller) {
  const long nr = args[0];
  if (const SeccompWish wish = seccomp_wish(args);
      wish == SeccompWish::kStrict ||
      (wish == SeccompWish::kFilter && !is_harmless_filter(reinterpret_cast<const void*>(args[3]))))
    return done(enter_seccomp(args, wish));
  if (!g.recording) return {kForward, 0};
  if (nr == __NR_prctl && args[1] == PR_SET_TSC && args[2] == PR_TSC_SIGSEGV)
    g.use_tsc = false, sys::forget_vdso();  // as prctl() itself
#if defined(__x86_64__)
  if (nr == __NR_vfork) return {kVfork, 0};
#endif
  const RawCall call = raw_call(nr, args + 1);
  if (call.op == Op::kNone) return {kForward, 0};
  if (call.op == Op::kClone && may_run_beside_us(call.args[0])) note_shared_descriptors();
  if (!moves_stack(call))
    return done(record_syscall(nr, args + 1, call, kRawSyscall, caller, here()));
  if (const int err = g.refuses ? refused(Op::kClone, call.args, 0) : 0)
    return done(record_clone(call, -err, caller, here()));
  if (nr != __NR_clone3) return {kClone, 0};
  args[3] = static_cast<long>(call.args[1]);
  return {kClone3, 0};
}

// In the parent. args as above; returns what syscall() returns.
[[gnu::visibility("hidden")]] long ovcshim_cloned(const long* args, long result, uint64_t caller) {
  return done(record_clone(raw_call(args[0], args + 1), result, caller, here())).result;
}
}
