// SPDX-License-Identifier: MIT
//
// The tick of the records (TSC) beside the clocks that people read. Rules: as event_lane.cc.
#pragma once
#include "shim/format/log_format.h"
#include "shim/proc/proc_files.h"

namespace ovcshim {

// One moment on three clocks. The tick lies within a microsecond or so of the others unless every
// try was interrupted.
ClockPair clock_pair();

// FileHeader::newest is a few milliseconds old at most; and see to it that it is.
bool is_clock_known(uint64_t tick);
void keep_clock_known(uint64_t tick);

void add_clocks(Facts& facts, const ClockPair& pair);

}  // namespace ovcshim
