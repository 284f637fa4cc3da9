// SPDX-License-Identifier: MIT
#include "tools/text/interrupts.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

namespace ovc {
namespace {

volatile sig_atomic_t last_signal = 0;

bool ends(int number) { return number == SIGINT || number == SIGTERM || number == SIGHUP; }

void note(int number) {
  if (!ends(last_signal)) last_signal = number;
}

}  // namespace

Interrupts::Interrupts() {
  sigset_t held;
  sigemptyset(&held);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP}) {
    struct sigaction old {
    }, action{};
    sigaction(number, nullptr, &old);
    const bool may_be_ignored = number == SIGHUP || number == SIGTSTP;  // nohup; no job control
    if (may_be_ignored && old.sa_handler == SIG_IGN) continue;
    action.sa_handler = note;
    sigaction(number, &action, nullptr);
    sigaddset(&held, number);
  }
  sigprocmask(SIG_BLOCK, &held, &open_);
}

Interrupts::Why Interrupts::pass(std::chrono::nanoseconds time) const {
  const auto ns = std::max<int64_t>(time.count(), 0);
  const timespec wait{static_cast<time_t>(ns / 1'000'000'000),
                      static_cast<long>(ns % 1'000'000'000)};
  pollfd out{STDOUT_FILENO, 0, 0};
  const int ready = ppoll(&out, 1, &wait, &open_);
  const int number = std::exchange(const_cast<sig_atomic_t&>(last_signal), 0);
  if (ends(number)) return Why::kEnd;
  if (number == SIGWINCH) return Why::kResized;
  if (number == SIGTSTP) return Why::kStop;
  return ready > 0 ? Why::kNobodyReads : Why::kTime;
}

}  // namespace ovc
