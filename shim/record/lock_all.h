// SPDX-License-Identifier: MIT
//
// mlockall(MCL_CURRENT) locks whatever is mapped, the log too: all of it would be faulted in,
// counted against RLIMIT_MEMLOCK, and stay. The log is not the program's memory, so it stands aside
// while the call is made.
//   one thread     it is unmapped but for its first pages, and mapped again behind the call:
//   signals
//                  are held back meanwhile, so nobody can touch it
//   more threads   they go on recording; only what no one has written to yet is made inaccessible,
//                  which the kernel passes over (mm/gup.c __mm_populate()). What was written to is
//                  locked with the rest, then unlocked and given back. It counts against
//                  RLIMIT_MEMLOCK for the time of the call
#pragma once
#include "shim/record/state.h"

namespace ovcshim {

class LogAside {
 public:
  explicit LogAside(uint64_t flags);
  ~LogAside();
  LogAside(const LogAside&) = delete;
  LogAside& operator=(const LogAside&) = delete;

 private:
  enum class Way : uint8_t { kNone, kUnmapped, kClosed };
  Way way_ = Way::kNone;
  uint64_t mask_ = 0;
};

}  // namespace ovcshim
