// SPDX-License-Identifier: MIT
//
// The call lane's cold half: thread state, chunk claims, time marks. Protocol: CALL LANE in
// log_format.h. Rules: as event_lane.cc. A signal handler that calls malloc while this thread is in
// here is counted, not recorded (Hot::busy).
#include "shim/record/call_lane.h"

#include "shim/record/event.h"
#include "shim/record/hots.h"
#include "shim/record/lane_ahead.h"
#include "shim/record/process.h"
#include "shim/sys/thread_pointer.h"

namespace ovcshim {
namespace {

// A claim passes over chunks of live threads: this many at most, and asks after the owners of a few
// (a system call each). One that was found alive is not asked after again for some laps of the
// ring, unless nothing else can be had. With a lane of fewer chunks than live threads most claims
// fail: then the thread's next calls are counted, not recorded.
constexpr uint64_t kClaimTries = 1024;
constexpr int kOwnersAsked = 16;
constexpr uint64_t kAliveForLaps = 8;
constexpr uint16_t kStarvedCalls = 4096;

bool is_shared(const Stripe* stripe) { return stripe == shared_stripe(); }

ChunkHeader* chunk_at(uint64_t index) {
  return reinterpret_cast<ChunkHeader*>(g.chunks + index * kChunkBytes);
}

// Asks after owners, and notes in the chunk at which claim one was alive.
class Owners {
 public:
  explicit Owners(bool all) : all_(all) {}
  // May it be pushed out? Only a dead thread's chunk, and only where its tid means the same as to
  // us.
  bool gives_up(ChunkHeader* chunk, uint64_t word, uint64_t claim) {
    if (chunk_status(word) != ChunkStatus::kOwned) return true;
    if (g.ns_index == kNoNamespace || chunk_ns(word) != g.ns_index) return false;
    const uint64_t alive_at = __atomic_load_n(&chunk->alive_at, __ATOMIC_RELAXED);
    const bool known = alive_at != 0 && claim + 1 - alive_at < kAliveForLaps * g.chunk_count;
    if ((known && !all_) || asked_++ >= kOwnersAsked) return false;
    if (thread_is_dead(chunk_tid(word))) return true;
    __atomic_store_n(&chunk->alive_at, claim + 1, __ATOMIC_RELAXED);
    return false;
  }

