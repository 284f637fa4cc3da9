// SPDX-License-Identifier: MIT
//
// See readings.h. Same rules as event_lane.cc.
#include "shim/record/readings.h"

namespace ovcshim {
namespace {

// Of the log, whoever asks first: other processes' clocks tell about the same, not the same. A
// word of the log is not to be trusted, hence never 0.
uint64_t settled(uint64_t& word, uint64_t mine) {
  uint64_t there = __atomic_load_n(&word, __ATOMIC_RELAXED);
  if (there) return there;
  if (!mine) mine = 1;
  return __atomic_compare_exchange_n(&word, &there, mine, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
             ? mine
             : there;
}

// Release pairs with the acquire of a reader: the figures stand before the tick does.
void take_cell(ReadingCell& cell, const Reading& r) {
  touch_for_writing(cell.tick);
  uint64_t free = __atomic_load_n(&cell.tick, __ATOMIC_RELAXED);
  if (free || r.tick <= kReadingBusy ||
      !__atomic_compare_exchange_n(&cell.tick, &free, kReadingBusy, false, __ATOMIC_ACQUIRE,
                                   __ATOMIC_RELAXED))
    return;
  __atomic_store_n(&cell.committed_kb, r.committed_kb, __ATOMIC_RELAXED);
  __atomic_store_n(&cell.limit_kb, r.limit_kb, __ATOMIC_RELAXED);
  __atomic_store_n(&cell.vm_size_pages, r.vm_size_pages, __ATOMIC_RELAXED);
  __atomic_store_n(&cell.resident_pages, r.resident_pages, __ATOMIC_RELAXED);
  __atomic_store_n(&cell.data_pages, r.data_pages, __ATOMIC_RELAXED);
  __atomic_store_n(&cell.process, g_private->slot | uint64_t{g_private->serial} << 32,
                   __ATOMIC_RELAXED);
  __atomic_store_n(&cell.tick, r.tick, __ATOMIC_RELEASE);
}

// Each try that fails found a word that somebody else had raised.
void raise(uint64_t& word, uint64_t to) {
  uint64_t there = __atomic_load_n(&word, __ATOMIC_RELAXED);
  for (int tries = 0; tries < 1000 && there < to; ++tries)
    if (__atomic_compare_exchange_n(&word, &there, to, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
      return;
}

void raise_known(uint64_t& word, uint64_t to) {
  if (to != kUnknown) raise(word, to);
}

// The process's own; a vfork child's are its parent's, whose memory it has.
void keep_peaks(const Reading& r) {
  if (!g.growth.header || g_private->slot >= kProcessSlots) return;
  ProcessSpace& space = g.growth.spaces[g_private->slot];
  if (__atomic_load_n(&space.serial, __ATOMIC_RELAXED) != g_private->serial) return;
  raise_known(space.peak_vm_size_pages, r.vm_size_pages);
  raise_known(space.peak_resident_pages, r.resident_pages);
  raise_known(space.peak_data_pages, r.data_pages);
}

}  // namespace

void keep_reading(const Reading& r) {
  keep_peaks(r);
  const ReadingsArea& area = g.readings;
  if (!area.header) return;
  const uint64_t start = settled(area.header->start_tick, g.header->created.tick);
  const uint64_t unit = settled(area.header->unit_ticks, kReadingUnitMs * g_ticks_per_ms);
  const uint64_t elapsed = r.tick > start ? r.tick - start : 0;
  const ReadingPlace place = reading_place(elapsed / unit, area.layout);
  ReadingCell& cell = area.cells[place.cell];
  take_cell(cell, r);
  if (r.committed_kb == kUnknown || r.committed_kb == 0) return;
  const uint64_t begin = place.begin * unit, length = place.length * unit;
  const uint64_t ticks = elapsed > begin ? elapsed - begin : 0;
  raise(cell.lowest, extreme_word(r.committed_kb, true, ticks, length));
  raise(cell.highest, extreme_word(r.committed_kb, false, ticks, length));
}

}  // namespace ovcshim
