// SPDX-License-Identifier: MIT
//
// What the kernel tells a program at its start: pairs of a type (AT_*) and a value, behind the
// environment.
#pragma once
#include <cstdint>

#pragma GCC visibility push(hidden)

namespace ovcshim {

extern const uint64_t* g_auxv;  // null before the constructor, and where it had no environment

inline const uint64_t* auxv_behind(char** envp) {
  while (*envp) ++envp;
  return reinterpret_cast<const uint64_t*>(envp + 1);
}

// 0 if there is none of that type.
inline uint64_t auxv_value(const uint64_t* auxv, uint64_t type) {
  for (; auxv[0]; auxv += 2)
    if (auxv[0] == type) return auxv[1];
  return 0;
}

}  // namespace ovcshim

#pragma GCC visibility pop
