// SPDX-License-Identifier: MIT
//
// Does a thread that stands still run code in these ranges, anywhere in its stack? Yes, too, where
// its stack cannot be followed and may hold an address of it.
#pragma once
#include <cstdint>
#include <vector>

#include "tools/attach/walker.h"

namespace ovc {

struct CodeRange {
  uint64_t start, end;
};

class InsideCheck {
 public:
  explicit InsideCheck(uint32_t pid);
  bool is_inside(uint32_t tid, const std::vector<CodeRange>& ranges);

 private:
  bool is_whole(const ThreadState& state) const;

  uint32_t pid_;
  uint64_t main_stack_top_;  // 0: unknown
  Memory memory_;
  Walker walker_;
};

}  // namespace ovc
