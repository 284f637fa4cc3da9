// SPDX-License-Identifier: MIT
//
// malloc and its family: hot. Small successful requests go to the call lane, big and failed ones
// are events. Sizes are forwarded unchanged.
#include "shim/interpose/interpose.h"
#include "shim/record/call_lane.h"
#include "shim/sys/thread_pointer.h"

using namespace ovcshim;

namespace {

uint64_t address_of(const void* p) { return reinterpret_cast<uint64_t>(p); }
bool is_big(size_t size) { return OVC_UNLIKELY(size >= kBigRequestBytes); }

// A small request that failed: the refusals beneath it were recorded when they happened; its event
// begins where they do, so that it encloses them.
OVC_COLD void small_failure(Op op, uint64_t caller, uint64_t size, uint64_t a0, uint64_t a1,
                            uint64_t a2, int64_t result, int err) {
  Event event;
  set_args(event, a0, a1, a2, 0, 0, 0);
  event.size = size;
  if (!begin(event, op, When::kAfter, Freshness::kCheap, caller, here())) return;
  const Hot& hot = *t_hot;
  if (hot.refused_end && event.base.begin_tick - hot.refused_end < g_ticks_per_ms / 4)
    event.base.begin_tick = hot.refused_begin;
  end(event, result, true, err);
}

template <typename Call>
[[gnu::always_inline]] inline void* big_request(Op op, uint64_t caller, uint64_t size, uint64_t a0,
                                                uint64_t a1, uint64_t a2, Call call) {
  Event event;
  set_args(event, a0, a1, a2, 0, 0, 0);
  event.size = size;
  const bool on = begin(event, op, When::kAfter, Freshness::kCheap, caller, here());
  void* p = call();
  if (on) finish<Failure::kNull>(event, to_word(p));
  return p;
}

OVC_COLD void* none_given(Op op, uint64_t caller, uint64_t size, uint64_t a0, uint64_t a1) {
  small_failure(op, caller, size, a0, a1, 0, 0, errno);
  return nullptr;
}

// After the call; `size` bytes asked for, block at p. Inlined, so that the caller is read when it
// is needed; each way from here ends in one jump that gives back p: nothing is kept meanwhile.
[[gnu::always_inline]] inline void* note(Op op, void* p, size_t size, uint64_t a0, uint64_t a1,
                                         uint64_t align_log2 = 0) {
  if (OVC_UNLIKELY(!p)) return none_given(op, OVC_CALLER, size, a0, a1);
  return reinterpret_cast<void*>(record_call(op, address_of(p), size, OVC_CALLER, align_log2));
}

// nmemb * size, or the largest number where that overflows: such a request fails.
size_t product(size_t nmemb, size_t size) {
  size_t total = 0;
  return __builtin_mul_overflow(nmemb, size, &total) ? SIZE_MAX : total;
}

uint64_t log2_of(size_t alignment) {
  return alignment ? 63u - static_cast<unsigned>(__builtin_clzl(alignment)) : 0;
}

OVC_COLD void* big_malloc(size_t size, uint64_t caller) {
  return big_request(Op::kMalloc, caller, size, size, 0, 0, [=] { return next.malloc(size); });
}
OVC_COLD void* big_calloc(size_t nmemb, size_t size, uint64_t caller) {
  return big_request(Op::kCalloc, caller, product(nmemb, size), nmemb, size, 0,
                     [=] { return next.calloc(nmemb, size); });
}
OVC_COLD void* big_realloc(void* old, size_t size, uint64_t caller) {
  return big_request(Op::kRealloc, caller, size, address_of(old), size, 0,
                     [=] { return next.realloc(old, size); });
}
OVC_COLD void* big_reallocarray(void* old, size_t nmemb, size_t size, uint64_t caller) {
  return big_request(Op::kReallocarray, caller, product(nmemb, size), address_of(old), nmemb, size,
                     [=] { return next.reallocarray(old, nmemb, size); });
}

// realloc(p, 0) may free p and return nullptr without being a failure; realloc of a small block to
// a small size.
[[gnu::always_inline]] inline void* small_realloc(Op op, void* old, size_t total, uint64_t caller,
                                                  void* p, uint64_t a1) {
  if (OVC_UNLIKELY(!p && total != 0)) {
    small_failure(op, caller, total, address_of(old), a1,
                  op == Op::kReallocarray ? total / (a1 ? a1 : 1) : 0, 0, errno);
    return p;
  }
  record_call<false>(Op::kReallocFrom, address_of(old), total, caller);
  return reinterpret_cast<void*>(record_call(op, address_of(p), total, caller));
}

template <typename Function>
[[gnu::always_inline]] inline void* aligned(Op op, Function* function, size_t alignment,
                                            size_t size, uint64_t caller) {
  if (is_big(size))
    return big_request(op, caller, size, alignment, size, 0,
                       [=] { return function(alignment, size); });
  return note(op, function(alignment, size), size, alignment, size, log2_of(alignment));
}

template <typename Function>
[[gnu::always_inline]] inline void* paged(Op op, Function* function, size_t size, uint64_t caller) {
  if (is_big(size))
    return big_request(op, caller, size, size, 0, 0, [=] { return function(size); });
  return note(op, function(size), size, size, 0, 12);
}

OVC_COLD int big_posix_memalign(void** to, size_t alignment, size_t size, uint64_t caller) {
  Event event;
  set_args(event, alignment, size, 0, 0, 0, 0);
  event.size = size;
  const bool on = begin(event, Op::kPosixMemalign, When::kAfter, Freshness::kCheap, caller, here());
  const int code = next.posix_memalign(to, alignment, size);
  if (!on) return code;
  if (code == 0) event.base.args[2] = address_of(*to);
  finish<Failure::kCode>(event, code);
  return code;
}

}  // namespace

