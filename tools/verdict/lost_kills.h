// SPDX-License-Identifier: MIT
//
// A process that is gone, of whose end nothing is recorded: what the OOM killer of its memory group
// has counted since, read now from the group itself.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/verdict/why_scan.h"

namespace ovc {

struct GroupKills {
  uint64_t group = 0;  // the number of its folder
  uint64_t kills = 0;  // since the process was last known to live and the counter was read
  uint64_t explained =
      0;  // of them at most: ends by SIGKILL that a recorded wait was told of since
  std::vector<std::string> notes;
};
// nullopt: its group counted nothing, is gone, or was never recorded.
std::optional<GroupKills> kills_since(const LogReader& log, const WhyScan& scan,
                                      const ProcessKey& process);

}  // namespace ovc
