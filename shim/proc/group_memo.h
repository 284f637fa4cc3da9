// SPDX-License-Identifier: MIT
//
// The control groups of a program that starts soon after another one in the same groups: where they
// are and what limits them was found out by that one and is copied; whatever may have been counted
// since is read. A shell script starts programs by the hundred, and each reading is a dozen files.
// The groups are the same if their names are, in the same cgroup namespace, and the folder is the
// same. Rules: as proc_files.h.
#pragma once
#include "shim/proc/cgroups.h"

namespace ovcshim {

struct GroupMoment {
  uint64_t tick, ticks_per_ms;  // now
  uint64_t host_kills;          // kVmstatOomKill, read just before; kUnknown: no memo is taken
};

// As add_cgroups() without text, by the memo in the log, or else written to it.
void add_cgroups_by_memo(Facts& facts, char* io, uint64_t room, GroupMemo& shared,
                         const GroupMoment& now, const GroupFiles& files = {});

}  // namespace ovcshim
