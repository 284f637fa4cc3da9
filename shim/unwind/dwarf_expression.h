// SPDX-License-Identifier: MIT
//
// The part of DWARF's stack machine that unwind entries use: PLT slots, realigned frames, signal
// trampolines. No branches, no calls, no pieces; an operation outside that part makes the
// expression fail.
#pragma once
#include <cstdint>

#include "shim/unwind/byte_cursor.h"
#include "shim/unwind/stack_reader.h"
#include "shim/unwind/unwind_rules.h"

namespace ovcshim {

// The registers of one frame, as far as they are known.
struct Registers {
  uint64_t value[kRegisters];
  uint32_t known;  // bit per register

  bool has(uint64_t reg) const { return reg < kRegisters && (known >> reg & 1); }
  void set(uint64_t reg, uint64_t to) {
    value[reg] = to;
    known |= 1u << reg;
  }
};

// Evaluates the block (its length first) at the cursor's place. `first`, if not null, is on the
// stack at the beginning.
bool evaluate(ByteCursor& cursor, const Registers& registers, StackReader& stack,
              const uint64_t* first, uint64_t& result);

}  // namespace ovcshim
