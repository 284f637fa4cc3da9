// SPDX-License-Identifier: MIT
#if defined(__x86_64__) || defined(__aarch64__)  // elsewhere: elsewhere.cc
#include "tools/attach/remote_call.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "shim/format/attach_order.h"

namespace ovc {
namespace {

using ovcshim::AttachTurn;

constexpr uint64_t kRedZone = 128;
constexpr long kEventStop = PTRACE_EVENT_STOP;

// Signals that code of its own raises stay deliverable: a blocked one would end the program.
uint64_t mask_for_call() {
  uint64_t mask = ~uint64_t{0};
  for (const int raised : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT})
    mask &= ~(uint64_t{1} << (raised - 1));
  return mask;
}

bool is_raised_by_code(int signal) { return !(mask_for_call() >> (signal - 1) & 1); }

bool set_mask(uint32_t tid, uint64_t mask) {
  return ptrace(PTRACE_SETSIGMASK, tid, sizeof mask, &mask) == 0;
}

}  // namespace

bool RemoteCaller::save() {
  const uint32_t tid = thread_.tid();
  return get_registers(tid, before_.registers) == 0 &&
         ptrace(PTRACE_GETSIGMASK, tid, sizeof before_.mask, &before_.mask) == 0 &&
         save_floats(tid, before_.floats);
}

CallResult RemoteCaller::system_call(long nr, const CallArguments& args, Deadline until) {
  CallResult result;
  if (!save()) return result.error = errno, result;
  const CallFrame frame = lay_frame(before_, gadgets_, own_stack());
  return call(start_of_system_call(before_.registers, frame, gadgets_, nr, args), frame, until);
}

CallResult RemoteCaller::function(uint64_t entry, const CallArguments& args, uint64_t stack_top,
                                  Deadline until, uint64_t turn) {
  CallResult result;
  if (!save()) return result.error = errno, result;
  const CallFrame frame = lay_frame(before_, gadgets_, stack_top ? stack_top : own_stack());
  return call(start_of_function(before_.registers, frame, gadgets_, entry, args), frame, until,
              turn);
}

uint64_t RemoteCaller::own_stack() const { return stack_pointer(before_.registers) - kRedZone; }

// Only when everything lies in memory are the registers set, all at once. The mask comes after them
// and goes before them: a thread must not be left with signals held back.
CallResult RemoteCaller::call(const Registers& start, const CallFrame& frame, Deadline until,
                              uint64_t turn) {
  CallResult result;
  if (!memory_.write(frame.at, frame.bytes.data(), frame.bytes.size())) {
    result.error = EFAULT;
    return result;
  }
  result.error = set_registers(thread_.tid(), start);
  if (result.error) return result;
  set_mask(thread_.tid(), mask_for_call());
  if (turn)
    if (const auto ended = run_to_turn(turn, until)) return *ended;
  return run(frame.returned, until);
}

// Until the function waits for us, and the thread is stopped there; what came between, if anything.
std::optional<CallResult> RemoteCaller::run_to_turn(uint64_t turn, Deadline until) {
  const auto whose = [&] {
    AttachTurn now{};
    return memory_.get(turn, now) ? now : AttachTurn::kShim;
  };
  CallResult result;
  bool is_asked = false;
  for (int signal = 0;;) {
    if (thread_.resume(PTRACE_CONT, signal) != 0) break;
    // what was asked for is taken back by any other stop
    if (is_asked) thread_.interrupt();
    int status =
        thread_.wait_next(until, [&] { return !is_asked && whose() != AttachTurn::kShim; });
    if (status == Tracee::kEnough) {
      is_asked = true;
      thread_.interrupt();
      status = thread_.wait_next(until);
    }
    if (status == -1) return result.end = CallEnd::kSlow, result;
    if (status < 0) break;
    signal = 0;
    if (status >> 16 != kEventStop) {
      signal = status >> 8 & 0xff;
      if (is_raised_by_code(signal)) return rescue(signal);
      continue;
    }
    if (!is_asked) continue;
    if (whose() == AttachTurn::kAlone) return result.end = CallEnd::kAlone, result;
    constexpr AttachTurn kBack = AttachTurn::kBack;
    if (!memory_.write(turn, &kBack, sizeof kBack)) break;
    return std::nullopt;
  }
  result.end = CallEnd::kGone;
  return result;
}

CallResult RemoteCaller::run(uint64_t returned, Deadline until) {
  CallResult result;
  uint64_t nr = 0;  // of the system call it is in
  for (int signal = 0;;) {
    if (thread_.resume(PTRACE_SYSCALL, signal) != 0) break;
    signal = 0;
    const int status = thread_.wait_next(until);
    if (status == -1) return result.end = CallEnd::kSlow, result;
    if (status < 0) break;
    const int stopped_by = status >> 8 & 0xff;
    if (status >> 16 == kEventStop) continue;
    if (stopped_by != (SIGTRAP | 0x80)) {
      if (is_raised_by_code(stopped_by)) return rescue(stopped_by);
      signal = stopped_by;  // SIGSTOP: cannot be held back
      continue;
    }
    __ptrace_syscall_info info{};
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread_.tid(), sizeof info, &info) <= 0) break;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) nr = info.entry.nr;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) result.value = info.exit.rval;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT && nr == SYS_mmap) result.mapped = info.exit.rval;
    const bool is_back = info.op == PTRACE_SYSCALL_INFO_ENTRY &&
                         info.entry.nr == SYS_rt_sigreturn && info.stack_pointer == returned;
    if (is_back) return come_back(result, until);
  }
  result.end = CallEnd::kGone;
  return result;
}

// At the entry of the rt_sigreturn. The stop that is asked for now comes before the thread runs one
// instruction, in the place of the kernel where system calls are started again; from here to there
// it has the registers it would go on with by itself.
CallResult RemoteCaller::come_back(CallResult result, Deadline until) {
  const uint32_t tid = thread_.tid();
  thread_.interrupt();
  // Where the kernel refuses one of these, the rt_sigreturn does it.
  if (set_mask(tid, before_.mask) && !comes_back_by_itself(filtered_))
    set_registers(tid, with_rest_of_sleep(before_.registers));
  result.end = CallEnd::kDone;
  for (int signal = 0;;) {
    if (thread_.resume(PTRACE_CONT, signal) != 0) return result.end = CallEnd::kGone, result;
    const int status = thread_.wait_next(until);
    if (status < 0) return result.end = status == -1 ? CallEnd::kSlow : CallEnd::kGone, result;
    if (status >> 16 == kEventStop) break;
    signal = status >> 8 & 0xff;
  }
  set_registers(tid, before_.registers);
  return result;
}

CallResult RemoteCaller::rescue(int signal) {
  CallResult result;
  result.end = CallEnd::kCrashed;
  result.signal = signal;
  set_mask(thread_.tid(), before_.mask);
  set_registers(thread_.tid(), as_in_user_mode(before_.registers));
  return result;
}

}  // namespace ovc

#endif
