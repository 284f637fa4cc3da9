// SPDX-License-Identifier: MIT
//
// For causes_fork.cc and the lists of suspects: what makes copy_process() answer EAGAIN.
#pragma once
#include "tools/causes/causes_detail.h"
#include "tools/causes/groups.h"

namespace ovc::causes {

// Each is possible until something excludes it.
struct TaskSuspects {
  bool nproc, threads, numbers, pids;
  bool others;  // a seccomp filter, SCHED_DEADLINE
};
TaskSuspects task_suspects(const Evidence& evidence);
bool only(const TaskSuspects& s, bool TaskSuspects::*suspect);  // all others are excluded

// How far the clones came that were tried right after the refusal.
struct Probes {
  bool passed_user = false;           // RLIMIT_NPROC and threads-max
  bool passed_numbers = false;        // and the process number
  bool stopped_at_user = false;       // by one of the two
  bool stopped_before_group = false;  // by these or for want of a number
};
Probes probes_of(const Evidence& evidence);

// The nearest group that has as many tasks as it may have; without a path in older logs.
std::optional<GroupFigures> full_pids_group(const Evidence& evidence);

void add_task_suspects(const Evidence& evidence, Finding& finding);

}  // namespace ovc::causes
