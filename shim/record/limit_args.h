// SPDX-License-Identifier: MIT
//
// A struct rlimit of the program as it is recorded: soft and hard. Rules: as event_lane.cc.
#pragma once
#include <sys/resource.h>

#include "shim/record/state.h"
#include "shim/sys/seccomp.h"

namespace ovcshim {

// kUnknown where there is none: not given, not to be read (a bad pointer is for the kernel to
// refuse), or not filled in.
inline void limit_args(uint64_t* to, const struct rlimit* from) {
  const auto word = reinterpret_cast<uint64_t>(from) & ~uint64_t{7};
  const bool readable = from && !is_quiet() && sys::readable(reinterpret_cast<const void*>(word)) &&
                        sys::readable(reinterpret_cast<const void*>(word + 8));
  to[0] = to[1] = kUnknown;
  if (!readable) return;
  to[0] = from->rlim_cur == RLIM_INFINITY ? kInfinite : from->rlim_cur;
  to[1] = from->rlim_max == RLIM_INFINITY ? kInfinite : from->rlim_max;
}

}  // namespace ovcshim
