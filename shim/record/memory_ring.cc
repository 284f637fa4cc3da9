// SPDX-License-Identifier: MIT
//
// See memory_ring.h. Same rules as event_lane.cc.
#include "shim/record/memory_ring.h"

namespace ovcshim {
namespace {

constexpr int kTries = 8;
// A reading newer than the context's is told by a new one: by one of so many calls, or after a
// while.
constexpr uint64_t kCallsOfContext = 64, kContextMs = 100;
constexpr unsigned kPageShift = 12;

MemoryUnit& unit_at(uint64_t count) { return g.memory.units[count % g.memory.count]; }
uint64_t lap_of(uint64_t count) { return count / g.memory.count; }

// What stands in the unit. Where its page may be met for the first time the look is by an
// instruction that writes: see take() of event_lane.cc. It costs as much as a claim, so the page
// met last is kept.
uint64_t look_at(MemoryUnit& unit) {
  const uint64_t page = reinterpret_cast<uint64_t>(&unit) / kPageBytes;
  if (OVC_LIKELY(__atomic_load_n(&g_private->unit_page, __ATOMIC_RELAXED) == page))
    return __atomic_load_n(&unit.word, __ATOMIC_RELAXED);
  __atomic_store_n(&g_private->unit_page, page, __ATOMIC_RELAXED);
  return __atomic_fetch_add(&unit.word, 0, __ATOMIC_RELAXED);
}

// Takes `unit` for lap `lap`. Acquire pairs with the release stores in publish(): the previous
// record is complete before we overwrite it.
bool take(MemoryUnit& unit, uint64_t busy) {
  uint64_t word = look_at(unit);
  const UnitState state = unit_state(word);
  if (state == UnitState::kBusy) return false;
  if (state != UnitState::kEmpty && !is_later_lap(unit_lap(busy), unit_lap(word))) return false;
  return __atomic_compare_exchange_n(&unit.word, &word, busy, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED);
}

void give_up(uint64_t count, uint64_t taken) {
  for (uint64_t i = 0; i < taken; ++i)
    __atomic_store_n(&unit_at(count + i).word, unit_word(UnitState::kVoid, i, 1, lap_of(count + i)),
                     __ATOMIC_RELEASE);
}

// Sequentially consistent with close_rest() of lock_all.cc.
bool is_closed(uint64_t count, uint64_t parts) {
  const uint64_t open = __atomic_load_n(&g.memory.open, __ATOMIC_SEQ_CST);
  return OVC_UNLIKELY(open) && count % g.memory.count + parts > open;
}

bool take_all(uint64_t count, uint64_t parts) {
  for (uint64_t i = 0; i < parts; ++i) {
    const uint64_t busy = unit_word(UnitState::kBusy, i, parts, lap_of(count + i));
    if (take(unit_at(count + i), busy)) continue;
    give_up(count, i);
    return false;
  }
  return true;
}

// The fence: whoever sees a byte of the new record sees the new word, too (event_lane.cc).
uint64_t claim(uint64_t parts) {
  for (int tries = 0; tries < kTries; ++tries) {
    const uint64_t count = __atomic_fetch_add(g.memory.cursor, parts, __ATOMIC_SEQ_CST);
    if (OVC_UNLIKELY(is_closed(count, parts))) break;
    if (!take_all(count, parts)) continue;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    return count;
  }
  return kUnknown;
}

// What a unit says beside its state: the upper half of its word, and its fields.
struct Said {
  uint64_t upper, fields[3];
};

// Part 0 last: release pairs with the reader's acquire load of its word.
void publish(uint64_t count, UnitState state, const Said* said, uint64_t parts) {
  for (uint64_t i = parts; i-- > 0;) {
    MemoryUnit& unit = unit_at(count + i);
    for (int field = 0; field < 3; ++field)
      __atomic_store_n(&unit.fields[field], said[i].fields[field], __ATOMIC_RELAXED);
    const UnitState mine = i == 0 ? state : UnitState::kPart;
    __atomic_store_n(&unit.word, unit_word(mine, i, parts, lap_of(count + i)) | said[i].upper,
                     __ATOMIC_RELEASE);
  }
}

// ---- contexts ----

uint64_t identity(const EventBase& base) { return base.tid | uint64_t{base.process_serial} << 32; }
uint64_t context_word(const EventBase& base, uint64_t count) {
  return unit_word(UnitState::kContext, 0, kContextUnits, lap_of(count)) | uint64_t{base.pid} << 32;
}

uint64_t write_context(const Event& event, const EventBase& base) {
  const CommitState& met = base.before;
  const Said said[kContextUnits] = {
      {uint64_t{base.pid} << 32, {identity(base), base.begin_tick, base.call_seq}},
      {uint64_t{base.process} << 32, {event.reading_tick, met.committed_kb, met.limit_kb}},
      {0, {met.vm_size_pages, met.resident_pages, met.data_pages}}};
  const uint64_t count = claim(kContextUnits);
  if (count != kUnknown) publish(count, UnitState::kContext, said, kContextUnits);
  return count;
}

// One that this thread wrote, unless the ring has passed it or another thread's stands in its
// place.
bool is_mine(uint64_t count, const EventBase& base) {
  const MemoryUnit &first = unit_at(count), &second = unit_at(count + 1);
  return __atomic_load_n(&first.word, __ATOMIC_RELAXED) == context_word(base, count) &&
         __atomic_load_n(&first.fields[0], __ATOMIC_RELAXED) == identity(base) &&
         __atomic_load_n(&second.word, __ATOMIC_RELAXED) >> 32 == base.process;
}

// What a call's times and numbers are counted from.
struct Base {
  uint64_t tick, seq;
};
Base base_of(uint64_t count) {
  const MemoryUnit& unit = unit_at(count);
  return {__atomic_load_n(&unit.fields[1], __ATOMIC_RELAXED),
          __atomic_load_n(&unit.fields[2], __ATOMIC_RELAXED)};
}
bool suits(const Base& from, const EventBase& base) {
  return base.begin_tick >= from.tick && fits(base.begin_tick - from.tick, kBeginBits) &&
         base.call_seq >= from.seq && fits(base.call_seq - from.seq, kSeqBits);
}

// Half the reach is kept for those who claim between this look and the call's own claim.
bool is_current(uint64_t count, const Event& event, const EventBase& base) {
  const uint64_t since = __atomic_load_n(g.memory.cursor, __ATOMIC_RELAXED) - count;
  if (since > memory_reach(g.memory.count) / 2 || !is_mine(count, base)) return false;
  if (!suits(base_of(count), base)) return false;
  const uint64_t told = __atomic_load_n(&unit_at(count + 1).fields[0], __ATOMIC_RELAXED);
  if (told == event.reading_tick) return true;
  return since < kCallsOfContext && event.reading_tick - told < kContextMs * g_ticks_per_ms;
}

// Two threads whose numbers meet in one place write theirs by turns.
uint64_t context_for(const Event& event, const EventBase& base) {
  uint64_t& place = g_private->contexts[base.tid % kContexts];
  const uint64_t known = __atomic_load_n(&place, __ATOMIC_RELAXED);
  if (OVC_LIKELY(known && is_current(known - 1, event, base))) return known - 1;
  const uint64_t count = write_context(event, base);
  if (count != kUnknown) __atomic_store_n(&place, count + 1, __ATOMIC_RELAXED);
  return count;
}

// ---- calls ----

bool set_page(MemoryCall& call, uint64_t address) {
  call.page = address >> kPageShift;
  return address % kPageBytes == 0 && fits(call.page, kPageBits);
}
bool set_length(MemoryCall& call, uint64_t bytes) {
  call.length = bytes;
  return fits(bytes, kLengthBits);
}
bool set_prot(MemoryCall& call, uint64_t prot) {
  call.prot = prot;
  return fits(prot, kCallProtBits);
}
bool set_flags(MemoryCall& call, uint64_t flags) {
  call.flags = flags;
  return fits(flags, kCallFlagsBits);
}
bool set_break(MemoryCall& call, uint64_t address) {
  call.flags = address % kPageBytes;
  return set_page(call, address - call.flags);
}

bool set_fd(MemoryCall& call, uint64_t fd) {
  constexpr uint64_t kInt = 0xffffffff;
  call.fd = fd == UINT64_MAX ? kFdMinusOne : fd == kInt ? kFdMinusOneInt : kFdZero;
  return call.fd != kFdZero || fd == 0;
}

bool set_mmap(MemoryCall& call, const EventBase& base) {
  constexpr uint64_t kAnonymous = 0x20;
  const auto result = static_cast<uint64_t>(base.result);
  call.at = base.args[0] != 0;
  return (base.args[3] & kAnonymous) && base.args[5] == 0 && (!call.at || base.args[0] == result) &&
         set_page(call, result) && set_length(call, base.args[1]) && set_prot(call, base.args[2]) &&
         set_flags(call, base.args[3]) && set_fd(call, base.args[4]);
}

// libc's brk() gives 0, the system call the new break.
bool set_brk(MemoryCall& call, const EventBase& base) {
  const auto result = static_cast<uint64_t>(base.result);
  if (!(base.flags & (kInsideLibc | kRawSyscall)))
    return result == 0 && set_break(call, base.args[0]);
  call.prot = base.args[0] == 0;
  return (call.prot || result == base.args[0]) && set_break(call, result);
}

bool set_sbrk(MemoryCall& call, const EventBase& base) {
  call.prot = static_cast<int64_t>(base.args[0]) < 0;
  return set_break(call, static_cast<uint64_t>(base.result)) &&
         set_length(call, call.prot ? -base.args[0] : base.args[0]);
}

bool set_call(MemoryCall& call, const EventBase& base) {
  const uint64_t* args = base.args;
  switch (base.op) {
    case Op::kMmap: return set_mmap(call, base);
    case Op::kMunmap:
      return base.result == 0 && set_page(call, args[0]) && set_length(call, args[1]);
    case Op::kMremap:
      return set_page(call, args[0]) && set_length(call, args[1]) && set_flags(call, args[3]);
    case Op::kMprotect:
      return base.result == 0 && set_page(call, args[0]) && set_length(call, args[1]) &&
             set_prot(call, args[2]) && set_flags(call, args[3]);
    case Op::kBrk: return set_brk(call, base);
    case Op::kSbrk: return set_sbrk(call, base);
    default: return false;
  }
}

// No more is known of it than what the fields hold.
bool fits_ring(const Event& event, const EventBase& base) {
  constexpr uint16_t kFlags = kInsideLibc | kRawSyscall | kStackCut;
  return base.op >= Op::kMmap && base.op <= Op::kSbrk && !(base.flags & ~kFlags) &&
         event.stack_is_whole && fits(event.row, kRowBits) && base.process != kNoIndex &&
         !base.facts && !base.text_len && base.end_tick >= base.begin_tick &&
         fits(base.end_tick - base.begin_tick, kDurationBits);
}

uint64_t write_call(MemoryCall& call, const EventBase& base, uint64_t context) {
  const uint64_t parts = base.op == Op::kMremap ? 2 : 1;
  const uint64_t count = claim(parts);
  if (count == kUnknown) return kUnknown;
  call.distance = count - context;
  if (OVC_UNLIKELY(call.distance > memory_reach(g.memory.count))) {
    give_up(count, parts);
    return kUnknown;
  }
  Said said[2] = {{}, {0, {base.args[2], base.args[4], static_cast<uint64_t>(base.result)}}};
  write_memory_call(call, said[0].upper, said[0].fields);
  publish(count, UnitState::kCall, said, parts);
  return count | kMemoryBit;
}

}  // namespace

uint64_t write_memory_call(const Event& event, const Record& record) {
  const EventBase& base = record.base;
  MemoryCall call{};
  if (!g.memory.count || !fits_ring(event, base) || !set_call(call, base)) return kUnknown;
  const uint64_t context = context_for(event, base);
  if (context == kUnknown) return kUnknown;
  const Base from = base_of(context);
  call.begin = base.begin_tick - from.tick;
  call.seq = base.call_seq - from.seq;
  call.duration = base.end_tick - base.begin_tick;
  call.row = event.row;
  call.no_frames = base.frames == 0;
  call.inside_libc = (base.flags & kInsideLibc) != 0;
  call.raw_syscall = (base.flags & kRawSyscall) != 0;
  return write_call(call, base, context);
}

}  // namespace ovcshim
