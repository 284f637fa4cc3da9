// SPDX-License-Identifier: MIT
//
// fork and its kin, threads, waits and ends. All are recorded before they are forwarded, except
// waits that cannot block. Written by hand: fork and clone return twice, waits get a place for a
// status the caller did not ask for.
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "shim/interpose/interpose.h"
#include "shim/libc/libc_patch.h"
#include "shim/proc/proc_file.h"
#include "shim/record/call_lane.h"
#include "shim/record/forking.h"
#include "shim/record/forwarding.h"
#include "shim/record/proofs.h"
#include "shim/refuse/refuse.h"

using namespace ovcshim;

namespace {

// What a process faulted in or copied: its minor page faults. One cheap system call (kernel/sys.c
// getrusage()).
uint64_t minor_faults() {
  struct rusage usage {};
  if (!g.recording || is_quiet() ||
      sys::failed(sys::call(__NR_getrusage, RUSAGE_SELF, reinterpret_cast<long>(&usage))))
    return kUnknown;
  return static_cast<uint64_t>(usage.ru_minflt);
}

template <typename Function>
[[gnu::always_inline]] inline pid_t traced_fork(Op op, uint64_t caller, Function* function) {
  Event event;
  set_args(event, 0, 0, 0, 0, minor_faults());
  const bool on = begin(event, op, When::kIntent, Freshness::kFresh, caller, here());
  if (on) beneath_fork(Beneath::kFork);
  const pid_t pid = function();  // in the child, thread state is zero again
  if (!on) return pid;
  if (pid == 0) child_side(event.position);
  else fork_done(event, pid, errno);
  return pid;
}

// Without libc's _Fork (before glibc 2.34) the program could not have linked to it; a weak
// reference may still find ours.
pid_t no_such_fork() {
  errno = ENOSYS;
  return -1;
}

}  // namespace

OVC_EXPORT pid_t fork() noexcept {
  return traced_fork(Op::kFork, OVC_CALLER, found(next.fork, "fork"));
}
OVC_EXPORT pid_t __fork() noexcept __attribute__((alias("fork")));
OVC_EXPORT pid_t _Fork() noexcept {
  auto* function = found(next._Fork, "_Fork");
  return traced_fork(Op::kUnderscoreFork, OVC_CALLER, function ? function : no_such_fork);
}

// libc's clone reads the last three arguments only with the flags that need them; passing what is
// there is what the caller did.
OVC_EXPORT int clone(int (*fn)(void*), void* stack, int flags, void* arg, ...) noexcept {
  va_list list;
  va_start(list, arg);
  auto* parent_tid = va_arg(list, void*);
  auto* tls = va_arg(list, void*);
  auto* child_tid = va_arg(list, void*);
  va_end(list);
  Event event;
  set_args(event, flags, stack, reinterpret_cast<uint64_t>(fn), parent_tid, tls);
  const Freshness freshness = flags & CLONE_VM ? Freshness::kCheap : Freshness::kFresh;
  const bool on = begin(event, Op::kClone, When::kIntent, freshness, OVC_CALLER, here());
  if (may_run_beside_us(static_cast<uint64_t>(flags))) note_shared_descriptors();
  const int pid = found(next.clone, "clone")(fn, stack, flags, arg, parent_tid, tls, child_tid);
  if (on) fork_done(event, pid, errno);
  return pid;
}
OVC_EXPORT int __clone(int (*)(void*), void*, int, void*, ...) noexcept
    __attribute__((alias("clone")));

namespace {

using StartFunction = void* (*)(void*);
using CreateFunction = int(pthread_t*, const pthread_attr_t*, StartFunction, void*);

[[gnu::noinline]] int traced_create(pthread_t* thread, const pthread_attr_t* attr,
                                    StartFunction start, void* arg, CreateFunction* function,
                                    uint64_t caller) {
  Event event;
  set_args(event, attr != nullptr, reinterpret_cast<uint64_t>(start));
  const bool on =
      begin(event, Op::kPthreadCreate, When::kIntent, Freshness::kCheap, caller, here());
  if (on) beneath_fork(Beneath::kFork);
  const int code = function(thread, attr, start, arg);
  if (on) {
    beneath_fork(Beneath::kNothing);
    finish<Failure::kCode>(event, code);
  }
  return code;
}

}  // namespace

// ThreadSanitizer takes the program's line from the return address of its own pthread_create, so
// below it nothing of ours may stand on the stack: such a call is passed on by a jump, unrecorded.
extern "C" [[gnu::weak]] void __tsan_init();

OVC_EXPORT int pthread_create(pthread_t* thread, const pthread_attr_t* attr, void* (*start)(void*),
                              void* arg) noexcept {
  auto* function = found(next.pthread_create, "pthread_create");
  if (__tsan_init) return function(thread, attr, start, arg);
  return traced_create(thread, attr, start, arg, function, OVC_CALLER);
}

// vfork's two halves, called by vfork_*.S. Between them the child runs on this very stack. The
// first returns the record's position, kUnknown - 1 if nothing is recorded, kUnknown - 2 if the
// call is refused here: then there is no second half.
extern "C" [[gnu::visibility("hidden")]] uint64_t ovcshim_vfork_begin(uint64_t caller) {
  Event event;
  set_args(event, 0);
  if (!begin(event, Op::kVfork, When::kIntent, Freshness::kCheap, caller, here()))
    return kUnknown - 1;
  const int err = g.refuses ? refused(Op::kVfork, nullptr, 0) : 0;
  if (!err) return event.position;
  end(event, -1, true, err);
  errno = err;
  return kUnknown - 2;
}

