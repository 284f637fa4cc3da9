// SPDX-License-Identifier: MIT
//
// The event lane as LogReader sees it: records are copied out of the mapping, checked before and
// after, then decoded.
#include <algorithm>
#include <cstring>

#include "tools/log/log_memory.h"
#include "tools/log/log_reader.h"

namespace ovc {
namespace {

using namespace ovcshim;

// Acquire: pairs with the writer's release store of a slot word, so that the bytes copied after it
// are the committed ones.
uint64_t load_word(const Slot& slot) { return __atomic_load_n(&slot.word, __ATOMIC_ACQUIRE); }

// Parts of the record that begins in a slot with this word; 0: none does.
unsigned parts_from(uint64_t word, uint64_t position) {
  const uint64_t parts = slot_parts(word);
  const bool begins = word == slot_word(SlotStatus::kReady, 0, parts, position) ||
                      word == slot_word(SlotStatus::kUpdate, 0, parts, position);
  return begins && parts <= kMaxParts ? static_cast<unsigned>(parts) : 0;
}

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

// Fields of a call that has not returned are what the writer left so far: make them say "nothing
// yet".
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

// A log of version 1 has no vitals: zero slots, nothing to walk.
LogReader::Ring LogReader::ring(bool vital) const {
  Ring ring{header_.events.offset, header_.events.bytes / kSlotBytes, 0, 0, 0};
  if (vital) ring = {header_.vitals.offset, header_.vitals.bytes / kSlotBytes, kVitalBit, 0, 0};
  if (ring.slots == 0) return ring;
  const size_t at = vital ? offsetof(FileHeader, vital_cursor) : offsetof(FileHeader, event_cursor);
  std::memcpy(&ring.end, bytes_.at(at, sizeof ring.end), sizeof ring.end);
  ring.end = std::min(ring.end, kMemoryBit - 1);
  ring.start = ring.end > ring.slots ? ring.end - ring.slots : 0;
  return ring;
}

uint64_t LogReader::next_written(const Ring& ring, uint64_t count) const {
  if (count >= ring.end) return count;
  const uint64_t index = count % ring.slots;
  const uint64_t data = bytes_.next_data(ring.offset + index * kSlotBytes);
  const uint64_t slot = std::min((data - ring.offset) / kSlotBytes, ring.slots);
  return count + (slot - index);
}

LanePlace LogReader::lane_end() const { return {ring(false).end, ring(true).end, memory_->end()}; }

// A position with the mark is asked for only where there are vitals: see event_at().
const Slot& LogReader::slot_at(uint64_t position) const {
  const bool vital = position & kVitalBit;
  const uint64_t offset = vital ? header_.vitals.offset : header_.events.offset;
  const uint64_t slots = (vital ? header_.vitals.bytes : header_.events.bytes) / kSlotBytes;
  return *reinterpret_cast<const Slot*>(
      bytes_.at(offset + (position & ~kVitalBit) % slots * kSlotBytes, kSlotBytes));
}

// Copies the payload of the record at `position`; its number of parts, 0 if the record is not valid
// (see log_format.h).
unsigned LogReader::copy_event(uint64_t position, unsigned char* payload, bool& updating) const {
  const uint64_t word = load_word(slot_at(position));
  const unsigned parts = parts_from(word, position);
  updating = slot_status(word) == SlotStatus::kUpdate;
  for (unsigned i = 0; i < parts; ++i) {
    const Slot& slot = slot_at(position + i);
    const uint64_t expected = i == 0 ? word : slot_word(SlotStatus::kReady, i, parts, position + i);
    if (load_word(slot) != expected) return 0;
    std::memcpy(payload + i * kSlotPayloadBytes, slot.payload, kSlotPayloadBytes);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);  // the check below must not be done before the copy
    if (__atomic_load_n(&slot.word, __ATOMIC_RELAXED) != expected) return 0;
  }
  return parts;
}

// Parts of the record that begins at `position` if it is of no wanted kind, else 0.
unsigned LogReader::unwanted_parts(uint64_t position, Wanted wanted) const {
  const Slot& slot = slot_at(position);
  const unsigned parts = parts_from(load_word(slot), position);
  Op op;
  std::memcpy(&op, slot.payload + offsetof(EventBase, op), sizeof op);
  return wanted(op) ? 0 : parts;
}

unsigned LogReader::read_event(uint64_t position, Event& event) const {
  alignas(8) unsigned char payload[kMaxParts * kSlotPayloadBytes];
  unsigned parts = 0;
  // A record that its owner was just completing is another valid record a moment later.
  for (int tries = 0; tries < 3 && parts == 0; ++tries)
    parts = copy_event(position, payload, event.updating);
  if (parts == 0 || !decode(payload, parts * kSlotPayloadBytes, event)) return 0;
  event.position = position;
  if (!event.returned()) void_completion(event.base);
  return parts;
}

// One ring's records in claim order, the next one read ahead so that the rings can be merged.
class LogReader::Walk {
 public:
  bool done() const { return parts_ == 0; }
  const Event& event() const { return event_; }
  uint64_t place() const { return at_; }
  void step() {
    at_ += parts_;
    read();
  }

