// SPDX-License-Identifier: MIT
//
// Reads DWARF's integers from a module's memory through a small window (copy_memory). Any
// failure (past the end, unmapped, malformed) makes the cursor bad for good; it then yields zeros
// and is done(), so loops need one check at the end.
#pragma once
#include <cstdint>

#include "shim/unwind/memory.h"

namespace ovcshim {

class ByteCursor {
 public:
  // Reads [at, end). Bytes up to `end` are known to exist, the window may fetch ahead that far.
  ByteCursor(uint64_t at, uint64_t end) : at_(at), end_(end), extent_(end) {}

  bool ok() const { return !bad_; }
  bool done() const { return bad_ || at_ >= end_; }
  uint64_t at() const { return at_; }
  void fail() { bad_ = true; }

  // Goes elsewhere; the window stays. Never beyond the end it was made with.
  void aim(uint64_t at, uint64_t end) {
    at_ = at;
    end_ = end;
    if (end > extent_ || at > end) fail();
  }
  void skip(uint64_t bytes) {
    if (bad_ || bytes > end_ - at_) return fail();
    at_ += bytes;
  }

  uint8_t u8() {
    if (done() || (at_ - window_at_ >= filled_ && !fetch())) {
      fail();
      return 0;
    }
    return window_[at_++ - window_at_];
  }
  template <class T>
  T fixed() {  // unaligned, little endian as the machines we know
    uint64_t value = 0;
    for (unsigned i = 0; i < sizeof(T); ++i) value |= static_cast<uint64_t>(u8()) << (8 * i);
    return static_cast<T>(value);
  }
  uint64_t uleb() {
    bool negative;
    unsigned bits;
    return leb(negative, bits);
  }
  int64_t sleb() {
    bool negative;
    unsigned bits;
    uint64_t value = leb(negative, bits);
    if (negative && bits < 64) value |= ~uint64_t{0} << bits;
    return static_cast<int64_t>(value);
  }

 private:
  static constexpr uint64_t kWindowBytes = 128;

  uint64_t leb(bool& negative, unsigned& bits) {
    uint64_t value = 0;
    for (bits = 0; bits < 70; bits += 7) {
      uint8_t byte = u8();
      if (bits < 64) value |= static_cast<uint64_t>(byte & 0x7f) << bits;
      negative = byte & 0x40;
      if (byte < 0x80) {
        bits += 7;
        return value;
      }
    }
    fail();
    negative = false;
    return 0;
  }
  bool fetch() {
    uint64_t bytes = extent_ - at_ < kWindowBytes ? extent_ - at_ : kWindowBytes;
    window_at_ = at_;
    filled_ = copy_memory(window_, at_, bytes) ? bytes : 0;
    return filled_ > 0;
  }

  uint64_t at_, end_, extent_;
  uint64_t window_at_ = 0, filled_ = 0;
  bool bad_ = false;
  unsigned char window_[kWindowBytes];
};

}  // namespace ovcshim
