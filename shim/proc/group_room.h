// SPDX-License-Identifier: MIT
//
// How much memory is left for what cannot be given back under pressure: in the memory control group
// of this process and in those above it as far as they are visible, and on the machine.
#pragma once
#include <cstdint>

namespace ovcshim {

// Bytes; the smallest of all levels. kInfinite: no limit; kUnknown: nothing could be read.
uint64_t memory_group_room();

// MemAvailable in bytes, kUnknown if it cannot be read.
uint64_t memory_room();

}  // namespace ovcshim
