// SPDX-License-Identifier: MIT
//
// Which files of /proc are the kernel's here, and what sysinfo(2) says beside them: the facts from
// which tools/rules/host_figures.h decides whose figures count.
#pragma once
#include <vector>

#include "tools/host/proc_files.h"

namespace ovc {

// kSysinfo*, kForeign*. Of a recorded tree what it was given.
std::vector<ovcshim::Fact> own_figures(const SystemRoot& root);

// Does Committed_AS of /proc/meminfo follow what is mapped? A copy that somebody mounted does not.
// Maps 64 MiB between two readings, touches nothing and gives them back.
bool committed_follows(const SystemRoot& root);

}  // namespace ovc
