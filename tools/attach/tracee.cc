// SPDX-License-Identifier: MIT
#if defined(__x86_64__) || defined(__aarch64__)  // elsewhere: elsewhere.cc
#include "tools/attach/tracee.h"

#include <errno.h>
#include <fmt/format.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <thread>

#include "tools/host/proc_files.h"

namespace ovc {
namespace {

// Calls that answer EINTR to a stop, and that have done nothing when they do (fs/eventpoll.c,
// ipc/sem.c, kernel/signal.c do_sigtimedwait(), fs/aio.c, io_uring, and sockets with SO_RCVTIMEO or
// SO_SNDTIMEO: net/core/sock.c sock_intr_errno()). Not connect: it goes on, so a second one fails.
constexpr long kAnsweringEintr[] = {
    SYS_epoll_pwait,    SYS_semop,    SYS_semtimedop, SYS_rt_sigtimedwait, SYS_read,
    SYS_readv,          SYS_recvfrom, SYS_recvmsg,    SYS_accept,          SYS_accept4,
    SYS_write,          SYS_writev,   SYS_sendto,     SYS_sendmsg,         SYS_io_getevents,
#ifdef SYS_epoll_wait
    SYS_epoll_wait,
#endif
#ifdef SYS_epoll_pwait2
    SYS_epoll_pwait2,
#endif
#ifdef SYS_io_uring_enter
    SYS_io_uring_enter,
#endif
};

bool answers_eintr(long nr) {
  return std::find(std::begin(kAnsweringEintr), std::end(kAnsweringEintr), nr) !=
         std::end(kAnsweringEintr);
}

int result_of(long value) { return value == -1 ? errno : 0; }

uint64_t signal_set(std::string_view status, std::string_view key) {
  const auto text = line_after(status, key);
  return text ? std::stoull(std::string(*text), nullptr, 16) : 0;
}

// Would a handler, or the end of the process, follow? Then EINTR is the right answer.
bool has_signal_to_handle(uint32_t tid) {
  const auto status = read_small(fmt::format("/proc/{}/status", tid));
  if (!status) return true;
  const uint64_t pending = signal_set(*status, "SigPnd:") | signal_set(*status, "ShdPnd:");
  return (pending & ~signal_set(*status, "SigBlk:")) != 0;
}

}  // namespace

Tracee::Tracee(Tracee&& other) noexcept
    : tid_(other.tid_), seized_(other.seized_), stopped_(other.stopped_), gone_(other.gone_) {
  other.seized_ = false;
}

int Tracee::seize() {
  if (const int failed = result_of(ptrace(PTRACE_SEIZE, tid_, nullptr, PTRACE_O_TRACESYSGOOD)))
    return failed;
  seized_ = true;
  return interrupt();
}

int Tracee::interrupt() { return result_of(ptrace(PTRACE_INTERRUPT, tid_, nullptr, nullptr)); }

int Tracee::resume(int request, int signal) {
  const int failed = result_of(ptrace(static_cast<__ptrace_request>(request), tid_, nullptr,
                                      reinterpret_cast<void*>(static_cast<intptr_t>(signal))));
  if (!failed) stopped_ = false;
  return failed;
}

int Tracee::wait_next(Deadline until, const std::function<bool()>& enough) {
  using namespace std::chrono_literals;
  constexpr int kLooks = 64;  // a stop comes within microseconds; a sleep takes longer
  auto pause = 20us;
  for (int looks = 0;; ++looks) {
    int status = 0;
    const pid_t got = waitpid(static_cast<pid_t>(tid_), &status, __WALL | WNOHANG);
    if (got > 0 && WIFSTOPPED(status)) {
      stopped_ = true;
      return status;
    }
    if (got > 0 || (got < 0 && errno != EINTR)) {
      gone_ = true;
      seized_ = false;
      return -2;
    }
    if (enough && enough()) return kEnough;
    if (std::chrono::steady_clock::now() > until) return -1;
    if (looks < kLooks) {
      std::this_thread::yield();
      continue;
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, 500us);
  }
}

// A signal that arrives at this moment is handed on. Any stop takes back what was asked for
// (kernel/signal.c ptrace_stop()), so it is asked for again.
bool Tracee::wait_stopped(Deadline until) {
  for (;;) {
    const int status = wait_next(until);
    if (status < 0) return false;
    if (status >> 16 == PTRACE_EVENT_STOP) {
      repair_interrupted_call();
      return true;
    }
    resume(PTRACE_CONT, WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : WSTOPSIG(status));
    interrupt();
  }
}

bool Tracee::settle() {
  using namespace std::chrono_literals;
  if (!kCallStopsHideRegisters) return stopped_;
  return interrupt() == 0 && resume(PTRACE_CONT) == 0 &&
         wait_stopped(std::chrono::steady_clock::now() + 500ms);
}

void Tracee::repair_interrupted_call() {
  Registers r{};
  if (get_registers(tid_, r) != 0 || !is_interrupted(r) || !answers_eintr(call_number(r)) ||
      has_signal_to_handle(tid_))
    return;
  if (const auto again = made_again(tid_, r)) set_registers(tid_, *again);
}

// A thread has to stand still to be let go. One that does not stop is asked and waited for: what it
// waits in (a child of vfork, a disk) ends, or ovc ends, and the kernel lets it go.
void Tracee::let_go() {
  using namespace std::chrono_literals;
  if (!seized_ || gone_) return;
  if (!stopped_) {
    interrupt();
    wait_stopped(std::chrono::steady_clock::now() + 2s);
  }
  if (stopped_ && ptrace(PTRACE_DETACH, tid_, nullptr, nullptr) == 0) seized_ = false;
}

}  // namespace ovc

#endif
