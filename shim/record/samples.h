// SPDX-License-Identifier: MIT
//
// Who asks malloc for small blocks: the stack of one call for each kSampleBytes asked for, on
// average (SAMPLES in growth_format.h). Costs two instructions a call; a sample costs a walk.
#pragma once
#include "shim/format/growth_format.h"
#include "shim/record/state.h"

namespace ovcshim {

// Adds a request to what this thread has asked for since its last sample: is the next one due?
// By one instruction, so that a signal handler on this thread loses nothing.
inline bool passes_sample(Hot& hot, uint64_t size) {
#if defined(__x86_64__)
  bool negative;
  asm volatile("subl %2, %0"
               : "+m"(hot.until_sample), "=@ccs"(negative)
               : "r"(static_cast<uint32_t>(size)));
  return negative;
#else
  return __atomic_sub_fetch(&hot.until_sample, static_cast<int32_t>(size), __ATOMIC_RELAXED) < 0;
#endif
}

// At the start of an image, when its process is known: the first requests of its first thread are
// not sampled.
void spare_first_requests();

// Of the call that passed it, or of one that found this thread's state new.
void take_sample(Hot& hot, Op op, uint64_t size, uint64_t caller);

}  // namespace ovcshim
