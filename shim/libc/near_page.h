// SPDX-License-Identifier: MIT
//
// A page beside libc, for a shim that was loaded when the room there was taken: a jump reaches 2
// GiB.
#pragma once
#include <cstdint>

#pragma GCC visibility push(hidden)

namespace ovcshim {

// An empty page of code (readable, executable; filled by CodeWriter) within reach of jumps from
// anywhere in [start, end); 0: there is none.
uint64_t map_near(uint64_t start, uint64_t end);

}  // namespace ovcshim

#pragma GCC visibility pop
