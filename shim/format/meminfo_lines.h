// SPDX-License-Identifier: MIT
//
// Which line of /proc/meminfo is which fact, in the kernel's order: for the shim, which records
// them, and for ovc, which reads them of the machine it runs on.
#pragma once
#include "shim/format/log_format.h"

namespace ovcshim {

struct MeminfoLine {
  const char* name;
  FactKey key;
};
inline constexpr MeminfoLine kMeminfoLines[] = {
    {"MemTotal:", FactKey::kMemTotalKb},
    {"MemFree:", FactKey::kMemFreeKb},
    {"MemAvailable:", FactKey::kMemAvailableKb},
    {"Buffers:", FactKey::kBuffersKb},
    {"Cached:", FactKey::kCachedKb},
    {"SwapCached:", FactKey::kSwapCachedKb},
    {"SwapTotal:", FactKey::kSwapTotalKb},
    {"SwapFree:", FactKey::kSwapFreeKb},
    {"Shmem:", FactKey::kShmemKb},
    {"KReclaimable:", FactKey::kKReclaimableKb},
    {"SReclaimable:", FactKey::kSReclaimableKb},
    {"CommitLimit:", FactKey::kCommitLimitKb},
    {"Committed_AS:", FactKey::kCommittedAsKb},
    {"HugePages_Total:", FactKey::kHugePagesTotal},
    {"HugePages_Free:", FactKey::kHugePagesFree},
    {"HugePages_Rsvd:", FactKey::kHugePagesRsvd},
    {"Hugepagesize:", FactKey::kHugepagesizeKb},
    {"Hugetlb:", FactKey::kHugetlbKb},
};

}  // namespace ovcshim
