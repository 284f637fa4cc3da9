// SPDX-License-Identifier: MIT
//
// GROWTH: the area of the log that says who made a process grow, and is never overwritten. Part of
// the specification in log_format.h: FileHeader::growth gives its place (bytes 0: the log has
// none).
//
// PARTS, in this order; their sizes follow from the area's (growth_layout)
//   GrowthHeader   a page: cursors, and what had no room
//   ProcessSpace[] of each ProcessSlot: its tree of owners, and what the kernel's lists said
//   index          a word for each different stack, found by hash
//   CallTotals[]   exact totals, one for each (stack, op, kind of memory)
//   arena          the stacks' frames
//   OwnerTable[]   tables of the trees
//
// STACKS. Number n is word n of the index (stack_word): place in the arena, frames, check. In the
//   arena stand the image (names for the addresses, see EventBase::image) and the return addresses,
//   innermost first. A writer fills the arena first and stores the word last, by compare-and-swap
//   from 0: what a killed one leaves is room in the arena, never a word. Searched for from
//   stack_start(hash) on, kProbes words at most. Two processes may enter the same stack twice: sums
//   are as exact as with one. Where the room for whole stacks is used up, the caller alone is
//   entered (cut); where that has none, kNoStack.
//
// TOTALS. A row is claimed by compare-and-swap of its key from 0 and counts from then on by atomic
//   adds. Two rows may have the same key: add them up. `granted_bytes` is memory that calls brought:
//   new mappings, what mremap and brk added, what mprotect made writable for the first time.
//
// SAMPLES. Rows of kind kKindSampled are of the malloc family's calls for less than
//   kBigRequestBytes (log_format.h), which have no rows otherwise: of the bytes that they ask for,
//   one is drawn for each GrowthHeader::sample_bytes on average, each with the same chance
//   whatever came before, and the call that asked for it is entered: calls is how many were drawn,
//   asked_bytes sample_bytes times as many. The first 4 MiB that the first thread of a program
//   asks for are spared. What a stack's calls asked for is asked_bytes, give or take
//   sample_bytes * sqrt(calls) (standard deviation); granted or freed again is not told.
//
// OWNERS. Which row brought each page that a process has now. A tree per process of tables of 64
//   words, kOwnerLevels deep: word i of a table stands for as much memory as a whole table a level
//   below, down to pages of 4 kB. A word is 0 (nothing recorded), a row's number + 1, or with
//   kOwnerTable a table that divides it further. kOwnerLeaves marks what munmap or mremap was asked
//   to take away: it is still there until that returns. Words change by compare-and-swap only, each
//   step leaves a tree that can be read; calls that were under way when their process was killed may
//   be in it in part. A forked child begins with an empty one: what it inherited is its parent's.
//   mprotect that makes memory writable for the first time becomes its owner: from then on the
//   memory is charged. What loses its write permission keeps its owner's stack under another kind.
//
// READER ALGORITHM: never trust a number without a bound check; a table is followed once.
#pragma once
#include <cstddef>
#include <cstdint>

