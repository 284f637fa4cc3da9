// SPDX-License-Identifier: MIT
#include "tests/unit/log_builder.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "shim/format/call_address.h"
#include "shim/format/version.h"

namespace ovc::test {
namespace {

using namespace ovcshim;

constexpr uint64_t kTestGrowthBytes = 4096 + 8 * sizeof(ProcessSpace) + (16 << 10);
constexpr uint64_t kTestReadingsBytes = 4096, kTestMemoryUnits = 64;
constexpr uint64_t kTestProcesses = 8, kTestStripes = 8;  // the header says how many there are

void append(std::vector<unsigned char>& to, const void* from, size_t bytes) {
  const auto* begin = static_cast<const unsigned char*>(from);
  to.insert(to.end(), begin, begin + bytes);
}

std::vector<unsigned char> payload_of(const Event& event) {
  EventBase base = event.base;
  base.frames = static_cast<uint16_t>(event.frames.size());
  base.text_len = static_cast<uint16_t>(event.text.size());
  base.facts = static_cast<uint8_t>(event.facts.size());
  base.mappings = static_cast<uint8_t>(event.mappings.size());
  std::vector<unsigned char> payload;
  append(payload, &base, sizeof base);
  append(payload, event.frames.data(), event.frames.size() * sizeof(uint64_t));
  append(payload, event.text.data(), event.text.size());
  append(payload, event.facts.data(), event.facts.size() * sizeof(Fact));
  append(payload, event.mappings.data(), event.mappings.size() * sizeof(MappingEntry));
  return payload;
}

}  // namespace

LogBuilder::LogBuilder(uint64_t event_slots, uint64_t chunks, uint64_t vital_slots) {
  FileHeader h{};
  std::memcpy(h.magic, kMagic, sizeof kMagic);
  h.endian = kEndianMark;
  h.version = vital_slots ? kFormatVersion : 1;
  h.incompatible_flags = vital_slots ? kTwoRings | kMemoryRing : 0;
#if defined(__aarch64__)
  h.machine = static_cast<uint32_t>(Machine::kAarch64);
#else
  h.machine = static_cast<uint32_t>(Machine::kX86_64);
#endif
  h.ready = 1;
  uint64_t offset = kHeaderBytes;
  const auto place = [&](auto& area, uint64_t size) {
    area = {offset, size};
    offset += size;
  };
  place(h.processes, kTestProcesses * sizeof(ProcessSlot));
  place(h.stripes, kTestStripes * kStripeBytes);
  if (vital_slots) place(h.vitals, vital_slots * kSlotBytes);
  place(h.events, event_slots * kSlotBytes);
  if (vital_slots) {
    place(h.growth, kTestGrowthBytes), place(h.readings, kTestReadingsBytes);
    place(h.memory, kTestMemoryUnits * sizeof(MemoryUnit));
  }
  place(h.calls, chunks * kChunkBytes);
  h.file_bytes = offset;
  h.page_size = 4096;
  h.cpus_online = 2;
  std::strcpy(h.kernel_release, "6.1.0-test");
  std::strcpy(h.shim_version, kVersion);
  h.clock = static_cast<uint32_t>(Clock::kMonotonicNs);
  h.created = {1000, 1000, 1'700'000'000'000'000'000};
  bytes_.resize(offset);
  header() = h;
}

LogBuilder::~LogBuilder() {
  if (fd_ >= 0) close(fd_);
}

GrowthLayout LogBuilder::growth() { return growth_layout(header().growth.bytes, kTestProcesses); }

ProcessSpace& LogBuilder::space(size_t index) {
  return at<ProcessSpace>(header().growth.offset + growth().spaces + index * sizeof(ProcessSpace));
}

uint32_t& LogBuilder::owner_word(uint64_t page) {
  const uint64_t tables = header().growth.offset + growth().tables;
  if (space(0).root == 0) space(0).root = ++tables_;
  uint32_t table = space(0).root;
  for (unsigned level = kOwnerLevels - 1;; --level) {
    uint32_t& word = at<OwnerTable>(tables + (table - 1) * sizeof(OwnerTable))
                         .words[page / owner_pages(level) % kOwnerWords];
    if (level == 0) return word;
    if (word == 0) word = ++tables_ | kOwnerTable;
    table = word & ~kOwnerTable;
  }
}

uint32_t LogBuilder::put_grower(const std::vector<uint64_t>& frames, const CallTotals& totals,
                                uint32_t kind, uint64_t page, uint64_t pages) {
  const uint64_t area = header().growth.offset;
  const GrowthLayout l = growth();
  const uint32_t number = stacks_++;
  const uint64_t place = number * 16;
  at<uint64_t>(area + l.arena + place * 8) = 1;
  for (size_t i = 0; i < frames.size(); ++i)
    at<uint64_t>(area + l.arena + (place + 1 + i) * 8) = frames[i];
  at<uint64_t>(area + l.index + number * 8) =
      stack_word(frames.size(), false, place, stack_hash(1, frames.data(), frames.size(), false));
  CallTotals& row = at<CallTotals>(area + l.rows + number * sizeof(CallTotals));
  row = totals;
  row.key = totals_key(number, static_cast<uint32_t>(totals.key), kind);
  space(0).serial = process(0).serial;
  for (uint64_t i = page; i < page + pages; ++i) owner_word(i) = number + 1;
  return number;
}

GrowthHeader& LogBuilder::growth_header() { return at<GrowthHeader>(header().growth.offset); }

MemoryUnit& LogBuilder::unit(uint64_t count) {
  return at<MemoryUnit>(header().memory.offset + count % kTestMemoryUnits * sizeof(MemoryUnit));
}

uint64_t LogBuilder::put_memory(uint32_t row, uint64_t page, uint64_t pages, uint32_t tid,
                                uint64_t tick) {
  uint64_t& cursor = header().memory_cursor;
  const auto put_unit = [&](UnitState state, uint64_t part, uint64_t parts, uint64_t upper) {
    MemoryUnit& to = unit(cursor);
    to.word = unit_word(state, part, parts, cursor++ / kTestMemoryUnits) | upper;
    return to.fields;
  };
  uint64_t* fields = put_unit(UnitState::kContext, 0, kContextUnits, uint64_t{100} << 32);
  fields[0] = tid | uint64_t{1} << 32, fields[1] = tick, fields[2] = 0;
  put_unit(UnitState::kPart, 1, kContextUnits, 0)[0] = 0;
  put_unit(UnitState::kPart, 2, kContextUnits, 0);
  MemoryCall call{};
  call.distance = kContextUnits, call.duration = 10, call.row = row;
  call.page = page, call.length = pages << kOwnerPageShift, call.prot = 3, call.flags = 0x22;
  uint64_t upper = 0, said[3];
  write_memory_call(call, upper, said);
  std::memcpy(put_unit(UnitState::kCall, 0, 1, upper), said, sizeof said);
  return (cursor - 1) | kMemoryBit;
}

FileHeader& LogBuilder::header() { return at<FileHeader>(0); }
ProcessSlot& LogBuilder::process(size_t index) {
  return at<ProcessSlot>(header().processes.offset + index * sizeof(ProcessSlot));
}
Stripe& LogBuilder::stripe(size_t index) {
  return at<Stripe>(header().stripes.offset + index * kStripeBytes);
}
RetiredTotals& LogBuilder::retired(size_t version) {
  return at<RetiredTotals>(kRetiredOffset + (version & 1) * sizeof(RetiredTotals));
}
Slot& LogBuilder::slot(uint64_t position) {
  const auto place = [&](const auto& area) {
    return area.offset + (position & ~kVitalBit) % (area.bytes / kSlotBytes) * kSlotBytes;
  };
  return at<Slot>(position & kVitalBit ? place(header().vitals) : place(header().events));
}

uint64_t LogBuilder::put(const Event& event) { return put_at(event, header().event_cursor, 0); }
uint64_t LogBuilder::put_vital(const Event& event) {
  return put_at(event, header().vital_cursor, kVitalBit);
}

uint64_t LogBuilder::put_at(const Event& event, uint64_t& cursor, uint64_t mark) {
  std::vector<unsigned char> payload = payload_of(event);
  const uint64_t parts = (payload.size() + kSlotPayloadBytes - 1) / kSlotPayloadBytes;
  payload.resize(parts * kSlotPayloadBytes);
  last_ = cursor | mark;
  cursor += parts;
  for (uint64_t i = 0; i < parts; ++i) {
    Slot& s = slot(last_ + i);
    s.word = slot_word(SlotStatus::kReady, i, parts, last_ + i);
    std::memcpy(s.payload, payload.data() + i * kSlotPayloadBytes, kSlotPayloadBytes);
  }
  return last_;
}

void LogBuilder::wrap() {
  const uint64_t slots = header().events.bytes / kSlotBytes;
  for (const uint64_t until = header().event_cursor + slots; header().event_cursor < until;)
    put(make_event(Op::kMadvise));
}

void LogBuilder::tear_last() {
  const uint64_t word = slot(last_).word;
  slot(last_).word =
      slot_word(SlotStatus::kBusy, slot_part(word), slot_parts(word), slot_position(word));
}

void LogBuilder::update_last() {
  const uint64_t word = slot(last_).word;
  slot(last_).word =
      slot_word(SlotStatus::kUpdate, slot_part(word), slot_parts(word), slot_position(word));
}

void LogBuilder::void_last() { slot(last_).word = slot_word(SlotStatus::kReady, 0, 0, last_); }

void LogBuilder::put_chunk(size_t index, const LaneChunk& chunk) {
  const uint64_t offset = header().calls.offset + index * kChunkBytes;
  std::fill_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), kChunkBytes,
              static_cast<unsigned char>(0));
  at<ChunkHeader>(offset) = {chunk_word(ChunkStatus::kOwned, 0, chunk.tid, 1),
                             chunk.claim,
                             chunk.pid,
                             chunk.tid,
                             0,
                             1,
                             chunk.first_seq,
                             chunk.opened_tick,
                             1,
                             1,
                             0};
  header().chunk_cursor = std::max(header().chunk_cursor, chunk.claim + 1);
  uint64_t place = kChunkHeaderBytes;
  for (const LaneRecord& record : chunk.records) {
    if (place % kTimeMarkBytes == 0) {
      at<CallRecord>(offset + place) = {
          static_cast<uint64_t>(Op::kTime),
          chunk.opened_tick + place / kTimeMarkBytes * chunk.ticks_per_group};
      place += kCallRecordBytes;
    }
    if (place >= kChunkBytes) throw std::length_error("too many records for one chunk");
    if (!record.hole)
      at<CallRecord>(offset + place) = {
          call_word(record.op, record.address, record.align_log2) | top_address_bit(record.address),
          call_aux(record.caller, record.size)};
    place += kCallRecordBytes;
  }
}

