// SPDX-License-Identifier: MIT
//
// Reads words of the calling thread's stack without ever faulting.
//   The main thread's stack (known_stack.h), from the page we run on up to its top: directly,
//   without a system call.
//   Another stack (of a thread, a coroutine, a signal handler): directly too, upwards from the page
//   we run on, but each page is proven readable first, once a walk. Not kept from walk to walk:
//   threads' stacks are given back by libc without a call that is seen, and coroutines' stacks come
//   and go at the same addresses.
//   Everything else (another stack, a wild pointer): by copy through the kernel, since memory that
//   is not this thread's stack may be unmapped by another thread between proof and read. Once a
//   walk has left the stack it began on it stays with copies.
#pragma once
#include <cstdint>

#include "shim/unwind/known_stack.h"

namespace ovcshim {

class StackReader {
 public:
  // `own` is an address in the caller's frame: its page is readable, for we run on it.
  // Without the kernel's help the pages from there to `sp` count as readable too if they are few:
  // they hold the frames between the one being looked at and ours. Nothing further is provable
  // then.
  StackReader(uint64_t own, uint64_t sp, bool may_call_kernel)
      : low_(page(own)), high_(low_ + kPageBytes), may_call_kernel_(may_call_kernel) {
    if (!may_call_kernel && sp - own < kOwnFramesBytes) high_ = page(sp) + kPageBytes;
    if (const uint64_t top = known_stack_top(own)) high_ = top;
    base_ = low_;
  }

  // False where the word cannot be read, or not be proven to be readable.
  bool read(uint64_t at, uint64_t& value) {
    if (at & 7) return false;
    if ((at < low_ || at >= high_) && !(near(at) && prove(at))) return copied(at, value);
    value = load(at);
    return true;
  }

 private:
  static constexpr uint64_t kPageBytes = 4096;       // a divisor of every page size is right
  static constexpr uint64_t kOwnFramesBytes = 8192;  // frames of the shim above ours
  static constexpr uint64_t kNearBytes = 65536;      // a frame larger than this is walked by copies
  static constexpr uint64_t kWindowBytes =
      128;  // divides the page, so that a window is readable in full or not at all

  // A sanitizer would complain of bytes between a frame's variables.
  [[gnu::no_sanitize_address]] static uint64_t load(uint64_t at) {
    return *reinterpret_cast<const volatile uint64_t*>(at);
  }

  static uint64_t page(uint64_t at) { return at & ~(kPageBytes - 1); }
  bool near(uint64_t at) const {
    return may_call_kernel_ && !left_ && at >= base_ && at < high_ + kNearBytes;
  }
  bool prove(uint64_t at);
  bool copied(uint64_t at, uint64_t& value);

  uint64_t base_ = 0;       // lowest page of the stack that concerns us
  uint64_t low_, high_;     // proven
  uint64_t window_at_ = 1;  // no window: windows begin at multiples of kWindowBytes
  bool may_call_kernel_;
  bool left_ = false;  // the walk has left the stack it began on
  uint64_t window_[kWindowBytes / 8];
};

}  // namespace ovcshim
