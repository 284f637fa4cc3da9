// SPDX-License-Identifier: MIT
//
// Threads of another process, stopped by ptrace. Rules: PTRACE_SEIZE, never PTRACE_ATTACH (no
// SIGSTOP that a program could see); never PTRACE_O_EXITKILL; whatever happens to ovc, the kernel
// lets all threads go on where they stand (kernel/ptrace.c exit_ptrace()), so a thread may at no
// moment stand where it must not go on.
// What a stop alone does to a program: system calls that are interrupted are restarted by the
// kernel. A few answer EINTR instead (epoll_wait, semop, ...; signal(7)): that is turned into a
// restart here, unless a signal is there to be handled. (If ovc is killed between the stop and
// that, microseconds later, they answer EINTR, as after SIGSTOP and SIGCONT.)
#pragma once
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tools/attach/registers.h"

namespace ovc {

using Deadline = std::chrono::steady_clock::time_point;

// A thread that is held by us. Let go by its end, wherever it is.
class Tracee {
 public:
  explicit Tracee(uint32_t tid) : tid_(tid) {}
  ~Tracee() { let_go(); }
  Tracee(Tracee&& other) noexcept;
  Tracee& operator=(Tracee&&) = delete;
  Tracee(const Tracee&) = delete;

  uint32_t tid() const { return tid_; }
  bool is_stopped() const { return stopped_; }
  bool is_gone() const { return gone_; }
  // Seizes it and asks it to stop. The errno of what failed.
  int seize();
  // False: not stopped by then.
  bool wait_stopped(Deadline until);
  // One more stop of a thread that runs: asks, and waits.
  int interrupt();
  // From the end of a system call to a stop before the next instruction, where all registers are
  // shown. False: not stopped.
  bool settle();
  // Runs on with PTRACE_CONT or PTRACE_SYSCALL.
  int resume(int request, int signal = 0);
  // Waits for the next stop; its status as of waitpid, -1: the time is over, -2: the thread is
  // gone, kEnough: `enough` said so.
  static constexpr int kEnough = -3;
  int wait_next(Deadline until, const std::function<bool()>& enough = {});
  void let_go();

 private:
  void repair_interrupted_call();
  uint32_t tid_;
  bool seized_ = false, stopped_ = false, gone_ = false;
};

}  // namespace ovc
