// SPDX-License-Identifier: MIT
//
// A log's records as `ovc show` orders them, without times and callers.
#pragma once
#include <string>
#include <vector>

#include "tools/log/call_text.h"
#include "tools/replay/timeline.h"
#include "tools/symbols/symbols.h"

namespace ovc::test {

inline std::vector<std::string> timeline_of(const LogReader& log) {
  const Symbols symbols(log);
  std::vector<std::string> lines;
  Timeline timeline(log, symbols);
  timeline.walk(
      [&](const Event& event, const EventPlace& place) {
        std::string line(2 * place.depth, ' ');
        append_call(line, event);
        append_result(line, event, place.fate);
        lines.push_back(line);
        return true;
      },
      [&](const Call& call, uint64_t) {
        std::string line;
        append_lane_call(line, call);
        lines.push_back(line);
        return true;
      });
  return lines;
}

}  // namespace ovc::test
