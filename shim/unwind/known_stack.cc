// SPDX-License-Identifier: MIT
//
// See known_stack.h. `top` is set once and only ever cleared; `low` moves down by whoever has
// proven it: any of the values that threads may race for is right.
#include "shim/unwind/known_stack.h"

#include <atomic>

#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kMostPages = 64;  // a command line may be megabytes long: not worth it then

constinit std::atomic<uint64_t> low{0}, top{0};

uint64_t page(uint64_t at) { return at & ~(kPageBytes - 1); }

}  // namespace

void know_main_stack(uint64_t own, uint64_t above) {
  const uint64_t first = page(own), end = page(above) + kPageBytes;
  if (above <= own || end - first > kMostPages * kPageBytes) return;
  for (uint64_t at = first + kPageBytes; at < end; at += kPageBytes)
    if (!sys::readable(reinterpret_cast<const void*>(at))) return;
  low.store(first, std::memory_order_relaxed);
  top.store(end, std::memory_order_release);  // pairs with known_stack_top
}

uint64_t known_stack_top(uint64_t own) {
  const uint64_t end = top.load(std::memory_order_acquire);
  return own < end && own >= low.load(std::memory_order_relaxed) ? end : 0;
}

uint64_t deepen_known_stack(uint64_t base, uint64_t high) {
  const uint64_t end = top.load(std::memory_order_acquire);
  if (!end || high != low.load(std::memory_order_relaxed)) return high;
  low.store(base, std::memory_order_relaxed);
  return end;
}

void forget_known_stack(uint64_t start, uint64_t end) {
  if (start < top.load(std::memory_order_relaxed) && end > low.load(std::memory_order_relaxed))
    top.store(0, std::memory_order_seq_cst);
}

}  // namespace ovcshim
