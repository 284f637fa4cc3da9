// SPDX-License-Identifier: MIT
//
// What a process's former saves needed, as its log has them: for `ovc check`.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/host/proc_files.h"
#include "tools/verdict/siblings.h"

namespace ovc {

struct FormerSaves {
  Siblings of;
  uint64_t ended = 0, failed = 0, killed = 0;
  // The one that may have copied most: each page fault of the child, and of the parent meanwhile,
  // is one page copied or taken anew.
  std::optional<uint64_t> own_faults, parent_faults;
  std::optional<uint64_t> most_kb;  // both; absent if the child's are not known
};

// Of the process that had this number in the log; of all if 0. Those that saved; if none is known
// to have, of all that were copies of it.
std::vector<FormerSaves> former_saves(const LogReader& log, uint32_t pid, uint64_t page_kb);
// Under THP always a fault may take a whole huge page: then the faults are no bound.
std::string former_text(const FormerSaves& saves, bool thp_always);
// Of a running process, from the log that it maps; empty if there is none that can be read.
std::vector<FormerSaves> former_saves_of(const SystemRoot& root, uint32_t pid,
                                         const std::string& log, uint64_t page_kb);

}  // namespace ovc
