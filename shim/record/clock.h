// SPDX-License-Identifier: MIT
//
// The tick of the records (TSC) beside the clocks that people read. Rules: as event_lane.cc.
#pragma once
#include "shim/format/log_format.h"
#include "shim/proc/proc_files.h"

namespace ovcshim {

// Whether the processor's counter runs at one rate in all states: then a new log's ticks are its.
// A process that joins a log takes that log's clock (FileHeader::clock), so that no log has two.
bool counter_is_steady();

// One moment on three clocks. The tick lies within a microsecond or so of the others unless every
// try was interrupted.
ClockPair clock_pair();

// FileHeader::newest is a few milliseconds old at most; and see to it that it is.
bool is_clock_known(uint64_t tick);
void keep_clock_known(uint64_t tick);

// Since the machine was started: what a process's start is told in.
uint64_t boot_ns();
// boot_ns() just before the newest fork of this process or the one it comes from; 0: none was seen.
// In plain memory: the child finds it.
extern uint64_t g_fork_clock;
// The tick of /proc/PID/stat's start that both moments lie in; kUnknown: not in the same.
uint64_t same_clock_tick(uint64_t from_ns, uint64_t to_ns);

void add_clocks(Facts& facts, const ClockPair& pair);

}  // namespace ovcshim
