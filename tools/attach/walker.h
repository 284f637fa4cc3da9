// SPDX-License-Identifier: MIT
//
// The stacks of another process, by libunwind's remote unwinder (libunwind-ptrace): registers and
// stack from the copy that was made while the thread stood still, code and unwind tables from the
// process and its files.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "tools/attach/stopped.h"

namespace ovc {

enum class WalkEnd : uint8_t {
  kBottom,  // the tables say that the stack begins here
  kLost,    // no table covers the code, or the stack could not be read
  kMany,    // more frames than are looked at
};

struct Walk {
  std::vector<uint64_t> addresses;  // innermost first; return addresses behind a frame that called
  std::vector<uint64_t> stacks;     // the stack pointer in each
  std::vector<bool> handler_below;  // the frame is what a signal handler returns to: the next
                                    // address is where the signal came, not a return address
  WalkEnd end = WalkEnd::kLost;
};

class Walker {
 public:
  // The process must live as long as it is walked in.
  explicit Walker(uint32_t pid);
  ~Walker();
  Walker(const Walker&) = delete;
  Walker& operator=(const Walker&) = delete;
  Walk walk(const ThreadState& state);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace ovc
