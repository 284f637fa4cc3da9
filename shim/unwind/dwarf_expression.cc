// SPDX-License-Identifier: MIT
//
// DWARF 5 section 2.5, as dwarf_expression.h limits it. Values are 64 bits wide and wrap.
#include "shim/unwind/dwarf_expression.h"

namespace ovcshim {
namespace {

constexpr unsigned kDepth = 12;
constexpr uint64_t kMaxBlockBytes = 128;

class Evaluator {
 public:
  Evaluator(ByteCursor& cursor, const Registers& registers, StackReader& stack)
      : c_(cursor), registers_(registers), stack_(stack) {}

  bool run(const uint64_t* first, uint64_t& result) {
    if (first) push(*first);
    while (good_ && !c_.done()) step(c_.u8());
    result = pop();
    return good_ && c_.ok();
  }

 private:
  void step(uint8_t op) {
    if (op >= 0x30 && op <= 0x4f) return push(op - 0x30u);   // lit0..lit31
    if (op >= 0x70 && op <= 0x8f) return based(op - 0x70u);  // breg0..breg31
    if (op == 0x92) return based(c_.uleb());                 // bregx
    good_ = good_ && (constant(op) || shuffle(op) || unary(op) || binary(op));
  }

  // clang-format off
  bool constant(uint8_t op) {
    switch (op) {
      case 0x08: push(c_.fixed<uint8_t>()); break;
      case 0x09: push(static_cast<uint64_t>(int64_t{c_.fixed<int8_t>()})); break;
      case 0x0a: push(c_.fixed<uint16_t>()); break;
      case 0x0b: push(static_cast<uint64_t>(int64_t{c_.fixed<int16_t>()})); break;
      case 0x0c: push(c_.fixed<uint32_t>()); break;
      case 0x0d: push(static_cast<uint64_t>(int64_t{c_.fixed<int32_t>()})); break;
      case 0x0e: case 0x0f: push(c_.fixed<uint64_t>()); break;
      case 0x10: push(c_.uleb()); break;
      case 0x11: push(static_cast<uint64_t>(c_.sleb())); break;
      default: return false;
    }
    return true;
  }

  bool shuffle(uint8_t op) {
    switch (op) {
      case 0x12: push(top(0)); break;   // dup
      case 0x13: pop(); break;          // drop
      case 0x14: push(top(1)); break;   // over
      case 0x16: swap(); break;
      case 0x96: break;                 // nop
      default: return false;
    }
    return true;
  }

  bool unary(uint8_t op) {
    switch (op) {
      case 0x06: push(load(pop())); break;             // deref
      case 0x1f: push(-pop()); break;                  // neg
      case 0x20: push(~pop()); break;                  // not
      case 0x23: push(pop() + c_.uleb()); break;       // plus_uconst
      default: return false;
    }
    return true;
  }

  bool binary(uint8_t op) {
    uint64_t b = pop(), a = pop();
    auto sa = static_cast<int64_t>(a), sb = static_cast<int64_t>(b);
    switch (op) {
      case 0x1a: push(a & b); break;
      case 0x1c: push(a - b); break;
      case 0x1e: push(a * b); break;
      case 0x21: push(a | b); break;
      case 0x22: push(a + b); break;
      case 0x24: push(b < 64 ? a << b : 0); break;
      case 0x25: push(b < 64 ? a >> b : 0); break;
      case 0x26: push(static_cast<uint64_t>(sa >> (b < 64 ? b : 63))); break;
      case 0x27: push(a ^ b); break;
      case 0x29: push(a == b); break;
      case 0x2a: push(sa >= sb); break;
      case 0x2b: push(sa > sb); break;
      case 0x2c: push(sa <= sb); break;
      case 0x2d: push(sa < sb); break;
      case 0x2e: push(a != b); break;
      default: return false;
    }
    return true;
  }
  // clang-format on

  void based(uint64_t reg) {
    uint64_t offset = static_cast<uint64_t>(c_.sleb());
    good_ = good_ && registers_.has(reg);
    push(good_ ? registers_.value[reg] + offset : 0);
  }
  uint64_t load(uint64_t at) {
    uint64_t value = 0;
    good_ = good_ && stack_.read(at, value);
    return value;
  }
  void swap() {
    uint64_t b = pop(), a = pop();
    push(b);
    push(a);
  }
  void push(uint64_t value) {
    good_ = good_ && used_ < kDepth;
    if (good_) values_[used_++] = value;
  }
  uint64_t pop() {
    good_ = good_ && used_ > 0;
    return good_ ? values_[--used_] : 0;
  }
  uint64_t top(unsigned below) {
    good_ = good_ && used_ > below;
    return good_ ? values_[used_ - 1 - below] : 0;
  }

  ByteCursor& c_;
  const Registers& registers_;
  StackReader& stack_;
  unsigned used_ = 0;
  bool good_ = true;
  uint64_t values_[kDepth];
};

}  // namespace

bool evaluate(ByteCursor& cursor, const Registers& registers, StackReader& stack,
              const uint64_t* first, uint64_t& result) {
  uint64_t bytes = cursor.uleb();
  if (!cursor.ok() || bytes == 0 || bytes > kMaxBlockBytes) return false;
  cursor.aim(cursor.at(), cursor.at() + bytes);
  return cursor.ok() && Evaluator(cursor, registers, stack).run(first, result);
}

}  // namespace ovcshim
