// SPDX-License-Identifier: MIT
//
// Readings that stay: the shim's own code on a real log, over lives of any length, read back by the
// reader.
#include "shim/record/readings.h"

#include <algorithm>
#include <random>
#include <vector>

#include "tests/unit/catch.h"
#include "tests/unit/shim_fixture.h"
#include "tools/log/log_reader.h"
#include "tools/log/log_readings.h"

using namespace ovcshim;

namespace {

constexpr uint64_t kStart = uint64_t{1} << 40, kUnit = 1000;

void begin_anew() {
  REQUIRE(g.readings.layout.cells);
  for (uint64_t i = 0; i < g.readings.layout.cells; ++i) g.readings.cells[i] = {};
  *g.readings.header = {kStart, kUnit, {}};
}

Reading reading_at(uint64_t tick, uint64_t committed_kb) {
  return {tick, committed_kb, 2 * committed_kb, 30, 20, 10};
}

std::vector<uint64_t> ticks_of(const std::vector<ovc::ReadingsCell>& cells) {
  std::vector<uint64_t> ticks;
  for (const auto& cell : cells)
    if (cell.first) ticks.push_back(cell.first->tick);
  return ticks;
}

}  // namespace

TEST_CASE("readings: a place and its span are the same place, for every time and size") {
  std::mt19937_64 random(19);
  for (const uint64_t bytes : {uint64_t{2000}, uint64_t{30} << 10, uint64_t{1} << 20}) {
    const ReadingsLayout l = readings_layout(bytes);
    REQUIRE(l.cells);
    CHECK(sizeof(ReadingsHeader) + l.cells * sizeof(ReadingCell) <= bytes);
    CHECK(reading_place(UINT64_MAX, l).cell == l.cells - 1);
    for (int i = 0; i < 20000; ++i) {
      const uint64_t units = random() >> (32 + random() % 32);
      const ReadingPlace place = reading_place(units, l), span = reading_span(place.cell, l);
      REQUIRE(place.cell < l.cells);
      REQUIRE(place.begin == span.begin);
      REQUIRE(place.length == span.length);
      REQUIRE(place.begin <= units);
      if (place.cell + 1 < l.cells) REQUIRE(units < place.begin + place.length);
    }
  }
  CHECK(readings_layout(1 << 20).per_level == 512);
  CHECK(readings_layout(500).cells == 0);
  CHECK(readings_layout(0).cells == 0);
}

TEST_CASE("readings: at least 500 spread over a life of any length, and the extremes") {
  ShimLog shim(16 << 20, 1 << 20);
  REQUIRE(shim.opened);
  const uint64_t life = GENERATE(uint64_t{1100}, uint64_t{5000}, uint64_t{1023 * 4096},
                                 uint64_t{1} << 30, uint64_t{4000000000});
  begin_anew();
  constexpr uint64_t kCount = 40000;
  std::mt19937_64 random(life);
  uint64_t lowest = UINT64_MAX, highest = 0;
  for (uint64_t i = 0; i < kCount; ++i) {
    const uint64_t kb = 1000000 + random() % 1000000;
    lowest = std::min(lowest, kb), highest = std::max(highest, kb);
    keep_reading(reading_at(kStart + life * kUnit * i / kCount, kb));
  }
  const auto cells = ovc::kept_readings(ovc::LogReader(shim.path));
  const auto ticks = ticks_of(cells);
  CHECK(ticks.size() >= 500);
  CHECK(std::is_sorted(ticks.begin(), ticks.end()));
  uint64_t gap = kStart + life * kUnit - ticks.back();
  for (size_t i = 1; i < ticks.size(); ++i) gap = std::max(gap, ticks[i] - ticks[i - 1]);
  CHECK(gap <= 2 * std::max<uint64_t>(life / 512 + 1, 1) * kUnit);
  uint64_t low = UINT64_MAX, high = 0;
  for (const auto& cell : cells) {
    REQUIRE(cell.lowest);
    REQUIRE(cell.highest);
    low = std::min(low, cell.lowest->committed_kb);
    high = std::max(high, cell.highest->committed_kb);
  }
  CHECK(low == lowest);
  CHECK(high == highest);
}

