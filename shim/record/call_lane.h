// SPDX-License-Identifier: MIT
//
// The hot path: a malloc-family call that succeeded with a small size. About 25 instructions for a
// free, 30 beside the call itself for a malloc (tests/bench/instructions.sh): a comparison tells
// that this thread records every call, then seven stores to its own cache lines, no atomic
// read-modify-write on shared memory, no system call, no lock. The TSC is read once in 16 records,
// the stack once in half a MiB of requests (samples.h).
// Signal-safe against itself: a record's place is claimed by one instruction, so a handler that
// interrupts it gets the next place.
#pragma once
#include "shim/format/call_address.h"
#include "shim/record/samples.h"
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

// A call that is (or will be) in the event lane. size: bytes requested, malloc family only.
void count_event(Op op, uint64_t size, bool failed);

// Call-lane records this thread has written.
uint64_t thread_call_seq();

// This thread's state and stripe, made if need be; false if the process does not record. Cold.
bool ensure_thread();

// The bucket of a request; one of the call lane is small, so that its number of bits is all.
inline unsigned size_bucket(uint64_t size) {
  const unsigned width = size ? 64u - static_cast<unsigned>(__builtin_clzl(size)) : 0;
  return width < kHistogramBuckets ? width : kHistogramBuckets - 1;
}
inline uint64_t small_size_bucket(uint64_t size) {
#if defined(__x86_64__)
  uint64_t width;  // the builtin's is an int, which has to be widened again
  asm("bsrq %1, %0" : "=r"(width) : "r"(2 * size + 1) : "cc");
  return width;
#else
  return 63u ^ static_cast<unsigned>(__builtin_clzl(2 * size + 1));
#endif
}
static_assert(kBigRequestBytes < uint64_t{1} << (kHistogramBuckets - 1));

#if defined(__x86_64__)
inline constexpr unsigned kCallerShift = 0;
#else
inline constexpr unsigned kCallerShift = 2;
#endif

// Of a small request.
inline void count_request(Stripe& stripe, Op op, uint64_t size) {
  bump(stripe.calls[static_cast<size_t>(op)], 1);
  if (op == Op::kFree) return;
  bump(stripe.sizes[small_size_bucket(size)], 1);
  bump(stripe.requested_bytes, size);
}

inline void write_call(uint64_t place, Op op, uint64_t address, uint64_t size, uint64_t caller,
                       uint64_t align_log2) {
  auto* record = reinterpret_cast<CallRecord*>(place);
  record->aux = call_aux(caller >> kCallerShift, size);
  // release: the reader takes a record with word != 0 as complete
  __atomic_store_n(&record->word, call_word(op, address, align_log2) | top_bit_written(address),
                   __ATOMIC_RELEASE);
}

// Of a place that was claimed: before the next time mark's and the end of the chunk.
inline bool is_at_once(const Hot& hot, uint64_t place) { return place < hot.limit; }

// All calls go to the call lane if g.min_size is 0, no free() else.
inline bool is_kept(Op op, uint64_t size) {
  return size >= g.min_size && (g.min_size == 0 || op != Op::kFree);
}

// A call that is only counted, where that is all there is to do: below g.min_size, or the lane is
// off; not in the shared stripe, which wants atomic adds.
template <bool counted>
[[gnu::always_inline]] inline bool count_at_once(Op op, uint64_t size) {
  if (!t_hot.is_set() || is_kept(op, size)) return false;
  if (!counted) return true;
  Stripe* stripe = t_hot.hot->stripe;
  if (OVC_UNLIKELY(!stripe || reinterpret_cast<unsigned char*>(stripe) == g.stripes)) return false;
  if (op != Op::kFree && OVC_UNLIKELY(passes_sample(*t_hot.hot, size))) return false;
  count_request(*stripe, op, size);
  bump(stripe->calls_not_kept, 1);
  return true;
}

// False: something is to be done first, and `place` belongs to whoever does it (0: none was
// claimed).
template <bool counted = true>
[[gnu::always_inline]] inline bool record_at_once(uint64_t& place, Op op, uint64_t address,
                                                  uint64_t size, uint64_t caller,
                                                  uint64_t align_log2) {
  place = 0;
  if (OVC_UNLIKELY(t_hot.mark != g.lane_mark)) return count_at_once<counted>(op, size);
  Hot* hot = t_hot.hot;
  place = advance(hot->cursor);
  if (OVC_UNLIKELY(!is_at_once(*hot, place))) return false;
  if (counted && op != Op::kFree && OVC_UNLIKELY(passes_sample(*hot, size))) return false;
  if (counted) count_request(*hot->stripe, op, size);
  write_call(place, op, address, size, caller, align_log2);
  return true;
}

// What is not done at once: goes there in one jump, so that the other way keeps nothing for later.
// Gives back `address`.
uint64_t record_call_slow(uint64_t place, Op op, uint64_t address, uint64_t size, uint64_t caller,
                          uint64_t align_log2_and_counted);

template <bool counted = true>
[[gnu::always_inline]] inline uint64_t record_call(Op op, uint64_t address, uint64_t size,
                                                   uint64_t caller, uint64_t align_log2 = 0) {
  uint64_t place;
  if (OVC_LIKELY(record_at_once<counted>(place, op, address, size, caller, align_log2)))
    return address;
  return record_call_slow(place, op, address, size, caller, align_log2 << 1 | counted);
}

}  // namespace ovcshim
