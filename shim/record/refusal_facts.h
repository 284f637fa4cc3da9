// SPDX-License-Identifier: MIT
//
// Facts that only one kind of refusal needs. Called right after it. Rules: as event_lane.cc.
#pragma once
#include "shim/proc/proc_files.h"

namespace ovcshim {

// They say ENOMEM, whatever the start of their shell was refused for (popen: until glibc 2.37).
inline bool hides_errno(Op op) { return op == Op::kPopen || op == Op::kWordexp; }

// A refused task: which of the limits on tasks it was.
void add_refusal_facts(Facts& facts, const EventBase& about);

}  // namespace ovcshim
