// SPDX-License-Identifier: MIT
//
// What every part of the shim shares: the mapped log, the settings, and the private memory that a
// fork wipes. Rules: constinit and trivially destructible globals only; nothing here is written
// after the constructor except `recording` and the `open` of the lanes (a child that is not to be
// followed clears its own copy), `image` and `lineage` (written by a process about itself).
#pragma once
#include <cstddef>
#include <cstdint>

#include "shim/format/growth_format.h"
#include "shim/format/log_format.h"
#include "shim/format/memory_format.h"
#include "shim/format/readings_format.h"
#include "shim/record/lane_ahead.h"
#include "shim/record/map_totals.h"
#include "shim/sys/seccomp.h"
#include "shim/sys/sys.h"
#include "shim/unwind/modules.h"

#define OVC_LIKELY(x) __builtin_expect(!!(x), 1)
#define OVC_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define OVC_COLD [[gnu::cold, gnu::noinline]]

#pragma GCC visibility push(hidden)  // extern declarations too: no detour through the GOT

namespace ovcshim {

// One ring of the event lane. `mark` is in every position of it.
struct EventRing {
  Slot* slots = nullptr;
  uint64_t count = 0;
  uint64_t* cursor = nullptr;
  uint64_t mark = 0;
  uint64_t open = 0;  // while mlockall is under way, slots that may be written to; 0: all
};

// The ring of memory_format.h. `open` as above.
struct MemoryRing {
  MemoryUnit* units = nullptr;
  uint64_t count = 0;
  uint64_t* cursor = nullptr;
  uint64_t open = 0;
};

// The area of growth_format.h; header null: there is none.
struct GrowthArea {
  GrowthHeader* header = nullptr;
  ProcessSpace* spaces = nullptr;
  uint64_t* index = nullptr;
  CallTotals* rows = nullptr;
  uint64_t* arena = nullptr;
  OwnerTable* tables = nullptr;
  uint64_t index_words = 0, row_count = 0, arena_words = 0, table_count = 0;
};

// The area of readings_format.h; header null: there is none.
struct ReadingsArea {
  ReadingsHeader* header = nullptr;
  ReadingCell* cells = nullptr;
  ReadingsLayout layout{};
};

// Everything the hot path reads sits in the first cache line and is constant while the program
// runs.
struct alignas(64) Session {
  uint64_t min_size =
      UINT64_MAX;  // requests below are only counted; UINT64_MAX: nothing goes to the call lane
  uint64_t hot_mark = 0x6f76637368696d21;   // see HotPlace; mixed with AT_RANDOM, never 0
  uint64_t lane_mark = 0x6f76637368696d23;  // hot_mark while every call goes to the call lane, so
                                            // that one comparison tells both; see keep_calls_from
  bool recording = false;                   // the log is mapped and this process writes to it
  bool internals = false;                   // libc's own system calls come to ovcshim_libc_syscall
  bool use_tsc = false;
  bool refuses = false;  // OVCSHIM_INJECT or OVCSHIM_REHEARSE: see refuse.h
  uint32_t stack_depth = 0;
  uint32_t follow = 2;
  FileHeader* header = nullptr;
  EventRing events, vitals;
  MemoryRing memory;
  unsigned char* chunks = nullptr;
  uint64_t chunk_count = 0;  // 0: call lane off, or not mapped here
  uint64_t chunks_open = 0;  // as EventRing::open
  ProcessSlot* processes = nullptr;
  unsigned char* stripes = nullptr;
  uint32_t stripe_count = 0;
  uint32_t* pid_index = nullptr;
  RetiredTotals* retired = nullptr;
  GroupMemo* groups = nullptr;
  GrowthArea growth;
  ReadingsArea readings;
  uint64_t mapped_bytes = 0;  // of the log
  uint32_t ns_index = kNoNamespace;
  uint64_t pidns = 0;
  uint64_t internals_word = 0;  // InternalsWord
  bool joined = false;          // the log was there before this image
  bool attached = false;        // by `ovc attach`: no wrapper is called, libc's sites are all
  uint64_t own_commit_kb = 0;   // private writable memory the shim adds to the process
  // Attached with --malloc (interpose/bound_slots.h); kUnknown: without
  uint64_t bound_slots = kUnknown, bound_elsewhere = 0, bound_unwritable = 0;
  uint64_t start_ns = 0;   // CLOCK_MONOTONIC when the shim began
  uint32_t start_pid = 0;  // as it asked; 0: it did not
  // OVCSHIM_INJECT, OVCSHIM_REHEARSE: kUnknown not set, 1 in force, 0 not understood
  uint64_t inject_in_force = kUnknown, rehearse_in_force = kUnknown;
};
extern Session g;

// Requests from this size on go to the call lane; a free() does if all do.
inline void keep_calls_from(uint64_t min_size) {
  g.min_size = min_size;
  g.lane_mark = min_size == 0 ? g.hot_mark : g.hot_mark ^ 2;
}

// A thread's place in the call lane. Lives in memory that the kernel wipes in a forked child
// (MADV_WIPEONFORK), so that a child finds cursor = end = 0 and can never write through its
// parent's state, however it was forked.
struct alignas(64) Hot {
  uint64_t cursor;  // address of the next record
  uint64_t limit;   // records before it are written at once: the next time mark, or the chunk's end
  Stripe* stripe;
  uint64_t seq_base;                    // records this thread wrote before its present chunk
  uint64_t refused_begin, refused_end;  // ticks of this thread's last refused memory call, for a
                                        // malloc that fails over it
  uint32_t tid;                         // owner; 0: free
  uint8_t busy;                         // the slow path is running
  uint8_t ahead : 7;                    // chunks from this one to the one being fetched; 0: none
  uint8_t samples : 1;                  // until_sample was drawn
  uint16_t starved;                     // calls to let pass before asking for a chunk again
  uint16_t forwarding;   // number of the system call that a wrapper is about to make itself (see
                         // libc_hook.cc)
  uint16_t beneath;      // Beneath (forwarding.h)
  int32_t until_sample;  // bytes to ask malloc for before the next sampled one (samples.h)
};
static_assert(sizeof(Hot) == 64);

// One reading of the commit state, shared by the threads of a process.
struct Reading {
  uint64_t tick;  // 0: never read
  uint64_t committed_kb, limit_kb, vm_size_pages, resident_pages, data_pages;
};

// A sequence lock: one writer at a time sees to itself, readers give up rather than wait.
struct SharedReading {
  uint64_t sequence;
  Reading value;
  void write(const Reading& now) {
    const uint64_t busy = (sequence + 1) | 1;  // odd: being written, or left so by a fork
    __atomic_store_n(&sequence, busy, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    value = now;
    __atomic_store_n(&sequence, busy + 1, __ATOMIC_RELEASE);
  }
  bool read(Reading& out) const {  // pairs with write()
    for (int tries = 0; tries < 4; ++tries) {
      const uint64_t before = __atomic_load_n(&sequence, __ATOMIC_ACQUIRE);
      out = value;
      __atomic_thread_fence(__ATOMIC_ACQUIRE);
      if (!(before & 1) && before == __atomic_load_n(&sequence, __ATOMIC_RELAXED))
        return out.tick != 0;
    }
    return false;
  }
};

// Working memory for events, so that wrappers stay small on foreign stacks. Taken by
// compare-and-swap, never waited for. What is used most lies together: each page is a fault.
struct Scratch {
  uint32_t taken;
  uint32_t reserved;
  uint64_t frames[kMaxFrames + 1];
  char io[2048];
  char text[1024];
};

// The newest list of mappings that was read for a proof: see totals_hold().
struct ListedTotals {
  MapTotals totals;
  uint64_t granted, vm_size_pages;
};

struct BigScratch {
  char io[8192];  // two pages of the private region
  uint32_t taken;
  uint32_t reserved;
  Fact facts[128];
  MappingEntry mappings[60];  // of a record
  ListedTotals listed;        // here since there is room
};
static_assert(sizeof(BigScratch) <= sizeof(BigScratch::io) + kPageBytes);

// Sizes read for a refusal, which hold for this thread until something is granted: see proofs.h.
inline constexpr uint32_t kSizeFacts = 11;
struct ChangedSizes {
  uint64_t granted, tick;
  uint32_t tid, count;
  Fact list[kSizeFacts];
};

// A refusal that has a proof of its own in the log: see proofs.h.
struct Proven {
  uint64_t position;       // of its record
  uint64_t granted;        // Private::granted then
  uint64_t vm_size_pages;  // likewise
  uint64_t tick;           // 0: none
  uint64_t caller;
  Op op;
  uint16_t err;
  bool tasks;   // a limit on tasks: mappings have no part in it
  bool listed;  // with the list of mappings
};

inline constexpr unsigned kContexts = 64;     // see memory_ring.cc
inline constexpr unsigned kKnownLeaves = 16;  // see owner_tree.h
inline constexpr unsigned kFirstHots = 128;   // more are mapped as threads come: see hots.h
inline constexpr unsigned kScratches = 8;

// The private region: zero after every fork.
struct Private {
  uint32_t registered;  // 0 new, 1 being registered, 2 done
  uint32_t pid;
  uint32_t entering_tid;     // the thread that enters it, while registered is 1
  uint32_t slot, serial;     // of g.processes; kNoIndex if none could be had
  uint64_t module_position;  // where this process knows the module list to stand in the event lane
  uint32_t reading_lock;
  uint32_t hots_used, hot_hand;  // see hots.cc
  uint32_t first_stripe_asked;   // the stripe of an earlier image has been looked at
  uint32_t stripe_hand;          // where a free one is looked for next
  SharedReading reading;
  uint64_t granted;  // calls that changed the process: see granted_count()
  ChangedSizes sizes;
  uint32_t proven_lock;
  Proven proven[8];
  uint32_t first_lists;  // of storms that could not be paid for
  int64_t credit;        // ticks that proofs may take, as of credit_tick
  uint64_t credit_tick, full_cost, facts_cost;
  uint64_t lately_since, lately;  // a tick, and proofs since then: see proofs.cc
  uint64_t objects_looked_for;    // Reading::tick at which the loader's list was last looked at
  uint64_t start_position;        // of this image's kStart
  uint64_t list_tick;             // last mapping list without a failure, likewise
  uint64_t listed_at;             // slots of the events ring claimed when it was made
  uint64_t listed_units;          // of the memory ring
  uint64_t listed_data_kb;        // private writable memory in it
  uint64_t hots_full_until;       // tick before which no free Hot is looked for
  uint64_t stripes_full_until;    // likewise
  uint64_t injected[8];           // calls that matched each rule of OVCSHIM_INJECT
  uint64_t kill_tick;             // last counters read over a killed child
  uint64_t contexts[kContexts];   // in the memory ring, + 1, by thread
  uint64_t unit_page;             // of the memory ring, written to last
  LaneAhead ahead;
  uint64_t leaves[kKnownLeaves];  // of the tree of owners, by place
  // What each process touches comes first, on as few pages as may be.
  Scratch scratch[kScratches];
  Hot hots[kFirstHots];
  char group_text[2048];  // goes with `big`
  alignas(kPageBytes) BigScratch big;
};
extern Private* g_private;  // set before g.recording is; null otherwise

// Private memory that the kernel empties in every forked child: its address, or -errno.
long map_wiped(long bytes);

extern Hot g_no_hot;

// This thread's Hot. It counts only with the mark beside it, a number of this process: thread-local
// variables are all zero, whatever their initialisers say, until the loader has relocated
// everything, and ifunc resolvers call malloc before that; and in a thread whose thread pointer the
// program has set (thread_pointer.h) they are the program's own bytes.
struct HotPlace {
  Hot* hot;
  uint64_t mark;
  bool is_set() const { return mark == g.hot_mark; }
  operator Hot*() const { return is_set() ? hot : &g_no_hot; }
  Hot* operator->() const { return *this; }
  Hot& operator*() const { return *static_cast<Hot*>(*this); }
  HotPlace& operator=(Hot* to) {  // a signal handler between the two finds the old one, or none
    hot = to;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    mark = g.hot_mark;
    return *this;
  }
};
extern thread_local constinit HotPlace t_hot;

// Who the parent would be for a child forked now; inherited by plain memory.
struct Lineage {
  uint32_t pid, slot, serial, image;
};
extern Lineage g_lineage;

// The objects of this process as last read; constant once it is here. See module_list.cc.
extern const ModuleTable* g_modules;
inline const ModuleTable* modules_now() { return __atomic_load_n(&g_modules, __ATOMIC_ACQUIRE); }

inline uint64_t tick_now() {
#if defined(__x86_64__)
  if (OVC_LIKELY(g.use_tsc && !is_without_tsc())) {
    uint32_t lo, hi;
    asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return static_cast<uint64_t>(hi) << 32 | lo;
  }
#elif defined(__aarch64__)
  if (OVC_LIKELY(g.use_tsc)) {
    uint64_t v;
    asm volatile("mrs %0, cntvct_el0" : "=r"(v));
    return v;
  }
#endif
  // Nothing may be asked any more, or the TSC was taken away: the last moment known.
  if (g.header && (is_quiet() || g.header->clock != static_cast<uint32_t>(Clock::kMonotonicNs)))
    return g.header->newest.tick;
  struct {
    long sec, nsec;
  } t{};
  sys::call(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, reinterpret_cast<long>(&t));
  return static_cast<uint64_t>(t.sec) * 1000000000u + static_cast<uint64_t>(t.nsec);
}

// Ticks in roughly one millisecond; for ages and rate limits only, never for figures shown. Set by
// the session.
extern uint64_t g_ticks_per_ms;

// Others look whether a Hot is free while its owner reads this.
inline uint32_t tid_of(const Hot& hot) { return __atomic_load_n(&hot.tid, __ATOMIC_RELAXED); }

inline bool thread_is_dead(uint32_t tid) {
  return !is_quiet() && tid != 0 && sys::call(__NR_tkill, tid, 0) == -3 /* ESRCH */;
}

// Before a page of the log is first read: one that is written at once takes one fault, not two.
template <class Word>
inline void touch_for_writing(Word& word) {
  __atomic_fetch_add(&word, 0, __ATOMIC_RELAXED);
}

// For proof_era_is(): about a second.
inline uint64_t proof_era(uint64_t tick) { return tick / (g_ticks_per_ms << 10); }

inline void count(uint64_t& counter, uint64_t n = 1) {
  __atomic_fetch_add(&counter, n, __ATOMIC_RELAXED);
}

}  // namespace ovcshim

#pragma GCC visibility pop
