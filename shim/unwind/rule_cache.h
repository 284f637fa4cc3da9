// SPDX-License-Identifier: MIT
//
// What a walk needs to know about one code address, in one word, and a fixed table of such words
// that any thread and any signal handler may read and fill at any time.
#pragma once
#include <cstdint>

namespace ovcshim {

// kind 2 bits | signal frame 1 | CFA register 4 | CFA offset / 8, 20 bits | kSaveBits for each
// register of kSavedRegisters:
//   0 it is unchanged, n it is saved at CFA - 8 n
// kComplex has instead, from bit 32 on: the place of its entry, relative to .eh_frame_hdr; 0 for
// the code that signal handlers return to, which has no entry.
struct StepRule {
  enum Kind : uint64_t {
    kNone = 0 /* the walk cannot go on */,
    kSimple = 1,
    kOutermost = 2,
    kComplex = 3
  };
#if defined(__x86_64__)
  static constexpr unsigned kSaves = 6, kSaveBits = 6, kFirstCfaRegister = 0;
#else  // the two that matter lie at the lower end of the frame; the CFA is told by x29 or sp
  static constexpr unsigned kSaves = 2, kSaveBits = 18, kFirstCfaRegister = 16;
#endif

  uint64_t word = 0;

  Kind kind() const { return static_cast<Kind>(word & 3); }
  bool signal_frame() const { return word & 4; }
  unsigned cfa_register() const { return kFirstCfaRegister + (word >> 3 & 15); }
  uint64_t cfa_offset() const { return (word >> 7 & 0xfffff) * 8; }
  uint64_t saves() const { return word >> 27; }
  int32_t entry() const { return static_cast<int32_t>(word >> 32); }

  static StepRule complex(int32_t entry) {
    return {kComplex | static_cast<uint64_t>(static_cast<uint32_t>(entry)) << 32};
  }
  static StepRule simple(bool signal, unsigned cfa_register, uint64_t cfa_eighths, uint64_t saves) {
    return {kSimple | static_cast<uint64_t>(signal) << 2 |
            static_cast<uint64_t>(cfa_register - kFirstCfaRegister) << 3 | cfa_eighths << 7 |
            saves << 27};
  }
};

// Names a state of the module table. Take it before reading the table, hand it to every call below:
// a rule that was worked out from an older table is then never found under a newer one.
uint32_t rule_generation();
void next_rule_generation();

bool find_rule(uint32_t generation, uint64_t pc, StepRule& rule);
void keep_rule(uint32_t generation, uint64_t pc,
               StepRule rule);  // best effort: gives up rather than wait

}  // namespace ovcshim
