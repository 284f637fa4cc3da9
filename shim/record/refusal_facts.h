// SPDX-License-Identifier: MIT
//
// Facts that only one kind of refusal needs. Called right after it. Rules: as event_lane.cc.
#pragma once
#include "shim/proc/proc_files.h"

namespace ovcshim {

// What the refused call `about` asks for: which of the limits on tasks it was, what System V shared
// memory or the file's filesystem has left.
void add_refusal_facts(Facts& facts, const EventBase& about);

// Is a failure of this call with this errno explained by add_refusal_facts()?
bool has_refusal_facts(Op op, int err);

}  // namespace ovcshim
