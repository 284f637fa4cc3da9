// SPDX-License-Identifier: MIT
#include "tools/log/log_readings.h"

#include <cstring>

#include "shim/format/readings_format.h"

namespace ovc {

using namespace ovcshim;

namespace {

template <typename Struct>
Struct copy(const LogReader& log, uint64_t offset) {
  Struct copied;
  std::memcpy(&copied, log.readings_bytes(offset, sizeof copied), sizeof copied);
  return copied;
}

uint64_t load_tick(const LogReader& log, uint64_t offset) {
  const unsigned char* at = log.readings_bytes(offset, sizeof(uint64_t));
  return __atomic_load_n(reinterpret_cast<const uint64_t*>(at), __ATOMIC_ACQUIRE);
}

// The tick first: once it is there, nothing beside it changes but the extremes, which are words.
ReadingCell cell_at(const LogReader& log, uint64_t offset) {
  const uint64_t tick = load_tick(log, offset + offsetof(ReadingCell, tick));
  auto cell = copy<ReadingCell>(log, offset);
  cell.tick = tick;
  return cell;
}

std::optional<KeptReading> first_of(const ReadingCell& cell) {
  if (cell.tick <= kReadingBusy) return std::nullopt;
  return KeptReading{
      cell.tick,
      cell.committed_kb,
      cell.limit_kb,
      cell.vm_size_pages,
      cell.resident_pages,
      cell.data_pages,
      {static_cast<uint32_t>(cell.process), static_cast<uint32_t>(cell.process >> 32)}};
}

}  // namespace

std::vector<ReadingsCell> kept_readings(const LogReader& log) {
  std::vector<ReadingsCell> list;
  const ReadingsLayout layout = readings_layout(log.header().readings.bytes);
  if (!layout.cells) return list;
  const auto header = copy<ReadingsHeader>(log, 0);
  for (uint64_t i = 0; i < layout.cells; ++i) {
    const ReadingCell cell = cell_at(log, sizeof(ReadingsHeader) + i * sizeof(ReadingCell));
    if (cell.tick == 0 && cell.highest == 0) continue;
    const ReadingPlace place = reading_span(i, layout);
    const uint64_t begin = header.start_tick + place.begin * header.unit_ticks,
                   length = place.length * header.unit_ticks;
    const auto extreme = [&](uint64_t word, bool lowest) -> std::optional<Extreme> {
      if (word == 0) return std::nullopt;
      return Extreme{begin + extreme_ticks(word, length), extreme_kb(word, lowest)};
    };
    list.push_back({first_of(cell), extreme(cell.lowest, true), extreme(cell.highest, false)});
  }
  return list;
}

}  // namespace ovc