TEST_CASE(
    "readings: the moment of an extreme lies in its cell, and the first has all its figures") {
  ShimLog shim(16 << 20, 1 << 20);
  REQUIRE(shim.opened);
  begin_anew();
  keep_reading(reading_at(kStart + 100, 500));
  keep_reading(reading_at(kStart + 300, 900));
  keep_reading(reading_at(kStart + 700, 200));
  keep_reading(reading_at(kStart + 900, 600));
  keep_reading(reading_at(kStart + 950, kUnknown));
  const auto cells = ovc::kept_readings(ovc::LogReader(shim.path));
  REQUIRE(cells.size() == 1);
  REQUIRE(cells[0].first);
  CHECK(cells[0].first->tick == kStart + 100);
  CHECK(cells[0].first->committed_kb == 500);
  CHECK(cells[0].first->limit_kb == 1000);
  CHECK(cells[0].first->vm_size_pages == 30);
  CHECK(cells[0].first->resident_pages == 20);
  CHECK(cells[0].first->data_pages == 10);
  CHECK(cells[0].first->process == ovc::ProcessId{g_private->slot, g_private->serial});
  CHECK(cells[0].highest->tick == kStart + 300);
  CHECK(cells[0].highest->committed_kb == 900);
  CHECK(cells[0].lowest->tick == kStart + 700);
  CHECK(cells[0].lowest->committed_kb == 200);
}

TEST_CASE("readings: a process's own highest figures, each for itself") {
  ShimLog shim(16 << 20, 1 << 20);
  REQUIRE(shim.opened);
  const ProcessSpace& space = g.growth.spaces[g_private->slot];
  const uint64_t before = space.peak_vm_size_pages;
  keep_reading({kStart, 1, 1, before + 50, kUnknown, 7});
  keep_reading({kStart + 1, 1, 1, before + 20, 9, 5});
  CHECK(space.peak_vm_size_pages == before + 50);
  CHECK(space.peak_resident_pages >= 9);
  CHECK(space.peak_resident_pages < kUnknown);
  CHECK(space.peak_data_pages >= 7);
  g.growth.spaces[g_private->slot].serial += 1;
  keep_reading({kStart + 2, 1, 1, before + 90, 9, 5});
  CHECK(space.peak_vm_size_pages == before + 50);
}

TEST_CASE("readings: of a writer that died in its cell there is no reading, of the others all") {
  ShimLog shim(16 << 20, 1 << 20);
  REQUIRE(shim.opened);
  begin_anew();
  g.readings.cells[0].tick = kReadingBusy;
  g.readings.cells[0].committed_kb = 77;
  keep_reading(reading_at(kStart + 10, 500));
  keep_reading(reading_at(kStart + kUnit, 600));
  const auto cells = ovc::kept_readings(ovc::LogReader(shim.path));
  REQUIRE(cells.size() == 2);
  CHECK_FALSE(cells[0].first);
  CHECK(cells[0].highest->committed_kb == 500);
  CHECK(cells[1].first->committed_kb == 600);
}

TEST_CASE("readings: one that the shim takes itself is kept, and a small log has fewer cells") {
  const uint64_t events = GENERATE(uint64_t{16} << 20, uint64_t{64} << 10);
  ShimLog shim(events, 1 << 20);
  REQUIRE(shim.opened);
  REQUIRE(g.readings.layout.per_level >= 8);
  CommitState state{};
  commit_state(state, Freshness::kFresh);
  const auto cells = ovc::kept_readings(ovc::LogReader(shim.path));
  REQUIRE_FALSE(cells.empty());
  CHECK(cells.back().highest->committed_kb >= state.committed_kb);
}
