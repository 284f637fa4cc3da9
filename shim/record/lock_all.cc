// SPDX-License-Identifier: MIT
//
// See lock_all.h.
#include "shim/record/lock_all.h"

#include <signal.h>

#include "shim/proc/proc_file.h"
#include "shim/record/log_file.h"

namespace ovcshim {
namespace {

constexpr uint64_t kCurrent = 1;  // MCL_CURRENT
constexpr long kReadWrite = 3;
constexpr uint64_t kGranule = 64 * 1024;  // no machine's page is larger

long base() { return reinterpret_cast<long>(g.header); }

bool hold_all_signals(uint64_t& before) {
  const uint64_t all = UINT64_MAX;
  return !sys::failed(sys::call(__NR_rt_sigprocmask, SIG_BLOCK, reinterpret_cast<long>(&all),
                                reinterpret_cast<long>(&before), sizeof before));
}

void release_signals(uint64_t mask) {
  sys::call(__NR_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&mask), 0, sizeof mask);
}

bool unmap_log() {
  return !sys::failed(sys::call(__NR_munmap, base() + static_cast<long>(kGranule),
                                static_cast<long>(g.mapped_bytes - kGranule)));
}

// What was left grows again to the whole. Unlocked before: else what it grows by would be locked,
// too. Where that should fail, ordinary memory takes what is written there, and nothing is
// recorded.
void map_log_again() {
  const auto first = static_cast<long>(kGranule), whole = static_cast<long>(g.mapped_bytes);
  sys::call(__NR_munlock, base(), first);
  if (sys::failed(sys::call(__NR_mremap, base(), first, whole, 0))) {
    sys::call(__NR_mmap, base() + first, whole - first, kReadWrite,
              0x104022 /* PRIVATE | ANONYMOUS | FIXED_NOREPLACE | NORESERVE */, -1, 0);
    g.recording = false;
    keep_calls_from(UINT64_MAX);
    return;
  }
  advise_log(true);
}

// A lane of which the first part has been written to, and the number of its pieces that may be.
struct Lane {
  unsigned char* start;
  uint64_t pieces, piece_bytes;
  uint64_t* cursor;
  uint64_t* open;
};

Lane lane(EventRing& ring) {
  return {reinterpret_cast<unsigned char*>(ring.slots), ring.count, kSlotBytes, ring.cursor,
          &ring.open};
}
Lane lane(MemoryRing& ring) {
  return {reinterpret_cast<unsigned char*>(ring.units), ring.count, sizeof(MemoryUnit), ring.cursor,
          &ring.open};
}
Lane call_lane() {
  return {g.chunks, g.chunk_count, kChunkBytes, &g.header->chunk_cursor, &g.chunks_open};
}

// The part behind what may be written to.
bool protect(const Lane& lane, uint64_t open, long protection) {
  const uint64_t from = open * lane.piece_bytes, to = lane.pieces * lane.piece_bytes;
  return !sys::failed(sys::call(__NR_mprotect, reinterpret_cast<long>(lane.start + from),
                                static_cast<long>(to - from), protection));
}

void let_write(const Lane& lane, uint64_t pieces) {  // 0: all
  __atomic_store_n(lane.open, pieces, __ATOMIC_SEQ_CST);
}

// What lies behind the cursor and some room for those who claim meanwhile. 0: nothing to close.
uint64_t pieces_in_use(const Lane& lane) {
  constexpr uint64_t kRoom = 256 * 1024;
  const uint64_t start = reinterpret_cast<uint64_t>(lane.start);
  const uint64_t used = __atomic_load_n(lane.cursor, __ATOMIC_SEQ_CST);
  if (used >= lane.pieces) return 0;
  const uint64_t end = (start + used * lane.piece_bytes + kRoom + kGranule - 1) & ~(kGranule - 1);
  const uint64_t pieces = (end - start) / lane.piece_bytes;
  return pieces < lane.pieces ? pieces : 0;
}

// Whoever claims behind it from now on lets go again (claim() of the lane): either it sees our
// store, or we see its claim.
void close_rest(const Lane& lane) {
  const uint64_t open = pieces_in_use(lane);
  if (!open) return;
  let_write(lane, open);
  if (__atomic_load_n(lane.cursor, __ATOMIC_SEQ_CST) > open || !protect(lane, open, 0))
    let_write(lane, 0);
}

void open_rest(const Lane& lane) {
  const uint64_t open = __atomic_load_n(lane.open, __ATOMIC_SEQ_CST);
  if (open && protect(lane, open, kReadWrite)) let_write(lane, 0);
}

}  // namespace

LogAside::LogAside(uint64_t flags) {
  if (!g.header || is_quiet() || !(flags & kCurrent)) return;
  if (is_alone() && hold_all_signals(mask_)) {
    if (unmap_log()) way_ = Way::kUnmapped;
    else release_signals(mask_);
  }
  if (way_ != Way::kNone) return;
  way_ = Way::kClosed;
  close_rest(lane(g.vitals));
  close_rest(lane(g.events));
  close_rest(lane(g.memory));
  close_rest(call_lane());
}

LogAside::~LogAside() {
  if (way_ == Way::kUnmapped) {
    map_log_again();
    release_signals(mask_);
  } else if (way_ == Way::kClosed) {
    open_rest(lane(g.vitals));
    open_rest(lane(g.events));
    open_rest(lane(g.memory));
    open_rest(call_lane());
    sys::call(__NR_munlock, base(), static_cast<long>(g.mapped_bytes));
    sys::call(__NR_madvise, base(), static_cast<long>(g.mapped_bytes), 4 /* MADV_DONTNEED */);
  }
}

}  // namespace ovcshim
