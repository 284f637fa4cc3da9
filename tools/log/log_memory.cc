// SPDX-License-Identifier: MIT
#include "tools/log/log_memory.h"

#include <algorithm>
#include <cstring>

namespace ovc {
namespace {

using namespace ovcshim;

constexpr unsigned kPageShift = 12;
constexpr size_t kContextsKept = 256;

// Acquire: pairs with the writer's release store, so that the fields copied after it are the
// committed ones.
uint64_t load_word(const MemoryUnit& unit) { return __atomic_load_n(&unit.word, __ATOMIC_ACQUIRE); }

uint64_t fd_of(uint64_t kind) {
  return kind == kFdMinusOne ? UINT64_MAX : kind == kFdMinusOneInt ? 0xffffffff : 0;
}

void set_mmap(EventBase& base, const MemoryCall& call, uint64_t address) {
  base.result = static_cast<int64_t>(address);
  base.args[0] = call.at ? address : 0;
  base.args[1] = call.length, base.args[2] = call.prot, base.args[3] = call.flags;
  base.args[4] = fd_of(call.fd);
}

void set_mremap(EventBase& base, const MemoryCall& call, uint64_t address, const MemoryUnit& more) {
  base.args[0] = address, base.args[1] = call.length, base.args[3] = call.flags;
  base.args[2] = more.fields[0], base.args[4] = more.fields[1];
  base.result = static_cast<int64_t>(more.fields[2]);
}

void set_break(EventBase& base, const MemoryCall& call, uint64_t address) {
  const bool is_call = base.flags & (kInsideLibc | kRawSyscall);
  const uint64_t at = address + call.flags;
  if (base.op == Op::kBrk) {
    base.args[0] = is_call && call.prot ? 0 : at;
    base.result = is_call ? static_cast<int64_t>(at) : 0;
  } else {
    base.args[0] = call.prot ? -call.length : call.length;
    base.result = static_cast<int64_t>(at);
  }
}

// See CALL in memory_format.h.
void set_call(EventBase& base, const MemoryCall& call, const MemoryUnit& more) {
  const uint64_t address = call.page << kPageShift;
  switch (base.op) {
    case Op::kMmap: return set_mmap(base, call, address);
    case Op::kMremap: return set_mremap(base, call, address, more);
    case Op::kBrk:
    case Op::kSbrk: return set_break(base, call, address);
    default: base.args[0] = address, base.args[1] = call.length;
  }
  if (base.op == Op::kMprotect) base.args[2] = call.prot, base.args[3] = call.flags;
}

}  // namespace

MemoryRecords::MemoryRecords(const LogReader& log)
    : log_(log), growth_(log), units_(log.header_.memory.bytes / sizeof(MemoryUnit)) {
  if (units_ < kLeastMemoryUnits || !growth_.is_there()) units_ = 0;
  contexts_.resize(units_ ? kContextsKept : 0);
}

uint64_t MemoryRecords::end() const {
  uint64_t cursor = 0;
  if (units_)
    std::memcpy(&cursor, log_.bytes_.at(offsetof(FileHeader, memory_cursor), sizeof cursor),
                sizeof cursor);
  return std::min(cursor, kMemoryBit - 1);
}

uint64_t MemoryRecords::start() const {
  const uint64_t last = end();
  return last > units_ ? last - units_ + memory_reach(units_) : 0;
}

uint64_t MemoryRecords::next_written(uint64_t count) const {
  if (count >= end()) return count;
  const uint64_t index = count % units_, area = log_.header_.memory.offset;
  const uint64_t data = log_.bytes_.next_data(area + index * sizeof(MemoryUnit));
  return count + (std::min((data - area) / sizeof(MemoryUnit), units_) - index);
}

// Most places asked for are in the lap of the one before: no division then.
MemoryRecords::Place MemoryRecords::place(uint64_t count) const {
  if (count - lap_start_ >= units_) lap_ = count / units_, lap_start_ = lap_ * units_;
  return {count - lap_start_, lap_ & kLapMask};
}

const MemoryUnit* MemoryRecords::unit(uint64_t index) const {
  return reinterpret_cast<const MemoryUnit*>(
      log_.bytes_.at(log_.header_.memory.offset + index * sizeof(MemoryUnit), sizeof(MemoryUnit)));
}

MemoryRecords::Found MemoryRecords::find(uint64_t count) const {
  const Place at = place(count);
  const uint64_t lap = at.lap, word = load_word(*unit(at.index));
  const auto parts = static_cast<unsigned>(unit_parts(word));
  if (unit_lap(word) != lap || unit_state(word) <= UnitState::kBusy)
    return {word != 0 && is_later_lap(unit_lap(word), lap) ? Kind::kPassed : Kind::kUnready};
  const auto begins = [&](UnitState state) {
    return lower_half(word) == unit_word(state, 0, parts, lap);
  };
  if (begins(UnitState::kCall)) return {Kind::kCall, parts};
  if (begins(UnitState::kContext) && parts == kContextUnits) return {Kind::kContext, parts};
  return {Kind::kNothing};
}

// Copies the units of the record at `count`; false if it is not valid.
bool MemoryRecords::copy(uint64_t count, UnitState state, unsigned parts, MemoryUnit* to) const {
  for (unsigned i = 0; i < parts; ++i) {
    const auto [index, lap] = place(count + i);
    const MemoryUnit& from = *unit(index);
    const uint64_t expected = unit_word(i == 0 ? state : UnitState::kPart, i, parts, lap);
    to[i].word = load_word(from);
    if (lower_half(to[i].word) != expected) return false;
    std::memcpy(to[i].fields, from.fields, sizeof from.fields);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);  // the check below must not be done before the copy
    if (__atomic_load_n(&from.word, __ATOMIC_RELAXED) != to[i].word) return false;
  }
  return true;
}

