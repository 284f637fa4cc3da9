// SPDX-License-Identifier: MIT
//
// Facts that only one kind of refusal needs. Called right after it. Rules: as event_lane.cc.
#pragma once
#include "shim/proc/proc_files.h"

namespace ovcshim {

// A refused task: which of the limits on tasks it was.
void add_refusal_facts(Facts& facts, const EventBase& about);

}  // namespace ovcshim
