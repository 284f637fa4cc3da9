// SPDX-License-Identifier: MIT
//
// Stands before shim/sys/sys.h on the include path of the model check: system calls ask the model
// who lives, copies can be interrupted. Everything else is the real file.
#pragma once
#define call real_call
#define copy real_copy
#define zero real_zero
#include "../../../../../../shim/sys/sys.h"
#undef call
#undef copy
#undef zero

namespace model {
long system_call(long nr, long a, long b, long c, long d, long e, long f);
void copy(void* to, const void* from, size_t bytes);
void zero(void* to, size_t bytes);
}  // namespace model

namespace ovcshim::sys {
inline long call(long nr, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  return model::system_call(nr, a, b, c, d, e, f);
}
inline void copy(void* to, const void* from, size_t bytes) { model::copy(to, from, bytes); }
inline void zero(void* to, size_t bytes) { model::zero(to, bytes); }
}  // namespace ovcshim::sys
