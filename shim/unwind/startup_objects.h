// SPDX-License-Identifier: MIT
//
// Which objects the program was started with: they stay mapped until its end, so their headers and
// unwind tables may be read directly (memory.h).
#pragma once
#include <cstdint>

#pragma GCC visibility push(hidden)

namespace ovcshim {

// From the constructor. `auxv` may be null: then the program itself counts only if it is
// position-independent.
void keep_startup_objects(const uint64_t* auxv);

}  // namespace ovcshim

#pragma GCC visibility pop
