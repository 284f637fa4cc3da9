// SPDX-License-Identifier: MIT
//
// Walks that were made before, and what each of them rested on: the registers it began with, and
// the words of the stack that it read. Where these are the same the walk is the same, and its
// frames are in those words; comparing them costs a tenth of another walk. The words are read as in
// a walk (stack_reader.h), so nothing is taken for readable that was so once.
// A table of a few entries; each is a sequence lock whose writers never wait (rule_cache.cc).
#pragma once
#include <cstdint>

#include "shim/unwind/backtrace.h"
#include "shim/unwind/stack_reader.h"
#include "shim/unwind/unwind_rules.h"

#pragma GCC visibility push(hidden)

namespace ovcshim {

// Taken during a walk, in memory that its caller has: it is too large for the stack of a wrapper.
class WalkNote {
 public:
  void begin() {
    for (uint64_t& at : saved_at_) at = 0;
    initial_ = 0, count_ = 0, whole_ = true;
  }
  static constexpr unsigned kMost = 27;
  struct Word {
    uint64_t at, value;
  };
  // A word that the walk rests on: a return address that became a frame, or another.
  void add(uint64_t at, uint64_t value, bool is_frame) {
    if (count_ < kMost) words_[count_++] = {at | is_frame, value};
    else whole_ = false;
  }
  // The CFA is told by this register.
  void rests_on(unsigned reg, uint64_t value) {
    if (reg == kSp) return;
    if (saved_at_[reg]) add(saved_at_[reg], value, false);
    else initial_ |= 1u << reg;
  }
  void restored(unsigned reg, uint64_t at) { saved_at_[reg] = at; }
  void spoil() { whole_ = false; }

  bool is_whole() const { return whole_; }
  uint32_t initial() const { return initial_; }
  unsigned count() const { return count_; }
  const Word& word(unsigned i) const { return words_[i]; }

 private:
  Word words_[kMost];
  uint64_t saved_at_[kRegisters];  // 0: as the walk found it
  uint32_t initial_;               // registers that the walk rests on as it found them
  unsigned count_;
  bool whole_;  // it came to the stack's end by plain steps
};

// The frames of the same walk; 0: it is not known. `generation`: of the rules (rule_cache.h).
unsigned recall_walk(uint32_t generation, const FrameState& state, StackReader& stack,
                     uint64_t* out, unsigned max);
void remember_walk(uint32_t generation, const FrameState& state, const WalkNote& note);

}  // namespace ovcshim

#pragma GCC visibility pop
