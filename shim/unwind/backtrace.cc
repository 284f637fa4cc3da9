// SPDX-License-Identifier: MIT
//
// Walks the stack: one cached word per frame tells how to undo it; a miss asks unwind_rules once
// and keeps the answer. Cost with a warm cache: per frame one table look-up and the loads of the
// saved registers; per page of stack one system call. Rules in this file: those of backtrace.h.
// Every address is a guess until StackReader has read it; a walk ends after `max` frames, and the
// stack pointer only goes up, but across signal frames.
#include "shim/unwind/backtrace.h"

#include "shim/sys/sys.h"
#include "shim/unwind/dwarf_expression.h"
#include "shim/unwind/memory.h"
#include "shim/unwind/rule_cache.h"
#include "shim/unwind/stack_reader.h"
#include "shim/unwind/unwind_rules.h"
#include "shim/unwind/walk_memo.h"

namespace ovcshim {
namespace {

enum class Step { kFrame, kEnd, kCut };

#if defined(__x86_64__)
constexpr bool kIsPushed = true;  // a call leaves its return address at CFA - 8
constexpr unsigned kSavedRegisters[StepRule::kSaves] = {kRbx, kRbp, kR12, kR13, kR14, kR15};
#else
// A call leaves it in x30; who calls on saves it, beside x29. No compiler tells the CFA by another
// register than x29 and sp, so what became of the others need not be known.
constexpr bool kIsPushed = false;
constexpr unsigned kSavedRegisters[StepRule::kSaves] = {kX29, kReturnAddress};
#endif
constexpr int32_t kMaxSaveEighths = (1 << StepRule::kSaveBits) - 1;
constexpr int64_t kMaxCfaOffset = 0xfffff * 8;

// Return addresses may be signed (PAC); the hint takes the signature off, and is a no-op on
// processors without it.
uint64_t without_signature(uint64_t place) {
#if defined(__aarch64__)
  register uint64_t x30 asm("x30") = place;
  asm("hint 7" : "+r"(x30));
  return x30;
#else
  return place;
#endif
}

// What aarch64's kernel (and musl) lets a signal handler return to: mov x8, #139; svc #0. It has no
// entry in .eh_frame, since libgcc knows it by these instructions.
bool is_signal_return([[maybe_unused]] uint64_t place) {
#if defined(__aarch64__)
  uint32_t code[2];
  return copy_memory(code, place, sizeof code) && code[0] == 0xd2801168 && code[1] == 0xd4000001;
#else
  return false;
#endif
}

// A linker's stub that calls go through (adrp x16; ldr x17; add x16; br x17, perhaps behind bti c),
// which has no tables: it touches neither the stack nor x30. The first stub, which binds a call,
// ends the same way but has pushed x30 before that.
bool is_linkage_stub([[maybe_unused]] uint64_t place) {
#if defined(__aarch64__)
  struct Instruction {
    uint32_t bits, mask;
  };
  constexpr Instruction kStub[] = {{0x90000010, 0x9f00001f},
                                   {0xf9400211, 0xffc003ff},
                                   {0x91000210, 0xffc003ff},
                                   {0xd61f0220, 0xffffffff}};
  constexpr unsigned kLength = sizeof kStub / sizeof kStub[0];
  constexpr uint32_t kBti = 0xd503245f, kPush = 0xa9bf7bf0;  // bti c; stp x16, x30, [sp, -16]!
  uint32_t code[2 * kLength + 1];                            // before `place` and from it on
  if (!copy_memory(code, place - kLength * sizeof *code, sizeof code)) return false;
  for (unsigned first = 1; first <= kLength + (code[kLength] == kBti); ++first) {
    unsigned same = 0;
    while (same < kLength && (code[first + same] & kStub[same].mask) == kStub[same].bits) ++same;
    if (same == kLength) return code[first - 1] != kPush;
  }
#endif
  return false;
}

// The rules as one word, if they are of the ordinary kind: everything saved below the CFA, nothing
// computed.
bool compact(const UnwindRow& row, StepRule& rule) {
  const FrameRules& rules = row.rules;
  SaveRule back = rules.of(kReturnAddress);
  if (kIsPushed && (back.save() != Save::kAtCfa || back.value() != -8)) return false;
  if (rules.cfa_is_expression) return false;
  if (rules.cfa_value < 0 || rules.cfa_value > kMaxCfaOffset || rules.cfa_value % 8 != 0)
    return false;
  uint32_t plain = 1u << kReturnAddress;
  uint64_t saves = 0;
  for (unsigned i = 0; i < StepRule::kSaves; ++i) {
    SaveRule save = rules.of(kSavedRegisters[i]);
    plain |= 1u << kSavedRegisters[i];
    if (save.save() == Save::kSame || save.save() == Save::kUndefined) continue;
    if (save.save() != Save::kAtCfa || save.value() % 8 != 0 || save.value() >= 0 ||
        save.value() < -8 * kMaxSaveEighths)
      return false;
    saves |= static_cast<uint64_t>(-save.value() / 8) << (StepRule::kSaveBits * i);
  }
  for (unsigned reg = 0; kIsPushed && reg < kRegisters; ++reg)
    if (!(plain >> reg & 1) && rules.of(reg).save() != Save::kSame &&
        rules.of(reg).save() != Save::kUndefined)
      return false;
  if (rules.cfa_register - StepRule::kFirstCfaRegister > 15) return false;
  rule = StepRule::simple(row.signal_frame, rules.cfa_register,
                          static_cast<uint64_t>(rules.cfa_value) / 8, saves);
  return true;
}

Found rules_at(const Module& module, uint64_t place, UnwindRow& row) {
  uint64_t fde;
  Found found = find_fde(module, place, fde);
  return found == Found::kYes ? read_row(fde, place, row) : found;
}

// False if it could not be found out now; a rule of kind kNone says it never can.
// A return address at the very start of a function, with no function before it, was planted, not
// left by a call: makecontext() does so with its trampoline. There the stack ends.
[[gnu::noinline, gnu::cold]] bool derive(const Module& module, uint64_t place, bool returned_to,
                                         StepRule& rule) {
  rule =
      returned_to && is_signal_return(place + 1) ? StepRule::complex(0) : StepRule{StepRule::kNone};
  if (rule.kind() == StepRule::kComplex) return true;
  UnwindRow row;
  Found found = rules_at(module, place, row);
  if (found == Found::kNo && returned_to && rules_at(module, place + 1, row) == Found::kYes) {
    rule.word = StepRule::kOutermost;
    return true;
  }
  if (found == Found::kNo && !returned_to && is_linkage_stub(place))
    rule = StepRule::simple(false, kSp, 0, 0);
  if (found != Found::kYes) return found == Found::kNo;
  if (row.rules.of(kReturnAddress).save() == Save::kUndefined) {
    rule.word = StepRule::kOutermost;
  } else if (!compact(row, rule)) {
    rule = StepRule::complex(static_cast<int32_t>(row.fde - module.eh_frame_hdr));
  }
  return true;
}

class Walk {
 public:
  Walk(const ModuleTable& table, const FrameState& state, uint64_t own, bool may_call_kernel,
       WalkNote* note)
      : table_(table),
        pc_(state.pc),
        generation_(rule_generation()),
        may_call_kernel_(may_call_kernel),
        note_(note),
        stack_(own, state.sp, may_call_kernel) {
    if (note_) note_->begin();
    registers_.known = 0;
    registers_.set(kSp, state.sp);
#if defined(__x86_64__)
    registers_.set(kReturnAddress, state.pc);
    registers_.set(kRbp, state.fp);
    registers_.set(kRbx, state.rbx);
    registers_.set(kR12, state.r12);
    registers_.set(kR13, state.r13);
    registers_.set(kR14, state.r14);
    registers_.set(kR15, state.r15);
#else
    registers_.set(kX29, state.fp);
    if (state.rbx) registers_.set(kReturnAddress, state.rbx);
#endif
  }

