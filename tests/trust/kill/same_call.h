// SPDX-License-Identifier: MIT
//
// Is a record of the log the call that the victim's journal tells of?
#pragma once
#include "tests/trust/kill/journal.h"
#include "tools/log/log_reader.h"

namespace kill_test {

bool is_realloc(ovcshim::Op op);
bool is_malloc_family(ovcshim::Op op);
uint64_t size_of(const Entry& e);  // bytes a call of the malloc family asks for
bool is_lane_call(const Entry& e);

// `known`: the call has returned, so that what it gave can be compared, too.
bool same_call(const Entry& e, const ovc::Call& c, bool known);
bool same_event(const Entry& e, const ovc::Event& log, bool known);

}  // namespace kill_test
