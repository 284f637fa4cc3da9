// SPDX-License-Identifier: MIT
//
// From a code address to the rules that undo its frame: the binary search in .eh_frame_hdr, and the
// call frame program of the entry found (DWARF 5 section 6.4, with the changes of the LSB for
// .eh_frame). Reads the module's memory only by copy_memory, so what it finds may be hostile or
// gone.
#pragma once
#include <cstdint>

#include "shim/unwind/modules.h"

namespace ovcshim {

// DWARF's numbers of the registers.
#if defined(__x86_64__)
enum Register : unsigned {  // System V psABI, figure 3.36
  kRbx = 3,
  kRbp = 6,
  kSp = 7,
  kR12 = 12,
  kR13,
  kR14,
  kR15,
  kReturnAddress = 16,
  kRegisters = 17
};
#else
enum Register : unsigned {
  kX29 = 29,
  kReturnAddress = 30,
  kSp = 31,
  kRegisters = 32
};  // AADWARF64
#endif

enum class Save : uint32_t {
  kSame,          // not touched
  kUndefined,     // lost; of the return address: there is no caller
  kAtCfa,         // in memory at CFA + value
  kIsCfa,         // is CFA + value itself
  kAtExpression,  // in memory where the expression at (fde + value) says
  kIsExpression,  // what that expression yields
  kInRegister,    // in the register `value`
};

// Save in the low 3 bits, a signed value above: rows are many on a small stack.
struct SaveRule {
  uint32_t word;
  Save save() const { return static_cast<Save>(word & 7); }
  int32_t value() const { return static_cast<int32_t>(word) >> 3; }
};
inline constexpr int64_t kMaxSaveValue = (1 << 28) - 1;

// Those whose rules are kept. On aarch64 the ones below are the callee's to use: no frame has them.
#if defined(__x86_64__)
inline constexpr unsigned kFirstSaved = 0;
#else
inline constexpr unsigned kFirstSaved = 19;
#endif
struct FrameRules {
  SaveRule saves[kRegisters - kFirstSaved];
  SaveRule of(unsigned reg) const { return saves[reg - kFirstSaved]; }
  uint32_t cfa_register;
  int64_t cfa_value;  // CFA = register + value, or the expression at fde + value
  bool cfa_is_expression;
};

struct UnwindRow {
  FrameRules rules;
  uint64_t fde, fde_end;
  bool signal_frame;  // its caller was interrupted, not calling
};

enum class Found { kYes, kNo /* nothing there, or nothing we understand */, kUnreadable };

// The entry that may cover pc.
Found find_fde(const Module& module, uint64_t pc, uint64_t& fde);

// The rules in force at pc. kNo if the entry does not cover pc.
Found read_row(uint64_t fde, uint64_t pc, UnwindRow& row);

}  // namespace ovcshim
