// SPDX-License-Identifier: MIT
//
// MEMORY RING: the third ring of the event lane, for what a program does by the hundred thousand:
// calls that changed its address space and were granted. Part of the specification in
// log_format.h: FileHeader::memory gives its place (bytes 0: the log has none).
//
// WHAT IS IN IT
//   mmap, munmap, mremap, mprotect, brk and sbrk that succeeded, 32 bytes each, with all that an
//   event has: a reader makes the same Event of it. What does not fit the fields below is an event
//   of the events ring instead: a mapping of a file, a call that took long, an odd argument, a
//   stack that had no room in the table of stacks, a refusal.
//
// UNITS
//   The ring is MemoryUnit[n]. A record takes 1 to 3 consecutive units, claimed by one atomic add
//   on FileHeader::memory_cursor. A claim has the mark kMemoryBit as its position; count c lives in
//   unit c % n, in lap c / n. The lower half of a unit's word says
//     state 3 bits | part 2 | parts - 1, 2 | lap 25
//   and the upper half belongs to the record. States as those of a slot: UnitState::kEmpty;
//   kBusy: only its claimer may write it, a reader skips it, and nobody takes it, for its owner may
//   be alive; the others may be taken by who claimed a later lap (laps are compared modulo 2^25).
//   A claimer that cannot have all its units makes those that it took kVoid, and tries later ones;
//   then it writes an event instead. Words are stored with release order, part 0 last.
//   A RECORD IS VALID if and only if each of its units has its own part, parts and lap, part 0 is
//   kCall or kContext and the others are kPart, before and after their bytes were copied out.
//   Claim order is the order of the calls' ends.
//
// CONTEXT, 3 units: what the calls of a thread have in common.
//   word's upper half   fields
//   0: pid              tid | process_serial << 32, base tick, base call_seq
//   1: process          tick of the reading in force (0: none), Committed_AS kB, CommitLimit kB
//   2: 0                pages: vm_size, resident, data
//   Every call tells how many units before it its context begins: memory_reach(n) at most. So a
//   context is there as long as its calls are those of the last n - memory_reach(n) units, and a
//   reader looks at no others: what lies before counts as overwritten. A thread writes a new one
//   when it comes out of reach, when the base does not suit, and when there is a newer reading, of
//   these one in 64 calls or 100 ms.
//
// CALL, 1 unit, of mremap 2
//   word's upper half   distance to its context 16 bits | duration in ticks, lower 16
//   field 0   address >> 12, 36 bits | row of CallTotals 20 (op, stack, image) | duration, upper 8
//   field 1   length in bytes 42 | the event has no frames 1 | call_seq - base 21
//   field 2   begin tick - base 34 | arguments 30: prot 4, flags 21, fd 2, at 1, EventFlags 2
//   Second unit of mremap: new length, new address asked for, result
//           address       length            prot          flags          fd         at
//   mmap    result        len               prot          flags          MemoryFd   addr was given
//   munmap  addr          len
//   mremap  old addr      old len                         flags
//   mprotect addr         len               prot          pkey + 1
//   brk     the break     0                 1: addr is 0  its lower 12 bits
//   sbrk    result        |increment|       1: it shrinks lower 12 bits
//   mmap's offset is 0, its addr 0 or the result.
#pragma once
#include <cstddef>
#include <cstdint>

namespace ovcshim {

enum class UnitState : uint64_t {
  kEmpty = 0,
  kBusy = 1,
  kVoid = 2,
  kCall = 3,
  kContext = 4,
  kPart = 5
};

struct MemoryUnit {
  uint64_t word;
  uint64_t fields[3];
};
static_assert(sizeof(MemoryUnit) == 32);

inline constexpr unsigned kMostUnits = 3, kContextUnits = 3;
inline constexpr uint64_t kLapMask = (uint64_t{1} << 25) - 1;

// The lower half of a word.
constexpr uint64_t unit_word(UnitState state, uint64_t part, uint64_t parts, uint64_t lap) {
  return static_cast<uint64_t>(state) | part << 3 | (parts - 1) << 5 | (lap & kLapMask) << 7;
}
constexpr uint64_t lower_half(uint64_t word) { return word & 0xffffffff; }
constexpr UnitState unit_state(uint64_t word) { return static_cast<UnitState>(word & 7); }
constexpr uint64_t unit_parts(uint64_t word) { return (word >> 5 & 3) + 1; }
constexpr uint64_t unit_lap(uint64_t word) { return word >> 7 & kLapMask; }
// Is lap a later than lap b?
constexpr bool is_later_lap(uint64_t a, uint64_t b) {
  const uint64_t ahead = (a - b) & kLapMask;
  return ahead != 0 && ahead <= kLapMask / 2;
}

// How many units before a call its context may begin.
constexpr uint64_t memory_reach(uint64_t units) { return units / 4 < 4096 ? units / 4 : 4096; }
// Of a new log with that much for the two other rings. A ring of fewer units is of no use.
constexpr uint64_t memory_ring_bytes(uint64_t events_bytes) { return events_bytes / 16 * 13; }
inline constexpr uint64_t kLeastMemoryUnits = 16;

enum MemoryFd : uint64_t { kFdMinusOne = 0, kFdMinusOneInt = 1 /* 0xffffffff */, kFdZero = 2 };

struct MemoryCall {
  uint64_t distance, duration, page, row, length, no_frames, seq, begin;
  uint64_t prot, flags, fd, at, inside_libc, raw_syscall;
};

inline constexpr unsigned kDistanceBits = 16, kDurationBits = 24, kPageBits = 36, kRowBits = 20,
                          kLengthBits = 42, kSeqBits = 21, kBeginBits = 34, kCallProtBits = 4,
                          kCallFlagsBits = 21;
constexpr bool fits(uint64_t value, unsigned bits) { return value >> bits == 0; }

// The upper half of the first unit's word, and its fields.
constexpr void write_memory_call(const MemoryCall& c, uint64_t& upper, uint64_t fields[3]) {
  upper = (c.distance | (c.duration & 0xffff) << 16) << 32;
  fields[0] = c.page | c.row << 36 | c.duration >> 16 << 56;
  fields[1] = c.length | c.no_frames << 42 | c.seq << 43;
  fields[2] =
      c.begin |
      (c.prot | c.flags << 4 | c.fd << 25 | c.at << 27 | c.inside_libc << 28 | c.raw_syscall << 29)
          << 34;
}
constexpr uint64_t bits_of(uint64_t word, unsigned from, unsigned count) {
  return word >> from & ((uint64_t{1} << count) - 1);
}
constexpr MemoryCall read_memory_call(uint64_t word, const uint64_t fields[3]) {
  const uint64_t args = fields[2] >> 34;
  return {bits_of(word, 32, 16),     word >> 48 | fields[0] >> 56 << 16,
          bits_of(fields[0], 0, 36), bits_of(fields[0], 36, 20),
          bits_of(fields[1], 0, 42), bits_of(fields[1], 42, 1),
          fields[1] >> 43,           bits_of(fields[2], 0, 34),
          bits_of(args, 0, 4),       bits_of(args, 4, 21),
          bits_of(args, 25, 2),      bits_of(args, 27, 1),
          bits_of(args, 28, 1),      bits_of(args, 29, 1)};
}

}  // namespace ovcshim
