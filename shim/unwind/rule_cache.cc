// SPDX-License-Identifier: MIT
//
// The table is two-way: an address has two neighbouring entries, of one cache line. Each entry is a
// sequence lock whose writers never wait: one that finds the entry odd leaves it alone. A writer
// that dies half way (or is lost in a fork) takes its one entry out of use; a reader can neither
// hang nor see half of a rule.
#include "shim/unwind/rule_cache.h"

#include <atomic>

namespace ovcshim {
namespace {

// A short program meets few addresses: the table begins as one page and grows fourfold when it is
// half full. What was kept in the smaller one is then worked out once more.
constexpr unsigned kFirstBits = 7, kMostBits = 11, kMoreBits = 2;
static_assert((kMostBits - kFirstBits) % kMoreBits == 0);

struct alignas(32) Entry {
  std::atomic<uint64_t>
      version;  // generation << 32 | sequence; an odd sequence says a writer is at work
  std::atomic<uint64_t> pc, rule;
};
static_assert(sizeof(Entry) == 32 && std::atomic<uint64_t>::is_always_lock_free);

constexpr uint64_t kSequenceMask = 0xffffffff;

alignas(4096) constinit Entry entries[1u << kMostBits]{};
constinit std::atomic<unsigned> bits_now{kFirstBits};
constinit std::atomic<unsigned> kept_since{0};      // entries, since it has this size
constinit std::atomic<uint32_t> generation_now{1};  // 0 is that of entries never written

uint64_t first_of(uint64_t pc) {
  const unsigned bits = bits_now.load(std::memory_order_relaxed);
  return (pc * 0x9e3779b97f4a7c15u) >> (64 - bits) & ~uint64_t{1};
}

// Others may do the same at once: it grows once all the same, and a little sooner or later.
void grow_if_full() {
  const unsigned bits = bits_now.load(std::memory_order_relaxed);
  if (bits == kMostBits || kept_since.fetch_add(1, std::memory_order_relaxed) < 1u << (bits - 1))
    return;
  kept_since.store(0, std::memory_order_relaxed);
  bits_now.store(bits + kMoreBits, std::memory_order_relaxed);
}

bool read_entry(const Entry& entry, uint32_t generation, uint64_t pc, uint64_t& rule) {
  uint64_t before =
      entry.version.load(std::memory_order_acquire);  // pairs with the last store in write_entry
  if (before >> 32 != generation || (before & 1)) return false;
  uint64_t found = entry.pc.load(std::memory_order_relaxed);
  rule = entry.rule.load(std::memory_order_relaxed);
  // Pairs with the release fence in write_entry: who saw a word of a newer writer sees its odd
  // version here.
  std::atomic_thread_fence(std::memory_order_acquire);
  return found == pc && entry.version.load(std::memory_order_relaxed) == before;
}

void write_entry(Entry& entry, uint32_t generation, uint64_t pc, uint64_t rule) {
  uint64_t seen = entry.version.load(std::memory_order_relaxed);
  if (seen & 1) return;
  uint64_t busy = uint64_t{generation} << 32 | ((seen + 1) & kSequenceMask);
  // Acquire pairs with the previous writer's release: the words below follow that writer's.
  if (!entry.version.compare_exchange_strong(seen, busy, std::memory_order_acquire,
                                             std::memory_order_relaxed))
    return;
  std::atomic_thread_fence(std::memory_order_release);  // pairs with the fence in read_entry
  entry.pc.store(pc, std::memory_order_relaxed);
  entry.rule.store(rule, std::memory_order_relaxed);
  entry.version.store(uint64_t{generation} << 32 | ((seen + 2) & kSequenceMask),
                      std::memory_order_release);  // pairs with read_entry's acquire
}

}  // namespace

// Pairs with the release in next_rule_generation: who has the new number sees the new module table.
uint32_t rule_generation() { return generation_now.load(std::memory_order_acquire); }
void next_rule_generation() { generation_now.fetch_add(1, std::memory_order_release); }

bool find_rule(uint32_t generation, uint64_t pc, StepRule& rule) {
  const Entry* pair = &entries[first_of(pc)];
  return read_entry(pair[0], generation, pc, rule.word) ||
         read_entry(pair[1], generation, pc, rule.word);
}

// An entry of another generation goes first, else the two are replaced in turn: each write flips
// bit 1 of one sequence.
void keep_rule(uint32_t generation, uint64_t pc, StepRule rule) {
  Entry* pair = &entries[first_of(pc)];
  uint64_t first = pair[0].version.load(std::memory_order_relaxed),
           second = pair[1].version.load(std::memory_order_relaxed);
  bool take_second =
      first >> 32 == generation && (second >> 32 != generation || ((first ^ second) & 2));
  write_entry(pair[take_second], generation, pc, rule.word);
  grow_if_full();
}

}  // namespace ovcshim
