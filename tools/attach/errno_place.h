// SPDX-License-Identifier: MIT
//
// Where errno lies: the distance from the thread pointer, read from the code of libc's
// __errno_location. 0: the function has another shape.
#pragma once
#include <cstdint>

#include "tools/attach/stopped.h"

namespace ovc {

int64_t errno_distance(const Memory& memory, uint64_t function);

}  // namespace ovc
