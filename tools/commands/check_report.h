// SPDX-License-Identifier: MIT
//
// What `ovc check` found, before it is written as text, JSON or metrics.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/commands/check_former.h"
#include "tools/host/lock_wait.h"
#include "tools/outlook/fork_outlook.h"
#include "tools/outlook/save_outlook.h"
#include "tools/text/json_fwd.h"
#include "tools/text/output.h"

namespace ovc {

struct CheckRow {
  LiveProcess process;  // without its list of mappings, which could be long
  ForkOutlook outlook;
  SaveOutlook save;                 // would what a fork copies while it lives find room
  std::vector<FormerSaves> former;  // only where one process was asked for
  std::vector<StuckChild> stuck;    // itself, or children of it
  std::optional<ovcshim::MappingEntry> biggest;  // the largest single request of the fork
};

struct CheckReport {
  HostRules host;
  Depth depth = Depth::kExact;
  std::vector<CheckRow> rows;  // largest charge first, those that are not known last
  uint64_t skipped = 0;        // kernel threads and zombies
  uint64_t gone = 0;           // ended while they were read
  bool details = false;        // one process was asked for

  uint64_t count(Answer answer) const;
  bool any_stuck() const;
};

CheckReport check_processes(const LiveHost& host, const std::vector<uint32_t>& pids, Depth depth);

std::string check_text(const CheckReport& report);
Json check_json(const CheckReport& report);
Json former_json(const FormerSaves& saves);
Json save_json(const SaveOutlook& outlook, const SaveTexts& texts);
// OpenMetrics text, which readers of the older Prometheus format take as well.
std::string check_openmetrics(const CheckReport& report);

}  // namespace ovc
