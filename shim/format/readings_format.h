// SPDX-License-Identifier: MIT
//
// READINGS: the area of the log that keeps figures over time, spread over all of its life, and is
// never overwritten. Part of the specification in log_format.h: FileHeader::readings gives its
// place (bytes 0: the log has none).
//
// PARTS: a ReadingsHeader, then ReadingCell[]. A cell is a span of time. The first 2n cells are
//   unit_ticks long; the n cells behind them twice that, the next n twice that again, and so on
//   (reading_place): the longer the log lives, the longer its newest cells are, and at any age its
//   life has at least n cells as long as its newest, and finer ones at its beginning. n follows
//   from the area's size (readings_layout): 512 in a log of the usual size, of 10 ms at first.
//
// A CELL has the first reading that any process of the tree took in its time, and beside it the
//   lowest and the highest Committed_AS of all readings in its time.
//   The first reading: `tick` is compare-and-swapped from 0 to kReadingBusy, then the figures are
//   stored, then `tick`. A writer killed in between leaves a cell without a first reading.
//   `lowest` and `highest` are single words that only grow: value and moment together, so that no
//   reader sees the one without the other.
//
// READER ALGORITHM: a cell has a first reading iff `tick` is above kReadingBusy; it never changes
//   then. A figure of kUnknown was not read. The moments in the extreme words are offsets from the
//   beginning of their cell's time.
#pragma once
#include <cstddef>
#include <cstdint>

namespace ovcshim {

inline constexpr uint64_t kReadingBusy = 1;
inline constexpr uint64_t kReadingUnitMs = 10;  // of a new log: the age at which one is renewed

struct ReadingCell {
  uint64_t tick;
  uint64_t committed_kb, limit_kb, vm_size_pages, resident_pages, data_pages;
  uint64_t process;          // whose the last three are: index of its ProcessSlot | serial << 32
  uint64_t lowest, highest;  // extreme_word; 0: none
  uint64_t reserved;
};
static_assert(sizeof(ReadingCell) == 80);

struct ReadingsHeader {
  uint64_t start_tick;  // of the first cell; compare-and-swapped from 0, as is
  uint64_t unit_ticks;  // its length
  uint64_t reserved[6];
};
static_assert(sizeof(ReadingsHeader) == 64);

inline constexpr unsigned kReadingLevels = 23;  // 2n cells of 10 ms, the last n of 11 hours

struct ReadingsLayout {
  uint64_t per_level, cells;  // 0, 0: no room
};
constexpr ReadingsLayout readings_layout(uint64_t bytes) {
  if (bytes < sizeof(ReadingsHeader)) return {0, 0};
  const uint64_t room = (bytes - sizeof(ReadingsHeader)) / sizeof(ReadingCell);
  uint64_t per_level = 1;
  while (2 * per_level * (kReadingLevels + 1) <= room) per_level *= 2;
  const uint64_t cells = per_level * (kReadingLevels + 1);
  return cells <= room ? ReadingsLayout{per_level, cells} : ReadingsLayout{0, 0};
}
// Of a new log, beside an area of growth_format.h of that size.
constexpr uint64_t readings_bytes(uint64_t growth_bytes) {
  return growth_bytes >= uint64_t{4} << 20 ? uint64_t{1} << 20 : growth_bytes / 16;
}

struct ReadingPlace {
  uint64_t cell;
  uint64_t begin, length;  // in units
};
// Of the time `units` after the start. What lies behind the last cell's time is in the last cell.
constexpr ReadingPlace reading_place(uint64_t units, const ReadingsLayout& l) {
  const uint64_t n = l.per_level, most = (2 * n << (kReadingLevels - 1)) - 1;
  if (units > most) units = most;
  unsigned level = 0;
  while (units >> level >= 2 * n) ++level;
  const uint64_t in_row = units >> level;
  return {level * n + in_row, in_row << level, uint64_t{1} << level};
}
// The other way round.
constexpr ReadingPlace reading_span(uint64_t cell, const ReadingsLayout& l) {
  const uint64_t n = l.per_level, level = cell < 2 * n ? 0 : cell / n - 1;
  return {cell, (cell - level * n) << level, uint64_t{1} << level};
}

// value in kB 40 bits | moment 24; of the lowest the value's complement, so that both only grow.
inline constexpr uint64_t kMostExtremeKb = (uint64_t{1} << 40) - 2;
constexpr uint64_t extreme_word(uint64_t kb, bool lowest, uint64_t ticks, uint64_t cell_ticks) {
  if (kb > kMostExtremeKb) kb = kMostExtremeKb;
  uint64_t moment = ticks / (cell_ticks / (1 << 24) + 1);
  if (moment >= 1 << 24) moment = (1 << 24) - 1;
  return (lowest ? kMostExtremeKb + 1 - kb : kb + 1) << 24 | moment;
}
constexpr uint64_t extreme_kb(uint64_t word, bool lowest) {
  return lowest ? kMostExtremeKb + 1 - (word >> 24) : (word >> 24) - 1;
}
constexpr uint64_t extreme_ticks(uint64_t word, uint64_t cell_ticks) {
  return (word & ((1 << 24) - 1)) * (cell_ticks / (1 << 24) + 1);
}

}  // namespace ovcshim
