// SPDX-License-Identifier: MIT
//
// Huge pages as a failed request for them meets them. Sizes in kB. io: working memory. Rules: as
// event_lane.cc.
#pragma once
#include "shim/proc/proc_files.h"

namespace ovcshim {

// Which sizes the machine has.
void add_huge_sizes(Facts& facts, char* io);
uint64_t default_huge_kb(char* io, uint64_t room);
// The pool of one size. kUnknown, 0: nothing is added.
void add_huge_pool(Facts& facts, uint64_t size_kb, char* io);

}  // namespace ovcshim
