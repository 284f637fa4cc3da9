// SPDX-License-Identifier: MIT
//
// Readings that stay, whatever the lanes forget: readings_format.h. Callable anywhere, by any
// number of writers in any number of processes; never waits for anybody, asks the kernel nothing.
#pragma once
#include "shim/record/state.h"

#pragma GCC visibility push(hidden)

namespace ovcshim {

// One that was just taken, of the calling process.
void keep_reading(const Reading& reading);

}  // namespace ovcshim

#pragma GCC visibility pop