 protected:
  explicit Walk(uint64_t from) : at_(from) {}
  ~Walk() = default;
  virtual void read() = 0;
  uint64_t at_;
  unsigned parts_ = 0;
  Event event_;
};

class LogReader::RingWalk final : public Walk {
 public:
  RingWalk(const LogReader& log, const Ring& ring, uint64_t from, Wanted wanted = nullptr)
      : Walk(std::max(from, ring.start)), log_(log), ring_(ring), wanted_(wanted) {
    read();
  }

 private:
  void read() override {
    unsigned passed_over = 0;
    parts_ = 0;
    for (at_ = log_.next_written(ring_, at_); at_ < ring_.end;
         at_ = log_.next_written(ring_, at_ + std::max(passed_over, 1u))) {
      passed_over = wanted_ ? log_.unwanted_parts(at_ | ring_.mark, wanted_) : 0;
      if (passed_over == 0 && (parts_ = log_.read_event(at_ | ring_.mark, event_)) != 0) return;
    }
  }
  const LogReader& log_;
  const Ring ring_;
  const Wanted wanted_;
};

class LogReader::MemoryWalk final : public Walk {
 public:
  MemoryWalk(const MemoryRecords& records, uint64_t from, Wanted wanted = nullptr)
      : Walk(std::max(from, records.start())),
        records_(records),
        end_(records.end()),
        wanted_(wanted) {
    if (wanted && !wants_any()) at_ = std::max(at_, end_);
    read();
  }