  uint64_t pc() const { return pc_; }
  uint32_t generation() const { return generation_; }

  // Replaces the registers by the caller's.
  Step step() {
    uint64_t place =
        pc() -
        (exact_ ? 0 : 1);  // of a call the return address may belong to the next function already
    StepRule rule;
    if (!find_rule(generation_, place, rule) && !look_up(place, rule)) return Step::kCut;
    switch (rule.kind()) {
      case StepRule::kSimple: return step_simple(rule);
      case StepRule::kComplex: return step_complex(place, rule);
      case StepRule::kOutermost: return Step::kEnd;
      default: return Step::kCut;
    }
  }

 private:
  bool look_up(uint64_t place, StepRule& rule) {
    const Module* module = may_call_kernel_ ? find_module(table_, place) : nullptr;
    if (!module || !derive(*module, place, !exact_, rule)) return false;
    keep_rule(generation_, place, rule);
    return true;
  }

  Step step_simple(StepRule rule) {
    uint64_t back;
    if (!registers_.has(rule.cfa_register())) return Step::kCut;
    uint64_t cfa = registers_.value[rule.cfa_register()] + rule.cfa_offset();
    if (note_) note_->rests_on(rule.cfa_register(), registers_.value[rule.cfa_register()]);
    if (!is_above(cfa) || (kIsPushed && !stack_.read(cfa - 8, back))) return Step::kCut;
    uint64_t saves = rule.saves();
    for (unsigned i = 0; saves != 0; ++i, saves >>= StepRule::kSaveBits) {
      uint64_t eighths = saves & kMaxSaveEighths, value;
      if (eighths == 0) continue;
      if (!stack_.read(cfa - 8 * eighths, value)) return Step::kCut;
      registers_.set(kSavedRegisters[i], value);
      if (note_) note_->restored(kSavedRegisters[i], cfa - 8 * eighths);
    }
    if (kIsPushed && note_) note_->add(cfa - 8, back, back != 0);
    registers_.set(kSp, cfa);
    forget_all_but_saved();
    if (kIsPushed) return arrive(back, rule.signal_frame());
    if (!registers_.has(kReturnAddress)) return Step::kCut;
    return arrive(registers_.value[kReturnAddress], rule.signal_frame());
  }

