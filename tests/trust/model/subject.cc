// SPDX-License-Identifier: MIT
//
// See subject.h.
#include "tests/trust/model/subject.h"

#include "shim/record/call_lane.h"
#include "shim/record/state.h"

void model::record_malloc(uint64_t address, uint64_t size, uint64_t caller) {
  ovcshim::record_call(ovcshim::Op::kMalloc, address, size, caller);
}

void model::count_call(uint32_t row) { ovcshim::count(ovcshim::g.growth.rows[row].calls); }
