// SPDX-License-Identifier: MIT
//
// See log_mutator.h. Offsets come from the log itself as long as they lie in it, so that changes of
// what was changed go on.
#include "tests/fuzz/log_mutator.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "tests/unit/log_builder.h"
#include "tools/log/names.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace ovc::fuzz {
namespace {

using namespace ovcshim;
using Bytes = std::vector<unsigned char>;

constexpr uint64_t kEventSlots = 24, kVitalSlots = 16, kChunks = 2;

uint64_t below(std::mt19937& random, uint64_t n) {
  return std::uniform_int_distribution<uint64_t>(0, n - 1)(random);
}

// Figures at which something may change: small ones, ends of ranges, powers of two and their
// neighbours, anything.
uint64_t figure(std::mt19937& random) {
  const uint64_t power = uint64_t{1} << below(random, 64);
  switch (below(random, 6)) {
    case 0: return below(random, 256);
    case 1: return UINT64_MAX - below(random, 3);
    case 2: return power - 1 + below(random, 3);
    case 3: return uint64_t{1000} + below(random, 1000);
    case 4: return uint64_t{0x400000} + below(random, 0x200000);
    default: return uint64_t{random()} << 32 | random();
  }
}

Op any_op(std::mt19937& random) {
  if (below(random, 8) == 0) return static_cast<Op>(below(random, 300));
  constexpr uint64_t kAll = 133;
  for (;;)
    if (const auto op = static_cast<Op>(below(random, kAll)); op_info(op)) return op;
}

FactKey any_key(std::mt19937& random) {
  return static_cast<FactKey>(1 + below(random, below(random, 10) == 0 ? 1500 : 180));
}

std::string any_text(std::mt19937& random) {
  constexpr std::array kTexts = {"/usr/sbin/nginx",
                                 "/usr/bin/python3.11",
                                 "0::/a/b\n4:memory:/c\n3:pids:/d\n",
                                 "\x1b[31m\xc2\x9b\xe2\x80\xae",
                                 "redis-server",
                                 "",
                                 "/bin/sh",
                                 "error=ENOMEM",
                                 "\xff\xfe\"\\\n",
                                 "/usr/lib/libc.so.6"};
  return kTexts[below(random, kTexts.size())];
}

// clang-format off
Event any_event(std::mt19937& random) {
  Event event = test::make_event(any_op(random), 1000 + below(random, 5000), 0);
  EventBase& base = event.base;
  base.end_tick = base.begin_tick + below(random, 3000);
  base.pid = 100 + static_cast<uint32_t>(below(random, 3));
  base.tid = base.pid + static_cast<uint32_t>(below(random, 2));
  base.process = static_cast<uint32_t>(below(random, 3));
  base.flags = static_cast<uint16_t>(below(random, 3) == 0 ? random() & 0x3ff : below(random, 3));
  base.err = static_cast<uint16_t>(below(random, 2) == 0 ? 12 : below(random, 140));
  base.result = below(random, 2) == 0 ? -1 : static_cast<int64_t>(figure(random));
  base.caller = 0x400000 + below(random, 0x1000);
  base.call_seq = below(random, 400);
  for (uint64_t& arg : base.args) arg = figure(random);
  if (below(random, 2) == 0) base.args[0] = below(random, 3) == 0 ? kVitalBit | below(random, kVitalSlots) : below(random, kEventSlots);
  if (below(random, 2) == 0) base.before = {0, figure(random), figure(random), figure(random), figure(random), figure(random)};
  event.text = any_text(random);
  for (uint64_t n = below(random, 6); n > 0; --n) event.frames.push_back(0x400000 + below(random, 0x1000));
  for (uint64_t n = below(random, 3) == 0 ? below(random, 40) : 0; n > 0; --n)
    event.facts.push_back({static_cast<uint32_t>(any_key(random)), 0, figure(random)});
  for (uint64_t n = below(random, 3) == 0 ? below(random, 30) : 0, at = 0x10000; n > 0; --n) {
    const uint64_t end = at + 4096 * (1 + below(random, 1000));
    event.mappings.push_back({at, end, static_cast<uint32_t>(random()), 4, 4, 0});
    at = end + 4096 * below(random, 10);
  }
  return event;
}
// clang-format on

test::LaneChunk any_chunk(std::mt19937& random) {
  test::LaneChunk chunk;
  chunk.pid = chunk.tid = 100 + static_cast<uint32_t>(below(random, 3));
  chunk.claim = below(random, 4);
  for (uint64_t n = below(random, 200); n > 0; --n)
    chunk.records.push_back({static_cast<Op>(1 + below(random, 12)), below(random, 64) * 0x1000,
                             below(random, 1 << 17), 0x400000 + below(random, 0x1000),
                             below(random, 8) == 0 ? below(random, 64) : 0, below(random, 9) == 0});
  return chunk;
}

template <typename Struct>
Struct* at(Bytes& log, uint64_t offset) {
  const bool fits = offset <= log.size() && sizeof(Struct) <= log.size() - offset &&
                    offset % alignof(Struct) == 0;
  return fits ? reinterpret_cast<Struct*>(log.data() + offset) : nullptr;
}

void set_figure(Bytes& log, uint64_t offset, std::mt19937& random) {
  const uint64_t value = figure(random);
  const size_t size = size_t{1} << below(random, 4);
  if (offset <= log.size() && size <= log.size() - offset)
    std::memcpy(log.data() + offset, &value, size);
}

// A field of one of `count` structs of `unit` bytes that begin at `area`.
void set_field(Bytes& log, uint64_t area, uint64_t unit, uint64_t count, uint64_t struct_bytes,
               std::mt19937& random) {
  set_figure(log,
             area + below(random, std::max<uint64_t>(count, 1)) * unit +
                 below(random, struct_bytes / 2) * 2,
             random);
}

struct Ring {
  uint64_t offset, slots, mark;
  uint64_t* cursor;
};
Ring any_ring(FileHeader& h, std::mt19937& random) {
  if (below(random, 2) == 0)
    return {h.vitals.offset, h.vitals.bytes / kSlotBytes, kVitalBit, &h.vital_cursor};
  return {h.events.offset, h.events.bytes / kSlotBytes, 0, &h.event_cursor};
}

void set_slot_word(Bytes& log, FileHeader& h, std::mt19937& random) {
  const Ring ring = any_ring(h, random);
  auto* slot = at<Slot>(log, ring.offset + below(random, ring.slots + 1) * kSlotBytes);
  if (!slot) return;
  const uint64_t w = slot->word;
  uint64_t fields[] = {w & 3, slot_part(w), slot_parts(w), slot_position(w)};
  fields[below(random, 4)] = below(random, 3) == 0 ? figure(random) : below(random, 40);
  slot->word =
      slot_word(static_cast<SlotStatus>(fields[0] & 3), fields[1] & 63, fields[2] & 63, fields[3]);
}

// A new record, at the cursor or in place of one that is there.
void put_record(Bytes& log, FileHeader& h, std::mt19937& random) {
  const Ring ring = any_ring(h, random);
  if (ring.slots == 0) return;
  test::LogBuilder builder(kMaxParts, 0);
  builder.put(any_event(random));
  const uint64_t parts = builder.header().event_cursor;
  const uint64_t position =
      below(random, 2) == 0 ? *ring.cursor : below(random, *ring.cursor % ring.slots + 1);
  for (uint64_t i = 0; i < parts; ++i) {
    auto* slot = at<Slot>(log, ring.offset + (position + i) % ring.slots * kSlotBytes);
    if (!slot) return;
    *slot = builder.slot(i);
    slot->word = slot_word(SlotStatus::kReady, i, parts, (position + i) | ring.mark);
  }
  *ring.cursor = std::max(*ring.cursor, position + parts);
}

// A word or a field of the memory ring: another state, part or lap, a context that is none.
void set_unit(Bytes& log, FileHeader& h, std::mt19937& random) {
  const uint64_t units = h.memory.bytes / sizeof(MemoryUnit);
  auto* unit = at<MemoryUnit>(log, h.memory.offset + below(random, units + 1) * sizeof(MemoryUnit));
  if (!unit || units == 0) return;
  if (below(random, 2) == 0)
    return set_field(log, h.memory.offset, sizeof(MemoryUnit), units, sizeof(MemoryUnit), random);
  const uint64_t w = unit->word;
  uint64_t fields[] = {w & 7, w >> 3 & 3, unit_parts(w) - 1, unit_lap(w)};
  fields[below(random, 4)] = below(random, 6);
  unit->word =
      (w & ~uint64_t{0xffffffff}) |
      unit_word(static_cast<UnitState>(fields[0]), fields[1] & 3, (fields[2] & 3) + 1, fields[3]);
}

void change_piece(Bytes& log, std::mt19937& random) {
  const size_t bytes = 1 + below(random, std::min<uint64_t>(log.size(), 512));
  unsigned char* start = log.data() + below(random, log.size() - bytes + 1);
  const size_t now = LLVMFuzzerMutate(start, bytes, bytes);
  std::memset(start + now, 0, bytes - now);
}

void change_length(Bytes& log, std::mt19937& random, size_t largest) {
  const uint64_t unit = uint64_t{1} << below(random, 14);
  const uint64_t length =
      below(random, 2) == 0 ? log.size() + unit : below(random, log.size() / unit + 1) * unit;
  log.resize(std::clamp<uint64_t>(length, 1, largest));
}

}  // namespace

