// SPDX-License-Identifier: MIT
//
// What a seccomp filter would answer to a system call of which only the number is known: its
// program is followed, with all that is not known (arguments, addresses) taken to be anything.
// Programs jump forward only (kernel/seccomp.c seccomp_check_filter(), net/core/filter.c
// bpf_check_classic()), so one pass in order is enough: of two ways to one place what both know
// stays known.
#pragma once
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstddef>
#include <cstdint>

namespace ovcshim {

enum class FilterAnswer : uint8_t {
  kHarmless,  // the call is made, or fails with an errno: the shim is tested for that
  kHarmful,   // it may end the program, raise SIGSYS, or wait for somebody's answer
  kNoFilter,  // no program that the kernel would take
};

#if defined(__x86_64__)
inline constexpr uint32_t kFilterArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
inline constexpr uint32_t kFilterArch = AUDIT_ARCH_AARCH64;
#endif

struct FilterValue {
  uint32_t value;
  bool known;
};

// The machine before an instruction. What a filter keeps in its scratch memory is not followed.
struct FilterState {
  bool reached;
  FilterValue a, x;
};

namespace filter {

inline constexpr FilterValue kAnything{0, false};

constexpr FilterValue computed(uint32_t operation, FilterValue a, FilterValue b) {
  if (!a.known || (!b.known && operation != BPF_NEG)) return kAnything;
  switch (operation) {
    case BPF_NEG: return {0 - a.value, true};
    case BPF_ADD: return {a.value + b.value, true};
    case BPF_SUB: return {a.value - b.value, true};
    case BPF_MUL: return {a.value * b.value, true};
    case BPF_DIV: return {b.value ? a.value / b.value : 0, true};
    case BPF_AND: return {a.value & b.value, true};
    case BPF_OR: return {a.value | b.value, true};
    case BPF_XOR: return {a.value ^ b.value, true};
    case BPF_LSH: return {b.value < 32 ? a.value << b.value : 0, true};
    case BPF_RSH: return {b.value < 32 ? a.value >> b.value : 0, true};
    default: return kAnything;
  }
}

constexpr bool compared(uint32_t operation, uint32_t a, uint32_t b) {
  switch (operation) {
    case BPF_JEQ: return a == b;
    case BPF_JGT: return a > b;
    case BPF_JGE: return a >= b;
    default: return (a & b) != 0;  // BPF_JSET
  }
}

constexpr bool is_harmless(FilterValue action) {
  const uint32_t what = action.value & SECCOMP_RET_ACTION_FULL;
  return action.known &&
         (what == SECCOMP_RET_ALLOW || what == SECCOMP_RET_LOG || what == SECCOMP_RET_ERRNO);
}

// What the kernel shows of the call (struct seccomp_data).
constexpr FilterValue loaded(const sock_filter& code, uint32_t nr) {
  switch (BPF_MODE(code.code)) {
    case BPF_IMM: return {code.k, true};
    case BPF_LEN: return {sizeof(seccomp_data), true};
    case BPF_ABS:
      if (code.k == offsetof(seccomp_data, nr)) return {nr, true};
      if (code.k == offsetof(seccomp_data, arch)) return {kFilterArch, true};
      return kAnything;
    default: return kAnything;
  }
}

constexpr void join(FilterValue& there, FilterValue comes) {
  if (!comes.known || comes.value != there.value) there.known = false;
}
constexpr bool arrive(FilterState* states, uint64_t length, uint64_t at, const FilterState& from) {
  if (at >= length) return false;
  FilterState& there = states[at];
  if (!there.reached) {
    there = from;
  } else {
    join(there.a, from.a);
    join(there.x, from.x);
  }
  return true;
}

// False: one of the places that may follow is outside.
constexpr bool jump(const sock_filter& code, uint64_t next, uint64_t length, FilterState* states,
                    const FilterState& now) {
  if (BPF_OP(code.code) == BPF_JA) return arrive(states, length, next + code.k, now);
  const FilterValue operand = BPF_SRC(code.code) == BPF_X ? now.x : FilterValue{code.k, true};
  const bool known = now.a.known && operand.known;
  const bool taken = known && compared(BPF_OP(code.code), now.a.value, operand.value);
  return ((known && !taken) || arrive(states, length, next + code.jt, now)) &&
         ((known && taken) || arrive(states, length, next + code.jf, now));
}

// All instructions but returns and jumps.
constexpr void execute(const sock_filter& code, uint32_t nr, FilterState& now) {
  const FilterValue operand = BPF_SRC(code.code) == BPF_X ? now.x : FilterValue{code.k, true};
  switch (BPF_CLASS(code.code)) {
    case BPF_ALU: now.a = computed(BPF_OP(code.code), now.a, operand); break;
    case BPF_LD: now.a = loaded(code, nr); break;
    case BPF_LDX: now.x = loaded(code, nr); break;
    case BPF_MISC:
      (BPF_MISCOP(code.code) == BPF_TAX ? now.x : now.a) =
          BPF_MISCOP(code.code) == BPF_TAX ? now.a : now.x;
      break;
    default: break;  // BPF_ST, BPF_STX
  }
}

}  // namespace filter

// `states`: room for as many as the program has instructions; nothing has to be in it.
constexpr FilterAnswer filter_answer(const sock_filter* program, uint64_t length, uint32_t nr,
                                     FilterState* states) {
  for (uint64_t i = 0; i < length; ++i) states[i] = {};
  if (length) states[0] = {true, {0, true}, {0, true}};
  for (uint64_t i = 0; i < length; ++i) {
    FilterState now = states[i];
    if (!now.reached) continue;
    const sock_filter& code = program[i];
    if (BPF_CLASS(code.code) == BPF_RET) {
      const bool by_a = BPF_RVAL(code.code) == BPF_A;
      if (!filter::is_harmless(by_a ? now.a : FilterValue{code.k, true}))
        return FilterAnswer::kHarmful;
    } else if (BPF_CLASS(code.code) == BPF_JMP) {
      if (!filter::jump(code, i + 1, length, states, now)) return FilterAnswer::kNoFilter;
    } else {
      filter::execute(code, nr, now);
      if (!filter::arrive(states, length, i + 1, now)) return FilterAnswer::kNoFilter;
    }
  }
  return length ? FilterAnswer::kHarmless : FilterAnswer::kNoFilter;
}

}  // namespace ovcshim
