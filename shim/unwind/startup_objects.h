// SPDX-License-Identifier: MIT
//
// Which objects the program was started with: they stay mapped until its end, so their headers and
// unwind tables may be read directly (memory.h).
#pragma once
#include <cstdint>

#pragma GCC visibility push(hidden)

namespace ovcshim {

// From the constructor. `auxv` may be null: then the program itself counts only if it is
// position-independent. `pid`: this process's.
void keep_startup_objects(const uint64_t* auxv, long pid);

// The loader's own entry, the last that was there at the start: it may be read directly, and the
// list from it on by copy. 0: not known.
uint64_t last_startup_entry();

}  // namespace ovcshim

#pragma GCC visibility pop
