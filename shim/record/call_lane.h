// SPDX-License-Identifier: MIT
//
// The hot path: a malloc-family call that succeeded with a small size. About 25 instructions, four
// stores to the thread's own cache lines, no atomic read-modify-write on shared memory, no system
// call, no lock. The TSC is read once in 16 records. Signal-safe against itself: a record's place
// is claimed by one instruction, so a handler that interrupts it gets the next place.
#pragma once
#include "shim/format/call_address.h"
#include "shim/record/state.h"

namespace ovcshim {

// Adds with one instruction, so that a signal handler on this thread cannot lose a count. Nobody
// else writes the word.
inline void bump(uint64_t& counter, uint64_t n) {
#if defined(__x86_64__)
  asm volatile("addq %1, %0" : "+m"(counter) : "er"(n));
#else
  __atomic_fetch_add(&counter, n, __ATOMIC_RELAXED);
#endif
}

// Claims room for one record: the old cursor.
inline uint64_t advance(uint64_t& cursor) {
#if defined(__x86_64__)
  uint64_t n = kCallRecordBytes;
  asm volatile("xaddq %0, %1" : "+r"(n), "+m"(cursor));
  return n;
#else
  return __atomic_fetch_add(&cursor, kCallRecordBytes, __ATOMIC_RELAXED);
#endif
}

// The cold half of count_unkept.
void count_unkept_slow(Op op, uint64_t size);

// A call that is (or will be) in the event lane. size: bytes requested, malloc family only.
void count_event(Op op, uint64_t size, bool failed);

// Call-lane records this thread has written.
uint64_t thread_call_seq();

// This thread's state and stripe, made if need be; false if the process does not record. Cold.
bool ensure_thread();

inline unsigned size_bucket(uint64_t size) {
  const unsigned width = size ? 64u - static_cast<unsigned>(__builtin_clzl(size)) : 0;
  return width < kHistogramBuckets ? width : kHistogramBuckets - 1;
}

#if defined(__x86_64__)
inline constexpr unsigned kCallerShift = 0;
#else
inline constexpr unsigned kCallerShift = 2;
#endif

inline void count_request(Stripe& stripe, Op op, uint64_t size) {
  bump(stripe.calls[static_cast<size_t>(op)], 1);
  if (op == Op::kFree) return;
  bump(stripe.sizes[size_bucket(size)], 1);
  bump(stripe.requested_bytes, size);
}

// A call that is only counted: below g.min_size, or the lane is off. The shared stripe wants atomic
// adds: slow path.
inline void count_unkept(Op op, uint64_t size) {
  Stripe* stripe = t_hot.is_set() ? t_hot.hot->stripe : nullptr;
  if (OVC_UNLIKELY(!stripe || reinterpret_cast<unsigned char*>(stripe) == g.stripes))
    return count_unkept_slow(op, size);
  count_request(*stripe, op, size);
  bump(stripe->calls_not_kept, 1);
}

inline void write_call(uint64_t place, Op op, uint64_t address, uint64_t size, uint64_t caller,
                       uint64_t align_log2) {
  auto* record = reinterpret_cast<CallRecord*>(place);
  record->aux = call_aux(caller >> kCallerShift, size);
  // release: the reader takes a record with word != 0 as complete
  __atomic_store_n(&record->word, call_word(op, address, align_log2) | top_bit_written(address),
                   __ATOMIC_RELEASE);
}

// What is left to do goes there in one jump, so that the way without it keeps nothing for later.
void record_call_slow(uint64_t place, Op op, uint64_t address, uint64_t size, uint64_t caller,
                      uint64_t align_log2_and_counted);

template <bool counted = true>
[[gnu::always_inline]] inline void record_call(Op op, uint64_t address, uint64_t size,
                                               uint64_t caller, uint64_t align_log2 = 0) {
  uint64_t place = 0;
  Hot* hot = t_hot.hot;
  if (OVC_UNLIKELY(!t_hot.is_set() ||
                   ((place = advance(hot->cursor)) & (kTimeMarkBytes - 1)) == 0 ||
                   place >= hot->end))
    return record_call_slow(place, op, address, size, caller, align_log2 << 1 | counted);
  if (counted) count_request(*hot->stripe, op, size);
  write_call(place, op, address, size, caller, align_log2);
}

}  // namespace ovcshim