// Of a row that is not there, or has no stack: nullptr.
const MemoryRecords::Row* MemoryRecords::row(uint32_t number) const {
  if (number < rows_.size() && rows_[number]) return &*rows_[number];
  const auto totals = growth_.row(number);
  auto stack = totals ? growth_.stack(totals->stack) : std::nullopt;
  if (!stack || totals->op < Op::kMmap || totals->op > Op::kSbrk) return nullptr;
  if (number >= rows_.size()) rows_.resize(number + 1);
  rows_[number] = Row{totals->op, std::move(*stack)};
  return &*rows_[number];
}

const MemoryRecords::Context* MemoryRecords::context(uint64_t count) const {
  Context& kept = contexts_[count % kContextsKept];
  if (kept.count == count) return &kept;
  MemoryUnit units[kContextUnits];
  if (!copy(count, UnitState::kContext, kContextUnits, units)) return nullptr;
  kept = {count, {}, units[1].fields[0]};
  EventBase& base = kept.base;
  base.pid = static_cast<uint32_t>(units[0].word >> 32);
  base.process = static_cast<uint32_t>(units[1].word >> 32);
  base.tid = static_cast<uint32_t>(units[0].fields[0]);
  base.process_serial = static_cast<uint32_t>(units[0].fields[0] >> 32);
  base.begin_tick = units[0].fields[1], base.call_seq = units[0].fields[2];
  base.before = {0,
                 units[1].fields[1],
                 units[1].fields[2],
                 units[2].fields[0],
                 units[2].fields[1],
                 units[2].fields[2]};
  return &kept;
}

Op MemoryRecords::op_at(uint64_t count) const {
  const MemoryUnit& there = *unit(place(count).index);
  const Row* known = row(static_cast<uint32_t>(read_memory_call(there.word, there.fields).row));
  return known ? known->op : Op::kNone;
}

bool MemoryRecords::read(uint64_t count, unsigned parts, Event& event) const {
  MemoryUnit units[2];
  if (parts > 2 || !copy(count, UnitState::kCall, parts, units)) return false;
  const MemoryCall call = read_memory_call(units[0].word, units[0].fields);
  const Row* known = row(static_cast<uint32_t>(call.row));
  if (!known || call.distance > std::min(memory_reach(units_), count)) return false;
  const Context* from = context(count - call.distance);
  if (!from || (known->op == Op::kMremap) != (parts == 2)) return false;
  event.position = count | kMemoryBit;
  event.updating = false;
  event.text.clear(), event.facts.clear(), event.mappings.clear();
  event.frames = known->stack.frames;
  EventBase& base = event.base = from->base;
  base.op = known->op;
  base.flags = static_cast<uint16_t>((call.inside_libc ? kInsideLibc : 0) |
                                     (call.raw_syscall ? kRawSyscall : 0) |
                                     (known->stack.cut ? kStackCut : 0));
  base.begin_tick += call.begin, base.end_tick = base.begin_tick + call.duration;
  base.call_seq += call.seq;
  base.image = known->stack.image;
  base.caller = event.frames.front();
  if (call.no_frames) event.frames.clear();
  base.frames = static_cast<uint16_t>(event.frames.size());
  set_age(base, from->reading_tick);
  set_call(base, call, units[1]);
  return true;
}

// Without a reading nothing is known.
void MemoryRecords::set_age(EventBase& base, uint64_t reading_tick) const {
  if (reading_tick == 0) base.before = {kUnknown, kUnknown, kUnknown, kUnknown, kUnknown, kUnknown};
  else if (base.begin_tick > reading_tick)
    base.before.age_ns = static_cast<uint64_t>(
        log_.ticks_to_ns(static_cast<int64_t>(base.begin_tick - reading_tick)));
}

uint64_t MemoryRecords::torn() const {
  uint64_t units = 0;
  for (uint64_t count = start(); count < end();) {
    const uint64_t written = std::min(next_written(count), end());
    units += written - count;
    if ((count = written) == end()) break;
    const Found found = find(count);
    units += found.kind == Kind::kUnready;
    count += found.units;
  }
  return units;
}

}  // namespace ovc
