// SPDX-License-Identifier: MIT
//
// How much memory is left for what cannot be given back under pressure: in the memory control group
// of this process and in those above it as far as they are visible, and on the machine.
#pragma once
#include "shim/proc/cgroups.h"

namespace ovcshim {

// Bytes; the smallest of all levels. kInfinite: no limit; kUnknown: it is not certain which group
// is the process's own, or nothing could be read.
uint64_t memory_group_room(const GroupFiles& where = {});

// MemAvailable in bytes, kUnknown if it cannot be read.
uint64_t memory_room();

}  // namespace ovcshim