  // Only what kSavedRegisters names is followed from frame to frame.
  void forget_all_but_saved() {
    if (!kIsPushed) registers_.known &= 1u << kSavedRegisters[0] | 1u << kReturnAddress | 1u << kSp;
  }

  // Where a call leaves nothing on the stack, the innermost function may have put nothing there.
  bool is_above(uint64_t cfa) const {
    return cfa > registers_.value[kSp] || (!kIsPushed && exact_ && cfa == registers_.value[kSp]);
  }

  // Entries whose rules do not fit in a word are worked out anew each time.
  [[gnu::noinline, gnu::cold]] Step step_complex(uint64_t place, StepRule rule) {
    if (note_) note_->spoil();
    if (!kIsPushed && rule.entry() == 0) return step_signal();
    const Module* module = may_call_kernel_ ? find_module(table_, place) : nullptr;
    UnwindRow row;
    if (!module || read_row(module->eh_frame_hdr + static_cast<uint64_t>(int64_t{rule.entry()}),
                            place, row) != Found::kYes)
      return Step::kCut;
    return apply(row);
  }

  // arch/arm64/kernel/signal.c: the handler's frame is a struct rt_sigframe, whose sigcontext has
  // the registers of what was interrupted.
  [[gnu::noinline, gnu::cold]] Step step_signal() {
    constexpr uint64_t kX0 = 312, kPc = kX0 + 32 * 8;  // x0 to x30, sp, pc
    const uint64_t frame = registers_.value[kSp];
    uint64_t place, value;
    constexpr unsigned kFollowed[] = {kSavedRegisters[0], kReturnAddress, kSp};
    for (unsigned reg : kFollowed) {
      if (!stack_.read(frame + kX0 + 8 * reg, value)) return Step::kCut;
      registers_.set(reg, value);
    }
    forget_all_but_saved();
    return stack_.read(frame + kPc, place) ? arrive(place, true) : Step::kCut;
  }

  [[gnu::noinline]] Step apply(const UnwindRow& row) {
    ByteCursor cursor(row.fde, row.fde_end);
    uint64_t cfa = 0;
    if (!find_cfa(row, cursor, cfa)) return Step::kCut;
    Registers caller;
    caller.known = 0;
    for (unsigned reg = kFirstSaved; reg < kRegisters; ++reg)
      if (!restore(row, reg, cfa, cursor, caller)) return Step::kCut;
    if (!caller.has(kSp)) caller.set(kSp, cfa);
    if (!caller.has(kReturnAddress)) return Step::kCut;
    if (!is_above(caller.value[kSp]) && !row.signal_frame) return Step::kCut;
    sys::copy(&registers_, &caller, sizeof caller);
    return arrive(registers_.value[kReturnAddress], row.signal_frame);
  }

