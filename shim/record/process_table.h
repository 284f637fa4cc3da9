// SPDX-License-Identifier: MIT
//
// The shared tables of processes and counter stripes: claiming, and making room by folding dead
// processes into the totals.
#pragma once
#include "shim/record/process.h"

namespace ovcshim {

// Claims and fills this process's slot (g_private->slot, serial). fork_position: its fork's intent,
// kUnknown if not known.
void claim_process_slot(const StatFields& stat, uint64_t fork_position, bool new_image);

}  // namespace ovcshim
