// SPDX-License-Identifier: MIT
//
// Everything that a report shows, gathered from a log and bounded: what is left out is counted.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/report/report_clock.h"
#include "tools/report/report_flame.h"
#include "tools/report/report_lives.h"
#include "tools/report/report_readings.h"
#include "tools/report/report_spaces.h"
#include "tools/verdict/stats.h"
#include "tools/verdict/why_report.h"

namespace ovc {

struct ForkRow {
  uint64_t position = 0, tick = 0;
  std::optional<int64_t> took_ns, lived_ns;
  uint32_t pid = 0, child = 0;
  std::string comm, asked_by, end;  // escaped; end: of the child
  std::string_view call;
  std::string purpose;  // escaped
  std::optional<uint64_t> charge_kb, observed_kb, before_kb, after_kb;
  bool failed = false, returned = false;
  uint16_t err = 0;
};

struct MappingMark {
  uint64_t position = 0, tick = 0, kb = 0;
  std::optional<uint64_t> charge_kb;
  uint32_t pid = 0;
  std::string comm, caller;  // escaped
  std::string_view op;
};

struct RefusalMark {
  uint64_t tick = 0;
  size_t verdict = 0;
};

struct ReportData {
  WhyReport why;
  Stats stats;
  uint64_t first_tick = 0, last_tick = 0;
  std::optional<ReportClock> clock;
  std::optional<Readings> readings;
  std::vector<ForkRow> forks;  // by time
  uint64_t forks_left_out = 0;
  std::vector<std::string> unseen_births;  // sentences, escaped
  Lives lives;
  Spaces spaces;
  std::optional<ChargeStacks> stacks;
  std::vector<MappingMark> mappings;  // by time
  uint64_t mappings_left_out = 0;     // as large as is worth showing
  std::vector<RefusalMark> refusals;  // by time
  uint64_t refusals_left_out = 0;
  std::optional<uint64_t> rehearsed_limit_kb;
};

inline constexpr uint64_t kBigMappingKb = 1024;

// `symbols` has to live as long as the result.
ReportData gather_report(const LogReader& log, Symbols& symbols, const HostNow& now);

}  // namespace ovc