void LogBuilder::flip_byte(uint64_t offset, unsigned char mask) { bytes_.at(offset) ^= mask; }
void LogBuilder::truncate(uint64_t bytes) { bytes_.resize(bytes); }

const std::string& LogBuilder::write() {
  if (fd_ < 0) fd_ = memfd_create("log", MFD_CLOEXEC);
  path_ = fmt::format("/proc/{}/fd/{}", getpid(), fd_);
  const bool done = ftruncate(fd_, 0) == 0 && pwrite(fd_, bytes_.data(), bytes_.size(), 0) ==
                                                  static_cast<ssize_t>(bytes_.size());
  if (!done) throw std::runtime_error("cannot write a log into memory");
  return path_;
}

Event make_event(Op op, uint64_t begin_tick, uint64_t end_tick) {
  Event event;
  event.base.op = op;
  event.base.begin_tick = begin_tick;
  event.base.end_tick = end_tick;
  event.base.pid = event.base.tid = 100;
  event.base.process = 0;
  event.base.process_serial = 1;
  event.base.image = 1;
  event.base.before = {kUnknown, kUnknown, kUnknown, kUnknown, kUnknown, kUnknown};
  return event;
}

Event make_module(uint32_t image, uint64_t start, uint64_t end, uint64_t bias,
                  const std::string& build_id, const std::string& path) {
  Event event = make_event(Op::kModule);
  event.base.image = image;
  set_args(event, {start, end, bias, build_id.size()});
  event.text = build_id + path;
  return event;
}

Event make_snapshot() {
  Event event = make_event(Op::kSnapshot);
  event.frames = {1, 2, 3};
  event.text = "0::/cgroup\n";
  for (uint32_t i = 1; i <= 30; ++i) event.facts.push_back({i, 0, i * 10});
  event.mappings = {{0x1000, 0x2000, kMapAc, 4, 4, 0}};
  return event;
}

void set_args(Event& event, std::initializer_list<uint64_t> args) {
  std::copy(args.begin(), args.end(), event.base.args);
}

}  // namespace ovc::test
