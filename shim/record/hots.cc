// SPDX-License-Identifier: MIT
//
// See hots.h. Hots are numbered through all blocks; those below Private::hots_used have been given
// out. A new thread looks at a few of these, where the hand stands, for a dead owner: with more
// dead than live ones it soon meets one, with fewer the next number costs no more memory than twice
// what lives.
#include "shim/record/hots.h"

#include "shim/record/process.h"

namespace ovcshim {
namespace {

constexpr unsigned kBlocks = 10;  // of 128, then 128, 256, 512 ...
constexpr uint32_t kMostHots = kFirstHots << (kBlocks - 1);
constexpr int kLooks = 2;       // at owners, each a system call
constexpr int kLooksOrMap = 8;  // before a block is mapped
constexpr int kTries = 8;

// In plain memory, not in Private: a forked child has the mappings too. [0] is not used.
constinit Hot* g_blocks[kBlocks]{};

unsigned block_of(uint32_t number) {
  return number < kFirstHots ? 0 : 32 - static_cast<unsigned>(__builtin_clz(number / kFirstHots));
}
uint32_t first_of(unsigned block) { return block == 0 ? 0 : kFirstHots << (block - 1); }
uint32_t size_of(unsigned block) { return block == 0 ? kFirstHots : first_of(block); }

Hot* hots_of(unsigned block) {
  return block == 0 ? g_private->hots : __atomic_load_n(&g_blocks[block], __ATOMIC_ACQUIRE);
}

Hot* hot_at(uint32_t number) {
  const unsigned block = block_of(number);
  Hot* hots = hots_of(block);
  return hots ? hots + (number - first_of(block)) : nullptr;
}

// Another thread may be doing the same: the second one's goes back.
bool map_block(unsigned block) {
  if (hots_of(block)) return true;
  if (is_quiet()) return false;
  const long bytes = static_cast<long>(size_of(block) * sizeof(Hot));
  const long at = map_wiped(bytes);
  if (sys::failed(at)) return false;
  Hot* none = nullptr;
  if (!__atomic_compare_exchange_n(&g_blocks[block], &none, reinterpret_cast<Hot*>(at), false,
                                   __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
    sys::call(__NR_munmap, at, bytes);
    return true;
  }
  count(g.own_commit_kb, static_cast<uint64_t>(bytes) / 1024);
  note_own_commit();
  return true;
}

// Its chunk is left as it is: somebody may have taken it meanwhile, and whoever wants it sees that
// its owner is dead. Not `hot = Hot{}`: a tid of 0, for one moment, and another thread takes it,
// too.
void inherit(Hot& hot, uint32_t dead, uint32_t tid) {
  hot.limit = 0;
  hot.cursor = hot.seq_base = hot.refused_begin = hot.refused_end = 0;
  if (hot.stripe && !pass_on_stripe(hot.stripe, dead, tid)) hot.stripe = nullptr;
  hot.starved = 0;
  hot.until_sample = 0, hot.samples = 0;
  hot.busy = hot.ahead = 0;
  hot.forwarding = hot.beneath = 0;
}

bool take(Hot& hot, uint32_t owner, uint32_t tid) {
  return __atomic_compare_exchange_n(&hot.tid, &owner, tid, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED);
}

Hot* of_a_dead_thread(uint32_t tid, int looks) {
  Private& p = *g_private;
  const uint32_t used = __atomic_load_n(&p.hots_used, __ATOMIC_RELAXED);
  for (int i = 0; i < looks && used; ++i) {
    const uint32_t number = __atomic_fetch_add(&p.hot_hand, 1, __ATOMIC_RELAXED) % used;
    Hot* hot = hot_at(number);
    const uint32_t owner = hot ? tid_of(*hot) : 0;
    const bool dead = owner == tid || (owner != 0 && thread_is_dead(owner));
    if (!dead || !take(*hot, owner, tid)) continue;
    inherit(*hot, owner, tid);
    return hot;
  }
  return nullptr;
}

// The next number; one in use already is that of the thread that forked this process.
Hot* next_hot(uint32_t tid) {
  uint32_t& used = g_private->hots_used;
  for (uint32_t number = __atomic_load_n(&used, __ATOMIC_RELAXED); number < kMostHots;) {
    Hot* hot = hot_at(number);
    if (!hot) return nullptr;
    if (!__atomic_compare_exchange_n(&used, &number, number + 1, false, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED))
      continue;
    if (take(*hot, 0, tid)) return hot;
    ++number;
  }
  return nullptr;
}

}  // namespace

Hot* claim_hot(uint32_t tid) {
  Private& p = *g_private;
  if (Hot* hot = of_a_dead_thread(tid, kLooks)) return hot;
  if (Hot* hot = next_hot(tid)) return hot;
  if (Hot* hot = of_a_dead_thread(tid, kLooksOrMap)) return hot;
  for (int tries = 0; tries < kTries; ++tries) {  // others may be faster
    const uint32_t used = __atomic_load_n(&p.hots_used, __ATOMIC_RELAXED);
    if (used >= kMostHots || !map_block(block_of(used))) break;
    if (Hot* hot = next_hot(tid)) return hot;
  }
  __atomic_store_n(&p.hots_full_until, tick_now() + 1000 * g_ticks_per_ms, __ATOMIC_RELAXED);
  count(g.header->threads_unrecorded);
  return nullptr;
}

bool hots_are_full() {
  const uint64_t until = __atomic_load_n(&g_private->hots_full_until, __ATOMIC_RELAXED);
  return OVC_UNLIKELY(until != 0) && tick_now() < until;
}

void give_hots_back() {
  for (unsigned block = 1; block < kBlocks; ++block)
    if (Hot* hots = hots_of(block))
      sys::call(__NR_munmap, reinterpret_cast<long>(hots),
                static_cast<long>(size_of(block) * sizeof(Hot)));
}

bool is_private_memory(uint64_t address) {
  const auto own = reinterpret_cast<uint64_t>(g_private);
  if (address >= own && address < own + sizeof(Private)) return true;
  for (unsigned block = 1; block < kBlocks; ++block) {
    const auto start = reinterpret_cast<uint64_t>(hots_of(block));
    if (start && address >= start && address < start + size_of(block) * sizeof(Hot)) return true;
  }
  return false;
}

}  // namespace ovcshim