namespace ovcshim {

inline constexpr uint32_t kNoStack = 0xfffff;  // as a number: 20 bits
inline constexpr unsigned kProbes = 64;

// What decides whether memory is charged, as the calls said it.
enum MemoryKind : uint32_t {
  kKindShared = 1 << 0,
  kKindFile = 1 << 1,
  kKindNoreserve = 1 << 2,
  kKindHuge = 1 << 3,
  kKindGrowsdown = 1 << 4,
  kKindDroppable = 1 << 5,
  kKindWritable = 1 << 6,      // now
  kKindEverWritable = 1 << 7,  // since it was mapped
  kKindUnknown = 1 << 8,       // mremap of what no recorded call had mapped
  kKindSampled = 1 << 9,       // no kind of memory: see SAMPLES
};
inline constexpr unsigned kKindBits = 10;
inline constexpr uint64_t kSampleBytes = 512 << 10;  // by this shim

// stack 20 bits | op 7 | kind 10 | valid
inline constexpr uint64_t kTotalsValid = uint64_t{1} << 63;
constexpr uint64_t totals_key(uint32_t stack, uint32_t op, uint32_t kind) {
  return stack | uint64_t{op} << 20 | uint64_t{kind} << 27 | kTotalsValid;
}
constexpr uint32_t totals_stack(uint64_t key) { return key & 0xfffff; }
constexpr uint32_t totals_op(uint64_t key) { return key >> 20 & 0x7f; }
constexpr uint32_t totals_kind(uint64_t key) { return key >> 27 & ((1u << kKindBits) - 1); }

struct CallTotals {
  uint64_t key;  // 0: free
  uint64_t calls, failed;
  uint64_t asked_bytes, failed_bytes;  // as the calls said, of granted and of refused ones
  uint64_t granted_bytes;              // whole pages
  uint64_t last_tick;
  uint64_t reserved;
};
static_assert(sizeof(CallTotals) == 64);

// frames 6 bits | cut 1 | place in the arena, in words, 25 | check 32
constexpr uint64_t stack_word(uint64_t frames, bool cut, uint64_t place, uint32_t check) {
  return frames | uint64_t{cut} << 6 | place << 7 | uint64_t{check} << 32;
}
constexpr uint64_t stack_frames(uint64_t word) { return word & 63; }
constexpr bool stack_cut(uint64_t word) { return word >> 6 & 1; }
constexpr uint64_t stack_place(uint64_t word) { return word >> 7 & 0x1ffffff; }
constexpr uint32_t stack_check(uint64_t word) { return static_cast<uint32_t>(word >> 32); }
inline constexpr uint32_t kMostStackFrames = 63;

constexpr uint64_t mixed(uint64_t a) {
  a ^= a >> 32;
  a *= 0x9e3779b97f4a7c15;
  return a ^ a >> 29;
}
// Hash and check of a stack; also of damaged bytes that look like one.
constexpr uint32_t stack_hash(uint32_t image, const uint64_t* frames, uint64_t count, bool cut) {
  uint64_t h = mixed(uint64_t{image} << 8 | count << 1 | uint64_t{cut});
  for (uint64_t i = 0; i < count; ++i) h = (h ^ frames[i]) * 0x9e3779b97f4a7c15, h ^= h >> 31;
  return static_cast<uint32_t>(mixed(h) >> 16);
}

constexpr uint64_t start_of(uint32_t hash, uint64_t places) {
  return uint64_t{hash} * places >> 32;
}

// ---- owners ----

inline constexpr unsigned kOwnerBits = 6, kOwnerLevels = 6, kOwnerPageShift = 12;
inline constexpr uint32_t kOwnerWords = 1 << kOwnerBits;
inline constexpr uint64_t kOwnerEnd = uint64_t{1} << (kOwnerPageShift + kOwnerBits * kOwnerLevels);
inline constexpr uint32_t kOwnerTable = uint32_t{1} << 31, kOwnerLeaves = uint32_t{1} << 30;
constexpr uint32_t owner_value(uint32_t word) { return word & (kOwnerLeaves - 1); }
struct OwnerTable {
  uint32_t words[kOwnerWords];  // of a free table: words[0] is the next free one + 1
};
static_assert(sizeof(OwnerTable) == 256);
// Pages in one word of a table at this level; 0 is the lowest.
constexpr uint64_t owner_pages(unsigned level) { return uint64_t{1} << (kOwnerBits * level); }

// Private memory with an owner that was ever writable, by what else decides its charge.
enum OwnedSum : uint32_t {
  kOwnedPlain = 0,
  kOwnedNoreserve = 1,
  kOwnedReadOnly = 2,
  kOwnedSums = 4
};

// One of the kernel's lists of mappings, beside what had owners then. In kB.
struct ListedCharge {
  uint64_t tick;  // 0: none
  uint64_t charged_kb;
  uint64_t owned_kb[kOwnedSums];  // [OwnedSum]
};

struct ProcessSpace {
  uint32_t serial;             // of its ProcessSlot
  uint32_t root;               // table + 1
  uint64_t brk;                // where the program break is; 0: not known
  uint64_t missing;            // changes that found no room: the tree is not exact
  uint64_t inherits;           // 1: forked, its parent's mappings have no owners here
  ListedCharge first, newest;  // lists of this image; seq odd: newest is being written
  uint64_t seq;
  // The highest of all readings of the process since its image began; words that only grow.
  uint64_t peak_vm_size_pages, peak_resident_pages, peak_data_pages;
  uint64_t reserved[12];
};
static_assert(sizeof(ProcessSpace) == 256);

struct GrowthHeader {
  alignas(64) uint64_t arena_cursor;  // words given out
  alignas(64) uint64_t tables_used;   // given out for the first time
  alignas(64) uint64_t tables_free;   // change count << 32 | table + 1
  alignas(64) uint64_t stacks;        // in the index
  uint64_t stacks_cut;                // calls whose stack had no room: caller only, or nothing
  uint64_t rows_missing;              // calls that no row could be had for: not in the totals
  uint64_t tables_missing;            // changes of a tree that found no table
  uint64_t moves_overtaken;  // pages that mremap moved while another thread took their old place
  uint64_t sample_bytes;     // 0: no sample was taken
  uint64_t samples;          // taken
  uint64_t samples_lost;     // of these: no room
};
static_assert(sizeof(GrowthHeader) <= 4096);

struct GrowthLayout {
  uint64_t spaces, index, index_words, rows, row_count, arena, arena_words, tables, table_count;
};
inline constexpr uint64_t kGrowthBytes = 15u << 20;  // of a new log of the usual size
inline constexpr uint64_t kLeastGrowthBytes = 384 << 10;
// Offsets from the start of the area.
constexpr GrowthLayout growth_layout(uint64_t bytes, uint64_t processes) {
  GrowthLayout l{};
  if (bytes < 2 * 4096 + processes * sizeof(ProcessSpace)) return l;
  l.spaces = 4096;
  l.index = l.spaces + processes * sizeof(ProcessSpace);
  const uint64_t rest = bytes - l.index;
  l.index_words = rest / 64 / 8;
  l.rows = (l.index + l.index_words * 8 + 63) & ~uint64_t{63};
  l.row_count = rest / 8 / sizeof(CallTotals);
  l.arena = l.rows + l.row_count * sizeof(CallTotals);
  l.arena_words = rest / 4 / 8;
  l.tables = (l.arena + l.arena_words * 8 + 255) & ~uint64_t{255};
  l.table_count = l.tables < bytes ? (bytes - l.tables) / sizeof(OwnerTable) : 0;
  if (l.index_words > kNoStack) l.index_words = kNoStack;
  if (l.row_count > kOwnerLeaves - 2) l.row_count = kOwnerLeaves - 2;
  if (l.table_count >= kOwnerTable - 2) l.table_count = kOwnerTable - 2;
  return l;
}

}  // namespace ovcshim