 private:
  bool wants_any() const {
    for (auto op = static_cast<uint16_t>(Op::kMmap); op <= static_cast<uint16_t>(Op::kSbrk); ++op)
      if (wanted_(static_cast<Op>(op))) return true;
    return false;
  }
  void read() override {
    parts_ = 0;
    while (at_ < end_) {
      const MemoryRecords::Found found = records_.find(at_);
      if (found.kind == MemoryRecords::Kind::kCall && (!wanted_ || wanted_(records_.op_at(at_))) &&
          records_.read(at_, found.units, event_)) {
        parts_ = found.units;
        return;
      }
      at_ += found.units;
      if (found.kind == MemoryRecords::Kind::kUnready) at_ = records_.next_written(at_);
    }
  }
  const MemoryRecords& records_;
  const uint64_t end_;
  const Wanted wanted_;
};

LanePlace LogReader::for_each_event(const std::function<bool(const Event&)>& each, LanePlace from,
                                    Wanted wanted) const {
  RingWalk events(*this, ring(false), from.events, wanted),
      vitals(*this, ring(true), from.vitals, wanted);
  MemoryWalk memory(*memory_, from.memory, wanted);
  Walk* const walks[] = {&vitals, &events, &memory};  // of the same moment: in this order
  for (bool go_on = true; go_on;) {
    Walk* next = nullptr;
    for (Walk* walk : walks)
      if (!walk->done() && (!next || walk->event().base.begin_tick < next->event().base.begin_tick))
        next = walk;
    if (!next) break;
    go_on = each(next->event());
    next->step();
  }
  return {events.place(), vitals.place(), memory.place()};
}

std::optional<Event> LogReader::event_at(uint64_t position) const {
  if ((position & (kVitalBit | kMemoryBit)) == kMemoryBit) return memory_at(position);
  const Ring of = ring(position & kVitalBit);
  const uint64_t count = position & ~kVitalBit;
  Event event;
  if (count < of.start || count >= of.end || read_event(position, event) == 0) return std::nullopt;
  return event;
}

std::optional<Event> LogReader::memory_at(uint64_t position) const {
  const uint64_t count = position & ~kMemoryBit;
  Event event;
  if (count < memory_->start() || count >= memory_->end()) return std::nullopt;
  const MemoryRecords::Found found = memory_->find(count);
  const bool call = found.kind == MemoryRecords::Kind::kCall;
  return call && memory_->read(count, found.units, event) ? std::optional(event) : std::nullopt;
}

Look LogReader::look_at_memory(uint64_t count, Event& event, const Wants& wants) const {
  using Kind = MemoryRecords::Kind;
  if (count >= memory_->end()) return {};
  if (count < memory_->start()) return {Stands::kPassed};
  const MemoryRecords::Found found = memory_->find(count);
  switch (found.kind) {
    case Kind::kPassed: return {Stands::kPassed};
    case Kind::kUnready: return {};
    case Kind::kCall:
      if (!memory_->read(count, found.units, event)) return {Stands::kNothing, found.units};
      return {Stands::kRecord, found.units, wants(event.base)};
    default: return {Stands::kNothing, found.units};
  }
}

Look LogReader::look(uint64_t position, Event& event, const Wants& wants) const {
  if ((position & (kVitalBit | kMemoryBit)) == kMemoryBit)
    return look_at_memory(position & ~kMemoryBit, event, wants);
  const Ring of = ring(position & kVitalBit);
  const uint64_t count = position & ~kVitalBit;
  if (count >= of.end) return {};
  if (count < of.start) return {Stands::kPassed};
  const Slot& slot = slot_at(position);
  const uint64_t word = load_word(slot);
  if (const unsigned parts = parts_from(word, position);
      parts != 0 && slot_status(word) == SlotStatus::kReady) {
    EventBase base;
    std::memcpy(&base, slot.payload, sizeof base);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (__atomic_load_n(&slot.word, __ATOMIC_RELAXED) == word && !wants(base))
      return {Stands::kRecord, parts};
  }
  if (const unsigned parts = read_event(position, event)) return {Stands::kRecord, parts, true};
  if (slot_position(word) > position) return {Stands::kPassed};
  const bool own = slot_status(word) == SlotStatus::kReady && slot_position(word) == position;
  return {own && (slot_parts(word) == 0 || slot_part(word) != 0) ? Stands::kNothing
                                                                 : Stands::kNotYet};
}

// A call is recorded when it has returned: what was overwritten had ended before its place was
// claimed, and so before the oldest records that are left. Of these a few are looked at, since one
// may have been claimed a moment after its end.
uint64_t LogReader::oldest_complete(Walk& walk) const {
  constexpr unsigned kLookedAt = 64;
  uint64_t tick = 0;
  for (unsigned i = 0; i < kLookedAt && !walk.done(); ++i, walk.step())
    tick = std::max({tick, walk.event().base.begin_tick, walk.event().base.end_tick});
  return tick;
}

uint64_t LogReader::events_complete_from() const {
  uint64_t tick = 0;
  if (const Ring of = ring(false); of.start != 0) {
    RingWalk walk(*this, of, 0);
    tick = oldest_complete(walk);
  }
  if (memory_->start() != 0) {
    MemoryWalk walk(*memory_, 0);
    tick = std::max(tick, oldest_complete(walk));
  }
  return tick;
}

bool LogReader::events_overwritten() const {
  return ring(false).start != 0 || memory_->start() != 0;
}

// A later part of a record whose beginning the wrap has taken: overwritten, not torn.
bool LogReader::is_tail(const Ring& ring, uint64_t count) const {
  const uint64_t word = load_word(slot_at(count | ring.mark));
  return slot_status(word) == SlotStatus::kReady && slot_position(word) == (count | ring.mark) &&
         slot_part(word) > count - ring.start;
}

void LogReader::count_losses(const Ring& ring, uint64_t& overwritten, uint64_t& torn) const {
  overwritten = ring.start;
  Event event;
  for (uint64_t p = ring.start; p < ring.end;) {
    const uint64_t written = std::min(next_written(ring, p), ring.end);
    torn += written - p;
    if ((p = written) == ring.end) return;
    const unsigned parts = read_event(p | ring.mark, event);
    if (parts == 0) ++(is_tail(ring, p) ? overwritten : torn);
    p += std::max(parts, 1u);
  }
}

Losses LogReader::losses() const {
  Losses lost = counted_losses();
  uint64_t torn = 0;
  count_losses(ring(false), lost.event_slots_overwritten, lost.event_slots_torn);
  count_losses(ring(true), lost.vital_slots_overwritten, torn);
  lost.event_slots_torn += torn + memory_->torn();
  lost.memory_units_overwritten = memory_->start();
  lost.call_chunks_damaged = damaged_chunks();
  return lost;
}

Losses LogReader::counted_losses() const {
  FileHeader now;
  std::memcpy(&now, bytes_.at(0, sizeof now), sizeof now);
  Losses lost;
  lost.events_lost_busy = now.events_lost_busy;
  lost.events_lost_lapped = now.events_lost_lapped;
  lost.calls_overwritten = now.calls_overwritten;
  lost.calls_lost_nested = now.calls_lost_nested;
  lost.snapshots_skipped = now.snapshots_skipped;
  lost.processes_unslotted = now.processes_unslotted;
  lost.threads_unslotted = now.threads_unslotted;
  lost.threads_unrecorded = now.threads_unrecorded;
  return lost;
}

}  // namespace ovc
