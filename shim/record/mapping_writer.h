// SPDX-License-Identifier: MIT
//
// A list of mappings on its way into the log: a kMappings record whenever enough have come, and
// their totals. Rules: as event_lane.cc.
#pragma once
#include "shim/format/attach_order.h"
#include "shim/record/clock.h"
#include "shim/record/event.h"
#include "shim/record/state.h"

#pragma GCC visibility push(hidden)

namespace ovcshim {

inline constexpr uint32_t kEntriesPerRecord = kEntriesOfPart;
static_assert(kEntriesPerRecord <= sizeof BigScratch::mappings / sizeof BigScratch::mappings[0]);
inline constexpr uint32_t kMaxListed = 20000;  // entries; 0.65 MB of the lane

// A list takes less than a third of the vitals ring (the entries a quarter, and each record its
// head), beside what always_list() asks for: it must not push out what it proves, nor the names of
// the program's modules.
inline uint64_t most_listed() {
  constexpr uint64_t kEntriesOfSlot = kSlotBytes / sizeof(MappingEntry);
  const uint64_t fits = g.vitals.count / 4 * kEntriesOfSlot;
  return fits < kMaxListed ? fits : kMaxListed;
}

// Collects entries and writes a record whenever enough have come.
class MappingWriter {
 public:
  MappingWriter(uint64_t about, BigScratch& big, uint64_t start_tick = tick_now())
      : about_(about), start_tick_(start_tick), from_tick_(start_tick), big_(big) {}
  // Those that this range meets are listed wherever they come.
  void always_list(uint64_t start, uint64_t bytes) {
    range_start_ = start;
    range_end_ = bytes > UINT64_MAX - start ? UINT64_MAX : start + bytes;
  }
  void add(const MappingEntry& m) {
    const uint64_t index = totals.count;
    totals.add(m);
    if (index >= most_listed_ && !(m.start < range_end_ && range_start_ < m.end)) return;
    if (index != listed_ + pending_) {  // some were left out before it
      flush(false);
      listed_ = static_cast<uint32_t>(index);
      gap_ = true;
    }
    if (pending_ == 0 && !given_) next_part();
    big_.mappings[pending_++] = m;
    if (pending_ == kEntriesPerRecord) flush(false);
  }
  // The entries that follow were read between these, by somebody else.
  void read_between(uint64_t from_tick, uint64_t to_tick) {
    from_tick_ = from_tick, to_tick_ = to_tick;
    given_ = true;
  }
  // The list ends early enough for the slots of the vitals ring from this position on to stay.
  void spare(uint64_t position) {
    constexpr uint64_t kSnapshotSlots = kMaxParts / 2,
                       kEntriesOfSlot = kSlotBytes / sizeof(MappingEntry);
    const uint64_t now = __atomic_load_n(g.vitals.cursor, __ATOMIC_RELAXED);
    const uint64_t used = now - (position & ~kVitalBit) + kSnapshotSlots + g.vitals.count / 8;
    const uint64_t left = used < g.vitals.count ? g.vitals.count - used : 0;
    const uint64_t fits = left / 2 * kEntriesOfSlot;  // the rest for the records' heads
    if (fits < most_listed_) most_listed_ = fits;
  }
  void flush(bool last) {
    Record record{plain_base(Op::kMappings)};
    record.base.begin_tick = start_tick_;
    if (given_) record.base.end_tick = to_tick_;
    record.base.args[0] = about_;
    record.base.args[1] = listed_;
    record.base.args[2] = totals.count;
    record.base.args[3] = last && !gap_ && listed_ + pending_ == totals.count;
    record.base.args[4] = from_tick_;
    record.base.mappings = static_cast<uint8_t>(pending_);
    record.mapping_list = big_.mappings;
    if (last && facts_of_list) record.base.facts = static_cast<uint8_t>(facts_of_list->count);
    if (last && facts_of_list) record.fact_list = facts_of_list->list;
    write_event(record);
    listed_ += pending_, pending_ = 0;
  }
  uint64_t ticks() const { return tick_now() - start_tick_; }
  MapTotals totals;
  const Facts* facts_of_list = nullptr;  // go with the last record

 private:
  // What is read at a time is a page of the kernel's and what the buffer holds: less than a part.
  // So a part was not read before the first entry of the one before it was taken.
  void next_part() {
    constexpr uint64_t kLeastText = 400;  // of a mapping in smaps
    static_assert(sizeof big_.io + kPageBytes < kEntriesPerRecord * kLeastText);
    from_tick_ = part_tick_;
    part_tick_ = tick_now();
  }

  uint64_t most_listed_ = most_listed();
  uint64_t about_, start_tick_, from_tick_, to_tick_ = 0;
  uint64_t part_tick_ = start_tick_;  // when the first entry of this part was taken
  bool given_ = false;
  BigScratch& big_;
  uint64_t range_start_ = 0, range_end_ = 0;
  bool gap_ = false;
  uint32_t pending_ = 0, listed_ = 0;
};

// Of a list that was read for this record.
inline void add_list_totals(Facts& facts, const MapTotals& t, uint64_t ticks) {
  add_map_totals(facts, t);
  facts.add(FactKey::kMapsReadNs, ticks * 1000 / (g_ticks_per_ms / 1000 + 1));
  facts.add(FactKey::kMapsSource, 1);
}

}  // namespace ovcshim

#pragma GCC visibility pop
