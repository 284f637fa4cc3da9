// SPDX-License-Identifier: MIT
//
// See readings_scenarios.h.
#include "tests/trust/model/readings_scenarios.h"

#include <fmt/format.h>
#include <algorithm>
#include <cstring>

#include "shim/record/readings.h"
#include "tools/log/log_readings.h"

namespace model {
namespace {

using namespace ovcshim;

constexpr uint64_t kStart = 1000, kUnit = 100;
GrowthStory& story = growth_story;

// All figures follow from the tick: what is put together of two readings is seen to be.
Reading reading_at(uint64_t tick) {
  return {tick, 10 * tick, 20 * tick, tick + 1, tick + 2, tick + 3};
}

void keep(uint64_t tick) {
  keep_reading(reading_at(tick));
  story.readings.push_back(tick);
}

void read_cells(const ovc::LogReader& log) {
  for (const ovc::ReadingsCell& cell : ovc::kept_readings(log)) {
    const auto& r = cell.first;
    if (r && (r->committed_kb != 10 * r->tick || r->limit_kb != 20 * r->tick ||
              r->vm_size_pages != r->tick + 1 || r->resident_pages != r->tick + 2 ||
              r->data_pages != r->tick + 3))
      story.read = fmt::format("a reading that nobody took, at {}", r->tick);
    for (const auto& extreme : {cell.lowest, cell.highest})
      if (extreme && extreme->committed_kb != 10 * extreme->tick)
        story.read = fmt::format("{} kB at {}", extreme->committed_kb, extreme->tick);
  }
}

std::string judge(const ovc::LogReader& log) {
  read_cells(log);
  if (!story.read.empty()) return story.read;
  const auto cells = ovc::kept_readings(log);
  const bool died = has_died(kA) || has_died(kB);
  for (const uint64_t tick : story.readings) {
    const auto holds = [&](const ovc::ReadingsCell& cell) {
      const bool has_first = cell.first || died;
      return has_first && cell.lowest && cell.highest && cell.lowest->tick <= tick &&
             tick <= cell.highest->tick;
    };
    if (std::none_of(cells.begin(), cells.end(), holds))
      return fmt::format("the reading at {} is in no cell", tick);
  }
  return "";
}

}  // namespace

uint64_t small_readings_bytes() {
  return sizeof(ReadingsHeader) + (kReadingLevels + 1) * sizeof(ReadingCell);
}

void shrink_readings(FileHeader& header) {
  std::memset(static_cast<void*>(g.readings.header), 0, small_readings_bytes());
  header.readings.bytes = small_readings_bytes();
  g.readings.layout = readings_layout(small_readings_bytes());
  *g.readings.header = {kStart, kUnit, {}};
}

std::vector<Scenario> readings_scenarios(const ovc::LogReader& log) {
  const auto writer = [](uint32_t tid, std::vector<uint64_t> ticks) {
    return Fiber{tid, true, [=] {
                   for (const uint64_t tick : ticks) keep(tick);
                 }};
  };
  const auto nothing = [] {};
  const auto judged = [&log] { return judge(log); };
  return {
      {"two writers take the same cell",
       nothing,
       {writer(kA, {1010, 1020}), writer(kB, {1030, 1005})},
       judged},
      {"a reader while a cell is taken",
       nothing,
       {writer(kA, {1010}), writer(kB, {1030}), Fiber{kReader, false, [&log] { read_cells(log); }}},
       judged},
  };
}

}  // namespace model