// In the parent: completes the record, gives the program its result. position kUnknown - 1: nothing
// was begun.
extern "C" [[gnu::visibility("hidden")]] int64_t ovcshim_vfork_end(int64_t result,
                                                                   uint64_t position) {
  const bool failed = sys::failed(result);
  if (position != kUnknown - 1 && g.recording) {
    Event event;
    event.base = plain_base(Op::kVfork);
    event.frame = here();
    event.position = position;
    event.when = When::kIntent;
    event.base.args[5] = kUnknown;
    event.granted = granted_count();  // a child that was refused changed nothing
    end(event, failed ? -1 : result, failed, static_cast<int>(-result));
  }
  if (!failed) return result;
  errno = static_cast<int>(-result);
  return -1;
}

// ---- waits ----

namespace {

// A wait that found nobody to report (WNOHANG polling) is counted, not recorded: it says nothing
// and comes ten times a second.
template <typename Call>
[[gnu::always_inline]] inline pid_t traced_wait(Op op, uint64_t caller, pid_t pid, int* status,
                                                int options, struct rusage* usage, Call call) {
  Event event;
  set_args(event, static_cast<int64_t>(pid), options);
  const bool polls = options & WNOHANG;
  int own_status = 0;
  int* to = status ? status : &own_status;
  const bool on =
      begin(event, op, polls ? When::kAfter : When::kIntent, Freshness::kCheap, caller, here());
  const pid_t got = call(to);
  if (!on) return got;
  if (got == 0) {
    count_event(op, 0, false);
    return got;
  }
  if (got > 0) {
    event.base.args[2] = static_cast<uint32_t>(*to);
    if (usage) event.base.args[3] = static_cast<uint64_t>(usage->ru_maxrss);
    event.base.args[4] = minor_faults();
  }
  finish<Failure::kMinusOne>(event, got);
  return got;
}

}  // namespace

OVC_EXPORT pid_t wait(int* status) {
  return traced_wait(Op::kWait, OVC_CALLER, -1, status, 0, nullptr,
                     [](int* to) { return found(next.wait, "wait")(to); });
}
OVC_EXPORT pid_t waitpid(pid_t pid, int* status, int options) {
  return traced_wait(Op::kWaitpid, OVC_CALLER, pid, status, options, nullptr,
                     [=](int* to) { return found(next.waitpid, "waitpid")(pid, to, options); });
}
OVC_EXPORT pid_t wait3(int* status, int options, struct rusage* usage) noexcept {
  return traced_wait(Op::kWait3, OVC_CALLER, -1, status, options, usage,
                     [=](int* to) { return found(next.wait3, "wait3")(to, options, usage); });
}
OVC_EXPORT pid_t wait4(pid_t pid, int* status, int options, struct rusage* usage) noexcept {
  return traced_wait(Op::kWait4, OVC_CALLER, pid, status, options, usage,
                     [=](int* to) { return found(next.wait4, "wait4")(pid, to, options, usage); });
}

OVC_EXPORT int waitid(idtype_t type, id_t id, siginfo_t* info, int options) {
  Event event;
  set_args(event, static_cast<uint64_t>(type), id, options);
  siginfo_t own{};
  siginfo_t* to = info ? info : &own;
  const bool on = begin(event, Op::kWaitid, options & WNOHANG ? When::kAfter : When::kIntent,
                        Freshness::kCheap, OVC_CALLER, here());
  const int result = found(next.waitid, "waitid")(type, id, to, options);
  if (!on) return result;
  if (result == 0 && to->si_pid == 0) {
    count_event(Op::kWaitid, 0, false);
    return result;
  }
  if (result == 0) {
    event.base.args[3] = static_cast<uint64_t>(to->si_code);
    event.base.args[4] = static_cast<uint64_t>(to->si_status);
    event.base.args[5] = static_cast<uint64_t>(to->si_pid);
  }
  finish<Failure::kMinusOne>(event, result);
  return result;
}

// ---- ends ----

namespace {

// True if libc's own way out must not be recorded again.
OVC_COLD bool record_end(Op op, int status, uint64_t caller, const FrameState& frame) {
  Event event;
  // What went wrong last, as libc has it: often why it ends.
  set_args(event, status, minor_faults(), g.recording && has_libc_tls() ? errno : 0);
  if (!begin(event, op, When::kIntent, Freshness::kLast, caller, frame)) return false;
  count_event(op, 0, false);
  if (op != Op::kAbort) note_exit_status(status, event.base.pid);
  return true;
}

}  // namespace

OVC_EXPORT void exit(int status) noexcept {
  record_end(Op::kExit, status, OVC_CALLER, here());
  found(next.exit, "exit")(status);
  __builtin_unreachable();
}
OVC_EXPORT void _exit(int status) {
  if (record_end(Op::kUnderscoreExit, status, OVC_CALLER, here()))
    expect_in_libc(kMarkBase + __NR_exit_group);
  found(next._exit, "_exit")(status);
  __builtin_unreachable();
}
OVC_EXPORT void _Exit(int status) noexcept {
  if (record_end(Op::kUnderscoreExit, status, OVC_CALLER, here()))
    expect_in_libc(kMarkBase + __NR_exit_group);
  found(next._Exit, "_Exit")(status);
  __builtin_unreachable();
}
OVC_EXPORT void quick_exit(int status) noexcept {
  record_end(Op::kQuickExit, status, OVC_CALLER, here());
  found(next.quick_exit, "quick_exit")(status);
  __builtin_unreachable();
}
OVC_EXPORT void abort() noexcept {
  if (record_end(Op::kAbort, 0, OVC_CALLER, here()))
    expect_in_libc(kMarkBase + __NR_rt_sigprocmask);
  found(next.abort, "abort")();
  __builtin_unreachable();
}