  bool find_cfa(const UnwindRow& row, ByteCursor& cursor, uint64_t& cfa) {
    const FrameRules& rules = row.rules;
    if (rules.cfa_is_expression) return compute(row, rules.cfa_value, cursor, nullptr, cfa);
    if (!registers_.has(rules.cfa_register)) return false;
    cfa = registers_.value[rules.cfa_register] + static_cast<uint64_t>(rules.cfa_value);
    return true;
  }

  bool compute(const UnwindRow& row, int64_t block, ByteCursor& cursor, const uint64_t* first,
               uint64_t& result) {
    cursor.aim(row.fde + static_cast<uint64_t>(block), row.fde_end);
    return evaluate(cursor, registers_, stack_, first, result);
  }

  bool restore(const UnwindRow& row, unsigned reg, uint64_t cfa, ByteCursor& cursor,
               Registers& caller) {
    SaveRule rule = row.rules.of(reg);
    uint64_t value = cfa + static_cast<uint64_t>(int64_t{rule.value()});
    switch (rule.save()) {
      case Save::kUndefined: return true;
      case Save::kSame:  // the stack pointer's rule, if none is given, is the CFA; a return address
                         // that was pushed must have one
        if (reg != kSp && (reg != kReturnAddress || !kIsPushed) && registers_.has(reg))
          caller.set(reg, registers_.value[reg]);  // NOLINT: has() knows it is set
        return true;
      case Save::kAtCfa:
        if (!stack_.read(value, value)) return false;
        break;
      case Save::kIsCfa: break;
      case Save::kAtExpression:
        if (!compute(row, rule.value(), cursor, &cfa, value) || !stack_.read(value, value))
          return false;
        break;
      case Save::kIsExpression:
        if (!compute(row, rule.value(), cursor, &cfa, value)) return false;
        break;
      case Save::kInRegister:
        if (!registers_.has(static_cast<uint64_t>(rule.value()))) return true;
        value = registers_.value[rule.value()];
        break;
    }
    caller.set(reg, value);
    return true;
  }

  Step arrive(uint64_t place, bool interrupted) {
    pc_ = interrupted ? place : without_signature(place);
    if (kIsPushed) registers_.set(kReturnAddress, place);
    else if (!interrupted) registers_.known &= ~(1u << kReturnAddress);  // the call has changed it
    exact_ = interrupted;
    return place ? Step::kFrame : Step::kEnd;
  }

  const ModuleTable& table_;
  uint64_t pc_;
  uint32_t generation_;
  bool may_call_kernel_;
  bool exact_ = true;  // pc is where execution stands, not where it returns to
  WalkNote* note_;
  Registers registers_;
  StackReader stack_;
};

}  // namespace

namespace {

[[gnu::noinline]] unsigned recall(const FrameState& state, uint64_t own, uint64_t* out,
                                  unsigned max, bool may_call_kernel) {
  StackReader stack(own, state.sp, may_call_kernel);
  return recall_walk(rule_generation(), state, stack, out, max);
}

}  // namespace

[[gnu::noinline]] unsigned backtrace(const ModuleTable& table, const FrameState& state,
                                     uint64_t* out, unsigned max, bool may_call_kernel, bool* cut,
                                     WalkNote* note) {
  *cut = true;
  if (max == 0) return 0;
  const auto own = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
  if (const unsigned known = recall(state, own, out, max, may_call_kernel)) {
    *cut = false;
    return known;
  }
  Walk walk(table, state, own, may_call_kernel, note);
  unsigned frames = 0;
  out[frames++] = state.pc;
  for (;;) {  // one step more than fits, to know whether the stack went on
    Step step = walk.step();
    if (step == Step::kFrame && frames < max) {
      out[frames++] = walk.pc();
      continue;
    }
    *cut = step != Step::kEnd;
    if (!*cut && note) remember_walk(walk.generation(), state, *note);
    return frames;
  }
}

void backtrace_forget() { next_rule_generation(); }

}  // namespace ovcshim
