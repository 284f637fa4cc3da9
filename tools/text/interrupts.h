// SPDX-License-Identifier: MIT
//
// Waiting between two reads, with the signals that end a watching program blocked in between: a
// line that was begun is finished, and the terminal is restored before the end.
#pragma once
#include <signal.h>

#include <chrono>

namespace ovc {

class Interrupts {
 public:
  Interrupts();  // SIGINT, SIGTERM, SIGHUP, SIGWINCH and SIGTSTP come only inside of pass()
  enum class Why { kTime, kEnd, kResized, kStop, kNobodyReads };
  Why pass(std::chrono::nanoseconds time) const;

 private:
  sigset_t open_{};
};

}  // namespace ovc
