// SPDX-License-Identifier: MIT
//
// Signals sent: who ended whom. Recorded, before they are forwarded, are those that end a process
// on purpose or as if it had failed; all others (SIGCHLD, SIGUSR1, SIGURG, 0, ...), which servers
// send by the thousand, cost a comparison and are passed on. Nothing is changed: neither the signal
// nor its aim. What libc sends itself (raise, abort, pthread_kill) is not seen here. A handler or
// the child of a vfork may be the caller.
#include <signal.h>
#include <unistd.h>

#include "shim/interpose/interpose.h"
#include "shim/proc/proc_file.h"
#include "shim/sys/seccomp.h"
#include "shim/sys/thread_pointer.h"

using namespace ovcshim;

namespace {

constexpr int kEnding[] = {SIGKILL, SIGTERM, SIGINT, SIGQUIT, SIGHUP,  SIGABRT, SIGSEGV,
                           SIGBUS,  SIGILL,  SIGFPE, SIGSYS,  SIGTRAP, SIGXCPU, SIGXFSZ};

constexpr uint64_t kEndingBits = [] {
  uint64_t bits = 0;
  for (const int signal : kEnding) bits |= uint64_t{1} << signal;
  return bits;
}();

inline bool is_told(int signal) {
  return static_cast<unsigned>(signal) < 64 && (kEndingBits >> signal & 1) && g.recording;
}

// For what not every libc has: its function is the system call and nothing else, and looking for
// it here, perhaps in a handler, is not safe. errno is libc's: a child whose thread-local block is
// the program's own has none.
int by_number(long nr, long a, long b, long c, long d) {
  const long result = sys::call(nr, a, b, c, d);
  if (!sys::failed(result)) return static_cast<int>(result);
  if (has_libc_tls()) errno = static_cast<int>(-result);
  return -1;
}

template <typename Call, typename... Args>
[[gnu::noinline]] int traced_signal(Op op, uint64_t caller, Call call, Args... args) {
  Event event;
  set_args(event, args...);
  const bool on = begin(event, op, When::kIntent, Freshness::kCheap, caller, here());
  const int result = call();
  if (on) finish<Failure::kMinusOne>(event, result);
  return result;
}

// "Pid:\t123" of /proc/self/fdinfo/N; 0: not known.
uint64_t pid_behind(int pidfd) {
  char path[40] = "/proc/self/fdinfo/", text[512];
  char digits[12];
  size_t length = sys::length(path);
  unsigned count = 0;
  if (pidfd < 0 || is_quiet()) return 0;
  for (unsigned n = static_cast<unsigned>(pidfd); count == 0 || n; n /= 10)
    digits[count++] = static_cast<char>('0' + n % 10);
  while (count) path[length++] = digits[--count];
  path[length] = '\0';
  ProcFile file(path);
  const long bytes = file.ok() ? file.read(text, sizeof text) : 0;
  for (long i = 0; i + 5 < bytes; ++i) {
    if ((i && text[i - 1] != '\n') || !sys::equal(text + i, "Pid:\t", 5)) continue;
    uint64_t pid = 0;
    for (i += 5; i < bytes && text[i] >= '0' && text[i] <= '9'; ++i)
      pid = pid * 10 + static_cast<uint64_t>(text[i] - '0');
    return pid;
  }
  return 0;
}

}  // namespace

OVC_EXPORT int kill(pid_t pid, int signal) noexcept {
  auto* function = found(next.kill, "kill");
  if (!is_told(signal)) return function(pid, signal);
  return traced_signal(
      Op::kKill, OVC_CALLER, [=] { return function(pid, signal); }, int64_t{pid}, signal);
}

OVC_EXPORT int killpg(pid_t group, int signal) noexcept {
  auto* function = found(next.killpg, "killpg");
  if (!is_told(signal)) return function(group, signal);
  return traced_signal(
      Op::kKill, OVC_CALLER, [=] { return function(group, signal); }, -int64_t{group}, signal);
}

OVC_EXPORT int tgkill(pid_t pid, pid_t tid, int signal) {
  const auto call = [=] { return by_number(__NR_tgkill, pid, tid, signal, 0); };
  if (!is_told(signal)) return call();
  return traced_signal(Op::kTgkill, OVC_CALLER, call, int64_t{pid}, int64_t{tid}, signal);
}

// The value is a union of an int and a pointer, passed as a pointer is.
OVC_EXPORT int sigqueue(pid_t pid, int signal, const union sigval value) noexcept {
  auto* function = found(next.sigqueue, "sigqueue");
  if (!is_told(signal)) return function(pid, signal, value.sival_ptr);
  return traced_signal(
      Op::kSigqueue, OVC_CALLER, [=] { return function(pid, signal, value.sival_ptr); },
      int64_t{pid}, signal);
}

extern "C" [[gnu::visibility("default")]] int pidfd_send_signal(int pidfd, int signal,
                                                                siginfo_t* info,
                                                                unsigned flags) noexcept {
  constexpr long kNumber = 424;  // on every machine
  const auto call = [=] {
    return by_number(kNumber, pidfd, signal, reinterpret_cast<long>(info), flags);
  };
  if (!is_told(signal)) return call();
  return traced_signal(Op::kPidfdSendSignal, OVC_CALLER, call, pidfd, signal, flags,
                       pid_behind(pidfd));
}
