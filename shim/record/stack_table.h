// SPDX-License-Identifier: MIT
//
// Different stacks, each once, and exact totals of calls by stack: STACKS and TOTALS of
// growth_format.h. Callable anywhere, by any number of writers in any number of processes; never
// waits for anybody.
#pragma once
#include "shim/format/growth_format.h"

#pragma GCC visibility push(hidden)

namespace ovcshim {

struct Stack {
  uint32_t image;
  const uint64_t* frames;  // innermost first
  uint32_t count;
  bool cut;
};

// Number of the stack, entered if it is new; of its caller alone where there is no more room, or
// of a part where it is too long: then it is not whole.
uint32_t stack_number(const Stack& stack, bool* whole = nullptr);

// Number of the row of CallTotals, claimed if there is none; kNoRow.
inline constexpr uint32_t kNoRow = UINT32_MAX;
uint32_t totals_row(uint32_t stack, uint32_t op, uint32_t kind);

}  // namespace ovcshim

#pragma GCC visibility pop