 private:
  bool all_;
  int asked_ = 0;
};

// Acquire pairs with the previous owner's release stores: it may have died, and told nobody.
uint64_t records_in(const ChunkHeader* chunk) {
  if (!__atomic_load_n(&chunk->ready, __ATOMIC_ACQUIRE)) return 0;
  auto* at = reinterpret_cast<const CallRecord*>(chunk);
  uint64_t n = 0;
  for (uint64_t i = kChunkHeaderBytes / kCallRecordBytes; i < kChunkBytes / kCallRecordBytes; ++i)
    n += __atomic_load_n(&at[i].word, __ATOMIC_ACQUIRE) != 0 &&
         i % (kTimeMarkBytes / kCallRecordBytes) != 0;
  return n;
}

// Acquire: whatever the previous owner wrote is seen before we clear it. The fence: whoever sees
// one of our bytes sees our owner word.
ChunkHeader* try_claim(uint32_t tid, Owners owners, uint64_t* claim) {
  const uint64_t most = g.chunk_count < kClaimTries ? g.chunk_count : kClaimTries;
  for (uint64_t tries = 0; tries < most; ++tries) {
    *claim = __atomic_fetch_add(&g.header->chunk_cursor, 1, __ATOMIC_SEQ_CST);
    const uint64_t index = *claim % g.chunk_count;
    const uint64_t open = __atomic_load_n(&g.chunks_open, __ATOMIC_SEQ_CST);
    if (OVC_UNLIKELY(open && index >= open)) return nullptr;  // see close_rest() of lock_all.cc
    if (tries == 0) bring_chunks(index);
    ChunkHeader* chunk = chunk_at(index);
    uint64_t word = __atomic_load_n(&chunk->owner, __ATOMIC_RELAXED);
    if (!owners.gives_up(chunk, word, *claim)) continue;
    const uint64_t mine =
        chunk_word(ChunkStatus::kOwned, g.ns_index, tid, chunk_generation(word) + 1);
    if (!__atomic_compare_exchange_n(&chunk->owner, &word, mine, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED))
      continue;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    return chunk;
  }
  return nullptr;
}

ChunkHeader* claim_chunk(uint32_t tid, uint64_t* claim) {
  ChunkHeader* chunk = try_claim(tid, Owners(false), claim);
  return chunk ? chunk : try_claim(tid, Owners(true), claim);
}

void open_chunk(Hot& hot, ChunkHeader* chunk, uint64_t claim) {
  const uint64_t lost = records_in(chunk);
  if (lost) count(g.header->calls_overwritten, lost);
  __atomic_store_n(&chunk->ready, 0, __ATOMIC_RELEASE);
  __atomic_thread_fence(__ATOMIC_RELEASE);  // a reader that sees a cleared byte sees this 0, too;
                                            // no instruction on x86
  sys::zero(reinterpret_cast<unsigned char*>(chunk) + kChunkHeaderBytes,
            kChunkBytes - kChunkHeaderBytes);
  const Private& p = *g_private;
  chunk->claim = claim;
  chunk->pid = p.pid;
  chunk->tid = tid_of(hot);
  chunk->process = p.slot;
  chunk->process_serial = p.serial;
  chunk->first_seq = hot.seq_base;
  chunk->opened_tick = tick_now();
  chunk->image = g_lineage.image;
  __atomic_store_n(&chunk->alive_at, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&chunk->ready, 1, __ATOMIC_RELEASE);
  // limit is 0 here, so a handler's call goes to the slow path and meets `busy`; the new cursor
  // must stand before the new limit does
  const auto base = reinterpret_cast<uint64_t>(chunk);
  hot.cursor = base + kChunkHeaderBytes;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  hot.limit = base + kTimeMarkBytes;
}

uint64_t places_between(uint64_t from, uint64_t to) {
  // time marks stand at multiples of kTimeMarkBytes and are no calls
  const uint64_t marks = (to - 1) / kTimeMarkBytes - (from - 1) / kTimeMarkBytes;
  return (to - from) / kCallRecordBytes - marks;
}

// Of a thread that has a chunk.
uint64_t chunk_of(const Hot& hot) { return (hot.limit - 1) & ~(kChunkBytes - 1); }

uint64_t seq_at(const Hot& hot) {
  if (!hot.limit) return hot.seq_base;
  const uint64_t first = chunk_of(hot) + kChunkHeaderBytes, end = chunk_of(hot) + kChunkBytes;
  const uint64_t at = hot.cursor < end ? hot.cursor : end;
  return hot.seq_base + (at > first ? places_between(first, at) : 0);
}

void close_chunk(Hot& hot) {
  if (!hot.limit) return;
  hot.seq_base = seq_at(hot);
  auto* chunk = reinterpret_cast<ChunkHeader*>(chunk_of(hot));
  const uint64_t word = __atomic_load_n(&chunk->owner, __ATOMIC_RELAXED);
  __atomic_store_n(&chunk->owner,
                   (word & ~uint64_t{3}) | static_cast<uint64_t>(ChunkStatus::kClosed),
                   __ATOMIC_RELEASE);
  hot.limit = 0;  // from here a handler on this thread goes to the slow path and meets `busy`
}

[[gnu::noinline]] bool refill(Hot& hot) {
  if (hot.starved) {
    --hot.starved;
    return false;
  }
  close_chunk(hot);
  uint64_t claim = 0;
  ChunkHeader* chunk = g.chunk_count ? claim_chunk(tid_of(hot), &claim) : nullptr;
  if (!chunk) {
    hot.starved = kStarvedCalls;
    return false;
  }
  open_chunk(hot, chunk, claim);
  return true;
}

// The chunk that will be claimed next is on its way from memory when it is needed: most of what a
// claim takes is the wait for it. Which one is asked once, half a chunk before: a look at the
// cursor, which others write. Where they claim too, they may be faster: then it was near for them.
constexpr uint64_t kAskAt = kChunkBytes / 2, kMostAhead = 4, kLineBytes = 64;

void fetch_ahead(Hot& hot, uint64_t place) {
  const uint64_t at = place % kChunkBytes, chunk = place - at;
  if (at < kAskAt) return;
  if (at == kAskAt) {
    const uint64_t next = __atomic_load_n(&g.header->chunk_cursor, __ATOMIC_RELAXED);
    const uint64_t ahead = next - reinterpret_cast<ChunkHeader*>(chunk)->claim;
    hot.ahead = ahead <= kMostAhead ? ahead & 7 : 0;
  }
  if (!hot.ahead) return;
  const auto lane = reinterpret_cast<uint64_t>(g.chunks), lane_bytes = g.chunk_count * kChunkBytes;
  uint64_t from = chunk + hot.ahead * kChunkBytes + 2 * (at - kAskAt);
  if (from >= lane + lane_bytes) from -= lane_bytes;
#pragma GCC unroll 8
  for (uint64_t line = 0; line < 2 * kTimeMarkBytes; line += kLineBytes)
    __builtin_prefetch(reinterpret_cast<const void*>(from + line), 1);
}

// A handler of this thread may have claimed places, filled the chunk and got another meanwhile.
bool is_in_chunk(const Hot& hot, uint64_t place) {
  return hot.limit && place - chunk_of(hot) - kChunkHeaderBytes < kChunkBytes - kChunkHeaderBytes;
}
bool is_of_mark(uint64_t place) { return place % kTimeMarkBytes == 0; }

[[gnu::always_inline]] inline void write_mark(Hot& hot, uint64_t place) {
  auto* mark = reinterpret_cast<CallRecord*>(place);
  mark->aux = tick_now();
  __atomic_store_n(&mark->word, static_cast<uint64_t>(Op::kTime), __ATOMIC_RELEASE);
  fetch_ahead(hot, place);
  if (hot.limit <= place) hot.limit = place + kTimeMarkBytes;
}

// What comes once in 16 places: the limit itself, not at the chunk's end.
bool is_next_mark(const Hot& hot, uint64_t place) {
  return place == hot.limit && place % kChunkBytes != 0;
}

// `place` is not before the limit; find one for a record. One behind a mark's that is not written
// yet is a handler's, and good.
uint64_t next_place(Hot& hot, uint64_t place) {
  if (OVC_LIKELY(is_next_mark(hot, place) || is_in_chunk(hot, place))) {
    if (!is_of_mark(place)) return place;
    write_mark(hot, place);
  } else if (!refill(hot)) {
    return 0;
  }
  const uint64_t got = advance(hot.cursor);
  if (OVC_LIKELY(is_at_once(hot, got))) return got;
  if (is_in_chunk(hot, got) && !is_of_mark(got)) return got;
  count(g.header->calls_lost_nested);  // handlers have used up the whole group meanwhile
  return 0;
}

void count_in(Stripe* stripe, Op op, uint64_t size, bool failed, bool kept) {
  const bool shared = is_shared(stripe);
  auto add = [shared](uint64_t& counter, uint64_t n) {
    shared ? count(counter, n) : bump(counter, n);
  };
  add(stripe->calls[static_cast<size_t>(op)], 1);
  if (failed) add(stripe->failed[static_cast<size_t>(op)], 1);
  if (op >= Op::kMmap) return;
  if (!kept) add(stripe->calls_not_kept, 1);
  if (op == Op::kFree) return;
  add(stripe->sizes[size_bucket(size)], 1);
  add(stripe->requested_bytes, size);
}

// False of one that a fork has wiped, too.
bool is_ready(const Hot& hot) { return tid_of(hot) != 0 && hot.stripe; }

// A thread that has a Hot has been asked before (ensure_thread).
bool may_record() {
  return g.recording && (t_hot != &g_no_hot || has_libc_tls()) && ensure_process();
}

// Counters of its own are asked for again now and then by a thread that got none.
Stripe* my_stripe() {
  if (!ensure_thread()) return shared_stripe();
  Hot& hot = *t_hot;
  if (OVC_UNLIKELY(is_shared(hot.stripe)) && ++hot.starved >= kStarvedCalls && !is_quiet()) {
    hot.starved = 0;
    hot.stripe = claim_stripe(tid_of(hot));
  }
  return hot.stripe;
}

}  // namespace

bool ensure_thread() {
  if (is_ready(*t_hot)) return true;
  if (!ensure_process()) return false;
  Hot* hot = t_hot;
  uint32_t tid = tid_of(*hot);
  if (hot == &g_no_hot) learn_of_seccomp();
  if (is_quiet()) return false;
  if (hot == &g_no_hot && hots_are_full()) return false;
  if (tid == 0) tid = static_cast<uint32_t>(sys::call(__NR_gettid));
  // else: this thread's own, wiped by the fork that made this process and entered by it
  if (hot == &g_no_hot) hot = claim_hot(tid);
  if (!hot) return false;
  __atomic_store_n(&hot->tid, tid, __ATOMIC_RELAXED);
  if (!hot->stripe) {
    hot->stripe = claim_stripe(tid);
    if (is_shared(hot->stripe)) count(g.header->threads_unslotted);
  }
  t_hot = hot;
  return true;
}

namespace {

// Where this thread's records go; nullptr: nowhere. Thread and process may be new.
OVC_COLD Hot* enter_thread() {
  if (!may_record()) return nullptr;
  if (!is_ready(*t_hot)) ensure_thread();
  return t_hot;
}

// Time mark due, chunk full, thread or process new. The place of the record, 0 if there is none
// (then counted). kNone: not to be counted.
uint64_t find_place(uint64_t place, Op op, uint64_t size) {
  // In the chunk: nothing is new.
  Hot* hot = place && OVC_LIKELY(is_next_mark(*t_hot.hot, place)) ? t_hot.hot : enter_thread();
  if (!hot) return 0;
  Stripe* stripe = hot->stripe ? hot->stripe : shared_stripe();
  uint64_t got = 0;
  if (OVC_UNLIKELY(hot->busy)) {
    count(g.header->calls_lost_nested);
  } else if (!is_shared(stripe)) {  // the fast path counts without atomics, so a shared stripe
                                    // never gets there
    hot->busy = 1;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    got = next_place(*hot, place);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    hot->busy = 0;
  }
  if (OVC_UNLIKELY(!got) && op != Op::kNone) count_in(stripe, op, size, false, false);
  return got;
}

// Of a call that is counted. Below 0: the hot path has added its size already.
void sample_if_due(Op op, uint64_t size, uint64_t caller) {
  if (op == Op::kFree || !t_hot.is_set()) return;
  Hot& hot = *t_hot.hot;
  if (hot.until_sample < 0 || passes_sample(hot, size)) take_sample(hot, op, size, caller);
}

// Not at once, but in the lane.
[[gnu::noinline]] uint64_t record_kept(uint64_t place, Op op, uint64_t address, uint64_t size,
                                       uint64_t caller, uint64_t align_log2_and_counted) {
  const bool counted = align_log2_and_counted & 1;
  if (!place || !is_at_once(*t_hot.hot, place))
    place = find_place(place, counted ? op : Op::kNone, size);
  if (OVC_UNLIKELY(!place)) {
    if (counted && may_record()) sample_if_due(op, size, caller);
    return address;
  }
  if (counted) count_request(*t_hot.hot->stripe, op, size);
  write_call(place, op, address, size, caller, align_log2_and_counted >> 1);
  if (counted) sample_if_due(op, size, caller);
  return address;
}

OVC_COLD uint64_t record_chosen(Op op, uint64_t address, uint64_t size, uint64_t caller,
                                uint64_t align_log2_and_counted) {
  if (is_kept(op, size)) {
    const uint64_t place = t_hot.is_set() ? advance(t_hot.hot->cursor) : 0;
    return record_kept(place, op, address, size, caller, align_log2_and_counted);
  }
  if (align_log2_and_counted & 1 && may_record()) {
    count_in(my_stripe(), op, size, false, false);
    sample_if_due(op, size, caller);
  }
  return address;
}

}  // namespace

uint64_t record_call_slow(uint64_t place, Op op, uint64_t address, uint64_t size, uint64_t caller,
                          uint64_t align_log2_and_counted) {
  return OVC_LIKELY(g.min_size == 0)
             ? record_kept(place, op, address, size, caller, align_log2_and_counted)
             : record_chosen(op, address, size, caller, align_log2_and_counted);
}

void count_event(Op op, uint64_t size, bool failed) {
  count_in(my_stripe(), op, size, failed, true);
}

uint64_t thread_call_seq() { return seq_at(*t_hot); }

}  // namespace ovcshim
