// SPDX-License-Identifier: MIT
//
// Threads may be here at the same time: what they then ask for twice, or not at all, is no more
// than slower.
#include "shim/record/lane_ahead.h"

#include "shim/record/state.h"
#include "shim/sys/seccomp.h"
#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

constexpr uint64_t kFewest = 4, kMost = 32;
constexpr long kPopulateWrite = 23;  // MADV_POPULATE_WRITE, linux/mman.h since 5.14

template <typename T>
T get(const T& field) {
  return __atomic_load_n(&field, __ATOMIC_RELAXED);
}
template <typename T>
void set(T& field, T value) {
  __atomic_store_n(&field, value, __ATOMIC_RELAXED);
}

// How many from `index` on: none of the part that is closed (lock_all.cc), none behind the lane's
// end.
uint64_t batch_at(uint64_t index, uint64_t credit) {
  const uint64_t open = __atomic_load_n(&g.chunks_open, __ATOMIC_SEQ_CST),
                 end = open ? open : g.chunk_count;
  const uint64_t wanted = credit / 2 < kMost ? credit / 2 : kMost;
  const uint64_t there = index < end ? end - index : 0;
  return wanted < there ? wanted : there;
}

void ask_for(LaneAhead& ahead, uint64_t index) {
  const uint64_t asked = get(ahead.to) - get(ahead.from);
  if (asked > 2 * get(ahead.used)) set(ahead.credit, get(ahead.credit) / 4);
  const uint64_t batch = batch_at(index, get(ahead.credit));
  if (batch < kFewest) return;
  const long result =
      sys::call(__NR_madvise, reinterpret_cast<long>(g.chunks + index * kChunkBytes),
                static_cast<long>(batch * kChunkBytes), kPopulateWrite);
  if (sys::failed(result)) set(ahead.refused, 1u);
  set(ahead.from, index);
  set(ahead.to, index + batch);
  set(ahead.used, 0u);
}

}  // namespace

// A process that has gone round has all pages.
void bring_chunks(uint64_t index) {
  LaneAhead& ahead = g_private->ahead;
  const uint32_t claims = get(ahead.claims) + 1;
  set(ahead.claims, claims);
  set(ahead.credit, get(ahead.credit) + 1);
  const uint64_t from = get(ahead.from);
  if (index - from >= get(ahead.to) - from) {
    if (get(ahead.refused) || claims > g.chunk_count || is_quiet()) return;
    ask_for(ahead, index);
  }
  set(ahead.used, get(ahead.used) + 1);
}

}  // namespace ovcshim