Bytes make_log(std::mt19937& random) {
  test::LogBuilder b(kEventSlots, kChunks, below(random, 8) == 0 ? 0 : kVitalSlots);
  const bool has_vitals = b.header().vitals.bytes != 0;
  const auto put = [&](const Event& event) {
    has_vitals&& is_vital_op(event.base.op) ? b.put_vital(event) : b.put(event);
  };
  put(test::make_module(1, 0x400000, 0x401000, 0x400000, "0123456789abcdefghij", any_text(random)));
  for (uint64_t n = 1 + below(random, 12); n > 0; --n) put(any_event(random));
  for (size_t i = 0; i < kChunks; ++i)
    if (below(random, 2) == 0) b.put_chunk(i, any_chunk(random));
  for (uint32_t i = 0; i < 3; ++i) {
    ProcessSlot& slot = b.process(i);
    slot.use = static_cast<uint32_t>(1 + below(random, 3));
    slot.serial = 1, slot.pid = 100 + i, slot.image = 1, slot.parent = i == 0 ? kNoIndex : 0,
    slot.parent_serial = 1;
    slot.fork_position = below(random, 2) == 0 ? kUnknown : kVitalBit | below(random, kVitalSlots);
    std::strcpy(slot.comm, "server");
  }
  for (uint32_t i = 0; has_vitals && i < 4; ++i) {
    CallTotals totals{};
    totals.key = static_cast<uint64_t>(i % 2 ? Op::kMprotect : Op::kMmap);
    totals.calls = 1 + below(random, 9), totals.granted_bytes = figure(random);
    const uint64_t page = 0x7f0000000 + 10 * i, pages = 1 + below(random, 10);
    const uint32_t row =
        b.put_grower({uint64_t{0x7f0000001000} + i, 0x7f0000002000}, totals,
                     static_cast<uint32_t>(below(random, 1 << kKindBits)), page, pages);
    for (uint64_t n = below(random, 6); n > 0; --n)  // 20 and more wrap the ring
      b.put_memory(row, page, pages, 100 + static_cast<uint32_t>(below(random, 2)),
                   1000 + below(random, 5000));
  }
  for (uint32_t i = 0; i < 10; ++i)
    b.header().host[i] = {static_cast<uint32_t>(any_key(random)), 0, figure(random)};
  return b.bytes();
}

