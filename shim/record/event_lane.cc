// SPDX-License-Identifier: MIT
//
// The event lane's writer. Runs in any thread, in signal handlers, after fork, in vfork children;
// therefore: no locks, no allocation, and a slot that somebody else holds is left alone (see EVENT
// LANE in log_format.h).
#include "shim/record/event_lane.h"

#include "shim/record/state.h"

namespace ovcshim {
namespace {

constexpr int kTries = 8;

// Which ring a record belongs to: see AREAS in log_format.h.
const EventRing& ring_for(const Record& record) {
  return record.vital || is_vital_op(record.base.op) ? g.vitals : g.events;
}

Slot& slot_at(uint64_t position) {
  const EventRing& ring = position & kVitalBit ? g.vitals : g.events;
  return ring.slots[(position & ~kVitalBit) % ring.count];
}

struct Piece {
  const void* data;
  uint64_t bytes;
};

// Takes `slot` for `position`. Acquire pairs with the release stores in publish(): the previous
// record is complete before we overwrite it.
bool take(Slot& slot, uint64_t position, uint64_t part, uint64_t parts, bool* lapped) {
  // Where a page may be met for the first time, by an instruction that writes: a page of the log
  // that is first read is mapped for reading, and takes a second fault to be written.
  const bool first_of_page = part == 0 || reinterpret_cast<uint64_t>(&slot) % kPageBytes == 0;
  uint64_t word = first_of_page ? __atomic_fetch_add(&slot.word, 0, __ATOMIC_RELAXED)
                                : __atomic_load_n(&slot.word, __ATOMIC_RELAXED);
  const SlotStatus status = slot_status(word);
  if (status == SlotStatus::kBusy || status == SlotStatus::kUpdate) return false;
  if (status == SlotStatus::kReady && slot_position(word) >= position) {
    *lapped = true;
    return false;
  }
  const uint64_t busy = slot_word(SlotStatus::kBusy, part, parts, position);
  return __atomic_compare_exchange_n(&slot.word, &word, busy, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED);
}

// After a slot was taken: whoever sees a byte of the new record sees the new word, too. The
// reader's second look at the word relies on it. Acquire does not order the word's own store before
// later ones; no instruction on x86.
void taken_before_written() { __atomic_thread_fence(__ATOMIC_RELEASE); }

// Leaves a taken slot empty of meaning, but free for the next claimer.
void give_up(uint64_t position, uint64_t taken) {
  for (uint64_t i = 0; i < taken; ++i)
    __atomic_store_n(&slot_at(position + i).word, slot_word(SlotStatus::kReady, 0, 0, position + i),
                     __ATOMIC_RELEASE);
}

// Lays the pieces end to end over the slots' payloads.
void fill(uint64_t position, const Piece* pieces, int count) {
  uint64_t offset = 0;
  for (int i = 0; i < count; ++i) {
    auto* from = static_cast<const unsigned char*>(pieces[i].data);
    for (uint64_t left = pieces[i].bytes; left > 0;) {
      Slot& slot = slot_at(position + offset / kSlotPayloadBytes);
      const uint64_t at = offset % kSlotPayloadBytes;
      const uint64_t n = left < kSlotPayloadBytes - at ? left : kSlotPayloadBytes - at;
      sys::copy(slot.payload + at, from, n);
      from += n, offset += n, left -= n;
    }
  }
}

// Part 0 last: release pairs with the reader's acquire load of part 0's word.
void publish(uint64_t position, uint64_t parts) {
  for (uint64_t i = parts; i-- > 0;)
    __atomic_store_n(&slot_at(position + i).word,
                     slot_word(SlotStatus::kReady, i, parts, position + i), __ATOMIC_RELEASE);
}

// Sequentially consistent with close_rest() of lock_all.cc.
bool is_closed(const EventRing& ring, uint64_t position, uint64_t parts) {
  const uint64_t open = __atomic_load_n(&ring.open, __ATOMIC_SEQ_CST);
  return OVC_UNLIKELY(open) && (position & ~kVitalBit) % ring.count + parts > open;
}

uint64_t claim(const EventRing& ring, uint64_t parts) {
  bool lapped = false;  // why the last try failed
  for (int tries = 0; tries < kTries; ++tries) {
    const uint64_t position = __atomic_fetch_add(ring.cursor, parts, __ATOMIC_SEQ_CST) | ring.mark;
    if (OVC_UNLIKELY(is_closed(ring, position, parts))) break;
    lapped = false;
    uint64_t taken = 0;
    while (taken < parts &&
           take(slot_at(position + taken), position + taken, taken, parts, &lapped))
      ++taken;
    if (taken == parts) return position;
    give_up(position, taken);
  }
  count(lapped ? g.header->events_lost_lapped : g.header->events_lost_busy);
  return kUnknown;
}

}  // namespace

uint64_t write_event(const Record& record) {
  constexpr uint64_t kRoom = kMaxParts * kSlotPayloadBytes;
  EventBase base = record.base;
  const uint64_t lists =
      base.text_len + base.facts * sizeof(Fact) + base.mappings * sizeof(MappingEntry);
  const uint64_t frames_room = (kRoom - sizeof base - lists) / sizeof(uint64_t);
  if (base.frames > frames_room) {
    base.frames = static_cast<uint16_t>(frames_room);
    base.flags |= kStackCut;
  }
  const Piece pieces[] = {
      {&base, sizeof base},
      {record.frames, base.frames * sizeof(uint64_t)},
      {record.text, base.text_len},
      {record.fact_list, base.facts * sizeof(Fact)},
      {record.mapping_list, base.mappings * sizeof(MappingEntry)},
  };
  uint64_t bytes = 0;
  for (const Piece& piece : pieces) bytes += piece.bytes;
  const uint64_t parts = (bytes + kSlotPayloadBytes - 1) / kSlotPayloadBytes;
  const uint64_t position = claim(ring_for(record), parts);
  if (position == kUnknown) return kUnknown;
  taken_before_written();
  fill(position, pieces, sizeof pieces / sizeof pieces[0]);
  publish(position, parts);
  return position;
}

bool complete_event(uint64_t position, const EventBase& base) {
  Slot& slot = slot_at(position);
  uint64_t word = __atomic_load_n(&slot.word, __ATOMIC_RELAXED);
  if (slot_status(word) != SlotStatus::kReady || slot_position(word) != position ||
      slot_part(word) != 0)
    return false;
  const uint64_t parts = slot_parts(word);
  const uint64_t update = slot_word(SlotStatus::kUpdate, 0, parts, position);
  if (!__atomic_compare_exchange_n(&slot.word, &word, update, false, __ATOMIC_ACQUIRE,
                                   __ATOMIC_RELAXED))
    return false;
  taken_before_written();
  auto* there = reinterpret_cast<EventBase*>(slot.payload);
  there->end_tick = base.end_tick;
  there->flags = static_cast<uint16_t>(base.flags | (there->flags & kStackCut));
  there->err = base.err;
  there->result = base.result;
  for (int i = 0; i < 6; ++i) there->args[i] = base.args[i];
  __atomic_store_n(&slot.word, word, __ATOMIC_RELEASE);
  return true;
}

}  // namespace ovcshim
