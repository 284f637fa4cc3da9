// SPDX-License-Identifier: MIT
//
// What a list of mappings comes to. Exact where the stored list is cut, and where none was read
// since nothing has changed.
#pragma once
#include <cstdint>

#include "shim/format/log_format.h"
#include "shim/proc/proc_files.h"
#include "shim/unwind/modules.h"

namespace ovcshim {

struct MapTotals {
  uint64_t count = 0, ac_kb = 0, ac_count = 0, dc_kb = 0, nr_kb = 0, biggest_kb = 0,
           biggest_start = 0, shared_writable_kb = 0, outside = 0,
           data_kb = 0;  // as VmData and VmStk together count: private and writable

  void add(const MappingEntry& m) {
    const uint64_t kb = (m.end - m.start) / 1024;
    ++count;
    if (m.start >= kVsyscall) ++outside;  // part of no process
    if ((m.flags & (kMapAc | kMapDc)) == kMapAc) {
      ac_kb += kb, ++ac_count;
      if (kb > biggest_kb) biggest_kb = kb, biggest_start = m.start;
    }
    if ((m.flags & (kMapAc | kMapDc)) == (kMapAc | kMapDc)) dc_kb += kb;
    if (m.flags & kMapNr) nr_kb += kb;
    if ((m.flags & (kMapShared | kMapWrite)) == (kMapShared | kMapWrite)) shared_writable_kb += kb;
    if ((m.flags & (kMapShared | kMapWrite)) == kMapWrite) data_kb += kb;
  }
};

inline void add_map_totals(Facts& facts, const MapTotals& t) {
  facts.add(FactKey::kMapsCount, t.count);
  facts.add(FactKey::kMapsOutsideCount, t.outside);
  facts.add(FactKey::kMapsAcKb, t.ac_kb);
  facts.add(FactKey::kMapsAcCount, t.ac_count);
  facts.add(FactKey::kMapsDcKb, t.dc_kb);
  facts.add(FactKey::kMapsNrKb, t.nr_kb);
  facts.add(FactKey::kMapsBiggestAcKb, t.biggest_kb);
  facts.add(FactKey::kMapsBiggestAcStart, t.biggest_start);
  facts.add(FactKey::kSharedWritableKb, t.shared_writable_kb);
}

}  // namespace ovcshim
