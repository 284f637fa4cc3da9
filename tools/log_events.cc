// SPDX-License-Identifier: MIT
//
// The event lane as LogReader sees it: records are copied out of the mapping, checked before and after, then decoded.
#include <algorithm>
#include <cstring>

#include "tools/log_reader.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr uint64_t kPositionMask = (uint64_t{1} << 50) - 1;

// Acquire: pairs with the writer's release store of a slot word, so that the bytes copied after it are the committed ones.
uint64_t load_word(const Slot& slot) { return __atomic_load_n(&slot.word, __ATOMIC_ACQUIRE); }

// Bounds-checked reading of a record's payload.
class Payload {
 public:
  Payload(const unsigned char* bytes, size_t size) : rest_(bytes, size) {}

  bool copy(void* to, size_t bytes) {
    if (bytes > rest_.size()) return false;
    if (bytes != 0) std::memcpy(to, rest_.data(), bytes);
    rest_ = rest_.subspan(bytes);
    return true;
  }
  template <typename Element>
  bool list(std::vector<Element>& to, size_t count) {
    if (count > rest_.size() / sizeof(Element)) return false;
    to.resize(count);
    return copy(to.data(), count * sizeof(Element));
  }

 private:
  std::span<const unsigned char> rest_;
};

// Fields of a call that has not returned are what the writer left so far: make them say "nothing yet".
void void_completion(EventBase& base) {
  base.flags = static_cast<uint16_t>((base.flags | kIntent) & ~kFailed);
  base.end_tick = 0;
  base.err = 0;
  base.result = 0;
}

bool decode(const unsigned char* bytes, size_t size, Event& event) {
  Payload payload(bytes, size);
  if (!payload.copy(&event.base, sizeof event.base)) return false;
  const EventBase& base = event.base;
  if (base.op == Op::kNone || !payload.list(event.frames, base.frames)) return false;
  event.text.resize(base.text_len);
  return payload.copy(event.text.data(), base.text_len) && payload.list(event.facts, base.facts) &&
         payload.list(event.mappings, base.mappings);
}

}  // namespace

uint64_t LogReader::event_cursor() const {
  uint64_t cursor;
  static_assert(offsetof(FileHeader, event_cursor) % 8 == 0);
  std::memcpy(&cursor, bytes_.data() + offsetof(FileHeader, event_cursor), sizeof cursor);
  return std::min(cursor, kPositionMask);
}

// The oldest position that can still be in the lane.
uint64_t LogReader::window_start(uint64_t cursor) const { return cursor > event_slots() ? cursor - event_slots() : 0; }

const Slot& LogReader::slot_at(uint64_t position) const {
  return reinterpret_cast<const Slot*>(bytes_.data() + header_.events.offset)[position % event_slots()];
}

// Copies the payload of the record at `position`; its number of parts, 0 if the record is not valid (see log_format.h).
unsigned LogReader::copy_event(uint64_t position, unsigned char* payload, bool& updating) const {
  const uint64_t word = load_word(slot_at(position));
  const uint64_t parts = slot_parts(word);
  updating = slot_status(word) == SlotStatus::kUpdate;
  if (word != slot_word(updating ? SlotStatus::kUpdate : SlotStatus::kReady, 0, parts, position) || parts < 1 ||
      parts > kMaxParts)
    return 0;
  for (uint64_t i = 0; i < parts; ++i) {
    const Slot& slot = slot_at(position + i);
    const uint64_t expected = i == 0 ? word : slot_word(SlotStatus::kReady, i, parts, position + i);
    if (load_word(slot) != expected) return 0;
    std::memcpy(payload + i * kSlotPayloadBytes, slot.payload, kSlotPayloadBytes);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);  // the check below must not be done before the copy
    if (__atomic_load_n(&slot.word, __ATOMIC_RELAXED) != expected) return 0;
  }
  return static_cast<unsigned>(parts);
}

unsigned LogReader::read_event(uint64_t position, Event& event) const {
  alignas(8) unsigned char payload[kMaxParts * kSlotPayloadBytes];
  unsigned parts = 0;
  // A record that its owner was just completing is another valid record a moment later.
  for (int tries = 0; tries < 3 && parts == 0; ++tries) parts = copy_event(position, payload, event.updating);
  if (parts == 0 || !decode(payload, parts * kSlotPayloadBytes, event)) return 0;
  event.position = position;
  if (!event.returned()) void_completion(event.base);
  return parts;
}

uint64_t LogReader::for_each_event(const std::function<bool(const Event&)>& each, uint64_t from) const {
  const uint64_t cursor = event_cursor();
  Event event;
  uint64_t position = std::max(from, window_start(cursor));
  while (position < cursor) {
    const unsigned parts = read_event(position, event);
    position += std::max(parts, 1u);
    if (parts != 0 && !each(event)) break;
  }
  return position;
}

std::optional<Event> LogReader::event_at(uint64_t position) const {
  const uint64_t cursor = event_cursor();
  Event event;
  if (position < window_start(cursor) || position >= cursor || read_event(position, event) == 0) return std::nullopt;
  return event;
}

// A later part of a record whose beginning the wrap has taken: overwritten, not torn.
bool LogReader::is_tail(uint64_t position, uint64_t start) const {
  const uint64_t word = load_word(slot_at(position));
  return slot_status(word) == SlotStatus::kReady && slot_position(word) == position && slot_part(word) > position - start;
}

Losses LogReader::losses() const {
  FileHeader now;
  std::memcpy(&now, bytes_.data(), sizeof now);
  Losses lost;
  const uint64_t cursor = event_cursor(), start = window_start(cursor);
  lost.event_slots_overwritten = start;
  Event event;
  for (uint64_t p = start; p < cursor;) {
    const unsigned parts = read_event(p, event);
    if (parts == 0 && is_tail(p, start)) ++lost.event_slots_overwritten;
    else if (parts == 0) ++lost.event_slots_torn;
    p += std::max(parts, 1u);
  }
  lost.events_lost_busy = now.events_lost_busy;
  lost.events_lost_lapped = now.events_lost_lapped;
  lost.calls_overwritten = now.calls_overwritten;
  lost.calls_lost_nested = now.calls_lost_nested;
  lost.snapshots_skipped = now.snapshots_skipped;
  lost.processes_unslotted = now.processes_unslotted;
  lost.threads_unslotted = now.threads_unslotted;
  lost.threads_unrecorded = now.threads_unrecorded;
  lost.call_chunks_damaged = damaged_chunks();
  return lost;
}

}  // namespace ovc