OVC_EXPORT void* malloc(size_t size) noexcept {
  if (is_big(size)) return big_malloc(size, OVC_CALLER);
  return note(Op::kMalloc, next.malloc(size), size, size, 0);
}

OVC_EXPORT void* calloc(size_t nmemb, size_t size) noexcept {
  const size_t total = product(nmemb, size);
  if (is_big(total)) return big_calloc(nmemb, size, OVC_CALLER);
  return note(Op::kCalloc, next.calloc(nmemb, size), total, nmemb, size);
}

// free(nullptr) is all that libc's does without a look at anything thread-local: neither may we.
OVC_COLD static void free_nothing(uint64_t caller) {
  if (has_libc_tls()) record_call(Op::kFree, 0, 0, caller);
  next.free(nullptr);
}

[[gnu::noinline]] static void free_slowly(void* p, uint64_t caller, uint64_t place) {
  record_call_slow(place, Op::kFree, address_of(p), 0, caller, 1);
  next.free(p);
}

// Before the block is given back: afterwards another thread may own, and record, the same address.
OVC_EXPORT void free(void* p) noexcept {
  if (OVC_UNLIKELY(!p)) return free_nothing(OVC_CALLER);
  uint64_t place;
  if (OVC_UNLIKELY(!record_at_once(place, Op::kFree, address_of(p), 0, OVC_CALLER, 0)))
    return free_slowly(p, OVC_CALLER, place);
  next.free(p);
}

OVC_EXPORT void* realloc(void* old, size_t size) noexcept {
  if (is_big(size)) return big_realloc(old, size, OVC_CALLER);
  return small_realloc(Op::kRealloc, old, size, OVC_CALLER, next.realloc(old, size), size);
}

OVC_EXPORT void* reallocarray(void* old, size_t nmemb, size_t size) noexcept {
  const size_t total = product(nmemb, size);
  if (is_big(total)) return big_reallocarray(old, nmemb, size, OVC_CALLER);
  return small_realloc(Op::kReallocarray, old, total, OVC_CALLER,
                       next.reallocarray(old, nmemb, size), nmemb);
}

OVC_EXPORT int posix_memalign(void** to, size_t alignment, size_t size) noexcept {
  if (is_big(size)) return big_posix_memalign(to, alignment, size, OVC_CALLER);
  const int code = next.posix_memalign(to, alignment, size);
  if (OVC_UNLIKELY(code != 0)) {
    small_failure(Op::kPosixMemalign, OVC_CALLER, size, alignment, size, 0, code, code);
    return code;
  }
  note(Op::kPosixMemalign, *to ? *to : reinterpret_cast<void*>(1), size, alignment, size,
       log2_of(alignment));
  return code;
}

OVC_EXPORT void* aligned_alloc(size_t alignment, size_t size) noexcept {
  return aligned(Op::kAlignedAlloc, next.aligned_alloc, alignment, size, OVC_CALLER);
}
OVC_EXPORT void* memalign(size_t alignment, size_t size) noexcept {
  return aligned(Op::kMemalign, next.memalign, alignment, size, OVC_CALLER);
}
OVC_EXPORT void* valloc(size_t size) noexcept {
  return paged(Op::kValloc, next.valloc, size, OVC_CALLER);
}
OVC_EXPORT void* pvalloc(size_t size) noexcept {
  return paged(Op::kPvalloc, next.pvalloc, size, OVC_CALLER);
}
