// SPDX-License-Identifier: MIT
//
// What `ovc plan` found, before it is written as text or JSON.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/outlook/plan_search.h"
#include "tools/outlook/save_outlook.h"
#include "tools/text/output.h"

namespace ovc {

struct PlanReport {
  std::string comm;  // raw
  uint32_t pid = 0;
  std::optional<int64_t> refused_ns,
      granted_ns;  // when the fork was, ns since 1970; neither: a process that runs now
  std::vector<std::string> given;  // the options that replace the host's values, as they were given
  uint64_t growth_kb = 0;          // asked for with --grow
  ForkCase fork;                   // under these settings, grown
  Charge charge;                   // without the growth
  bool passes = false, borderline = false;
  std::optional<Mode2Verdict> mode2;
  std::optional<int64_t> growth;         // mode 2: on top of growth_kb
  std::optional<int64_t> single_growth;  // mode 0
  std::optional<SmallestSettings> smallest,
      surely;  // mode 2; surely: whatever the kernel's own counter says
  std::vector<Exclusion> largest;
  std::vector<std::string> notes;  // whose figures these are, what contradicts them
  ReserveEffect reserve;
  std::optional<SaveOutlook> save;  // of a running process: whether what a fork copies finds room
  SaveTexts save_texts;
};

std::string plan_text(const PlanReport& report);
std::string plan_json(const PlanReport& report);

}  // namespace ovc