// A word of a tree of owners: any row, or any table, itself and its own parent, too.
void set_owner_word(Bytes& log, const FileHeader& h, std::mt19937& random) {
  const GrowthLayout l = growth_layout(h.growth.bytes, h.processes.bytes / sizeof(ProcessSlot));
  if (l.table_count == 0) return;
  const uint64_t offset =
      h.growth.offset + l.tables + below(random, l.table_count * kOwnerWords) * sizeof(uint32_t);
  auto* word = at<uint32_t>(log, offset);
  if (!word) return;
  const auto number = static_cast<uint32_t>(below(random, l.table_count + 2));
  *word = number | (below(random, 2) ? kOwnerTable : 0) | (below(random, 4) ? 0 : kOwnerLeaves);
}

void change_log(Bytes& log, std::mt19937& random, size_t largest) {
  auto* header = at<FileHeader>(log, 0);
  if (!header) return change_length(log, random, largest);
  FileHeader& h = *header;
  switch (below(random, 17)) {
    case 0: return set_figure(log, below(random, sizeof h / 4) * 4, random);
    case 1:
      return set_figure(log, offsetof(FileHeader, file_bytes) + 8 * below(random, 9),
                        random);  // the areas
    case 2: return set_slot_word(log, h, random);
    case 3:
    case 4:
    case 5: return put_record(log, h, random);
    case 6:
    case 7: {
      const Ring ring = any_ring(h, random);
      return set_field(log, ring.offset, kSlotBytes, ring.slots, 8 + sizeof(EventBase), random);
    }
    case 8:
      return set_field(log, h.calls.offset, kChunkBytes, h.calls.bytes / kChunkBytes,
                       kChunkHeaderBytes, random);
    case 9:
      return set_field(log, h.calls.offset, kCallRecordBytes, h.calls.bytes / kCallRecordBytes,
                       kCallRecordBytes, random);
    case 10:
      return set_field(log, h.processes.offset, sizeof(ProcessSlot), 4, sizeof(ProcessSlot),
                       random);
    case 11: return set_field(log, h.stripes.offset, kStripeBytes, 4, sizeof(Stripe), random);
    case 12: return set_field(log, h.growth.offset, 256, h.growth.bytes / 256, 256, random);
    case 13:
      if (below(random, 2)) return set_owner_word(log, h, random);
      return set_field(log, h.readings.offset, 16, h.readings.bytes / 16, 16, random);
    case 14: return set_unit(log, h, random);
    case 15:
      return below(random, 4) == 0
                 ? change_length(log, random, largest)
                 : void((below(random, 3) == 0 ? h.memory_cursor : *any_ring(h, random).cursor) =
                            figure(random));
    default: return change_piece(log, random);
  }
}

void splice_logs(Bytes& log, std::span<const unsigned char> other, std::mt19937& random) {
  const uint64_t unit = below(random, 2) == 0 ? kSlotBytes : 8;
  const uint64_t common = std::min(log.size(), other.size()) / unit;
  if (common == 0) return;
  const uint64_t from = below(random, common), count = 1 + below(random, common - from);
  std::memcpy(log.data() + from * unit, other.data() + from * unit, count * unit);
}

}  // namespace ovc::fuzz
