// SPDX-License-Identifier: MIT
//
// What the compiler calls for each access to memory (the interface of ThreadSanitizer's runtime),
// and what the shim calls for system calls and copies: see seam/shim/sys.h. Accesses to the log are
// points of the search; runs of plain reads are one point.
#include <fmt/format.h>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "shim/format/log_format.h"
#include "shim/record/state.h"
#include "tests/trust/model/late_store.h"
#include "tests/trust/model/scheduler.h"

namespace model {
namespace {

struct Range {
  uint64_t start, bytes;
};
std::vector<Range> ranges;  // mappings of the log; the first is the shim's

bool is_in(const Range& range, uint64_t address) { return address - range.start < range.bytes; }
bool is_log(const volatile void* address) {
  for (const Range& range : ranges)
    if (is_in(range, reinterpret_cast<uint64_t>(address))) return true;
  return false;
}

uint64_t last_read_at;  // of the running fiber: reads nearby are no new point

void read_point(const volatile void* address, uint64_t nearby) {
  if (!is_running() || !is_log(address)) return;
  const uint64_t place =
      reinterpret_cast<uint64_t>(address) / nearby + (uint64_t{running_tid()} << 52);
  if (place == last_read_at) return;
  last_read_at = place;
  point();
}

// Reads so near to each other are one point: a slot's or a header's, half a chunk's records.
uint64_t nearby(const volatile void* address) {
  for (const Range& range : ranges) {
    if (!is_in(range, reinterpret_cast<uint64_t>(address))) continue;
    const uint64_t at =
        reinterpret_cast<uint64_t>(address) - range.start - ovcshim::g.header->calls.offset;
    if (at >= ovcshim::g.header->calls.bytes) return 256;
    return at % ovcshim::kChunkBytes < ovcshim::kChunkHeaderBytes ? 8 : 2048;
  }
  return 256;
}

// Who writes into a chunk owns it; but for the owner's word and the hint when it was found alive.
void check_owner(const volatile void* address) {
  const uint64_t at =
      reinterpret_cast<uint64_t>(address) - reinterpret_cast<uint64_t>(ovcshim::g.chunks);
  const uint64_t within = at % ovcshim::kChunkBytes;
  if (!ovcshim::g.chunks || at >= ovcshim::g.chunk_count * ovcshim::kChunkBytes || within < 8 ||
      within == offsetof(ovcshim::ChunkHeader, alive_at))
    return;
  const auto* word = reinterpret_cast<const uint64_t*>(
      ovcshim::g.chunks + at / ovcshim::kChunkBytes * ovcshim::kChunkBytes);
  if (ovcshim::chunk_tid(*word) != running_tid())
    fail(fmt::format("thread {} writes into a chunk of thread {}", running_tid(),
                     ovcshim::chunk_tid(*word)));
}

// Of the store whose point comes next.
struct Access {
  uint64_t bytes;
  int order;
};
Access access{};
template <typename T>
T* stored(T* at, uint64_t bytes, int order) {
  access = {bytes, order};
  return at;
}

void write_point(const volatile void* address) {
  if (!is_running() || !is_log(address)) return;
  const Access now = access;
  last_read_at = 0;
  point();
  check_owner(address);
  before_store(address, now.bytes, now.order >= __ATOMIC_RELEASE);
}

bool is_owner_word(const volatile void* address) {
  const uint64_t at =
      reinterpret_cast<uint64_t>(address) - reinterpret_cast<uint64_t>(ovcshim::g.chunks);
  return at < ovcshim::g.chunk_count * ovcshim::kChunkBytes && at % ovcshim::kChunkBytes == 0;
}

// Places of the growth area.
bool is_table(const volatile void* address) {
  return is_in({reinterpret_cast<uint64_t>(ovcshim::g.growth.tables),
                ovcshim::g.growth.table_count * sizeof(ovcshim::OwnerTable)},
               reinterpret_cast<uint64_t>(address));
}
bool is_arena(const volatile void* address) {
  return is_in({reinterpret_cast<uint64_t>(ovcshim::g.growth.arena),
                ovcshim::g.growth.arena_words * sizeof(uint64_t)},
               reinterpret_cast<uint64_t>(address));
}
// Of a cell of the readings that stay; its tick comes last.
bool is_figure(const volatile void* address) {
  const uint64_t at =
      reinterpret_cast<uint64_t>(address) - reinterpret_cast<uint64_t>(ovcshim::g.readings.cells);
  const uint64_t within = at % sizeof(ovcshim::ReadingCell);
  return at < ovcshim::g.readings.layout.cells * sizeof(ovcshim::ReadingCell) &&
         within >= offsetof(ovcshim::ReadingCell, committed_kb) &&
         within < offsetof(ovcshim::ReadingCell, lowest);
}
// Of a unit of the memory ring; its word comes last.
bool is_unit(const volatile void* address) {
  return is_in({reinterpret_cast<uint64_t>(ovcshim::g.memory.units),
                ovcshim::g.memory.count * sizeof(ovcshim::MemoryUnit)},
               reinterpret_cast<uint64_t>(address));
}
bool is_unit_word(const volatile void* address) {
  return is_unit(address) && reinterpret_cast<uint64_t>(address) % sizeof(ovcshim::MemoryUnit) == 0;
}
bool is_growth_cursor(const volatile void* address) {
  const ovcshim::GrowthHeader* h = ovcshim::g.growth.header;
  return h && (address == &h->arena_cursor || address == &h->tables_used);
}

template <typename T>
bool swap_if_same(volatile T* at, T* expected, T wanted) {
  write_point(at);
  const bool same = *at == *expected || (broken() == Break::kTakeUnchecked && is_log(at));
  if (!same) {
    *expected = *at;
    return false;
  }
  if (is_running() && is_owner_word(at)) {
    const auto old = static_cast<uint64_t>(*at);
    if (ovcshim::chunk_status(old) == ovcshim::ChunkStatus::kOwned &&
        is_alive(ovcshim::chunk_tid(old)))
      fail(fmt::format("thread {} takes a chunk of thread {}, which lives", running_tid(),
                       ovcshim::chunk_tid(old)));
  }
  if (broken() == Break::kMarkNotSet && is_table(at) && !(wanted >> 31 & 1))
    wanted &= ~static_cast<T>(ovcshim::kOwnerLeaves);
  if (!(broken() == Break::kBusyNotStored && is_log(at))) *at = wanted;
  return true;
}

// Of state that the model does not look at: one step.
template <typename T>
T set_bits(volatile T* at, T bits) {
  write_point(at);
  const T old = *at;
  *at = static_cast<T>(old | bits);
  return old;
}

template <typename T>
T add(volatile T* at, T n) {
  write_point(at);
  const bool cursor =
      is_log(at) &&
      (reinterpret_cast<volatile uint64_t*>(at) == &ovcshim::g.header->event_cursor ||
       reinterpret_cast<volatile uint64_t*>(at) == &ovcshim::g.header->chunk_cursor ||
       reinterpret_cast<volatile uint64_t*>(at) == &ovcshim::g.header->vital_cursor ||
       reinterpret_cast<volatile uint64_t*>(at) == &ovcshim::g.header->memory_cursor ||
       is_growth_cursor(at));
  if (broken() == Break::kLossNotCounted && is_log(at) && !cursor) return *at;
  const T old = *at;
  if (cursor && broken() == Break::kClaimNotAtomic) point();
  *at = static_cast<T>(old + n);
  return old;
}

// Only the reader uses a mapping other than the first.
bool is_readers(const volatile void* address) {
  return ranges.size() > 1 && is_in(ranges[1], reinterpret_cast<uint64_t>(address));
}

// The first and the second look at a word by the reader; Break::kReaderLooksOnce makes them one.
template <typename T>
T load(const volatile T* at) {
  static const volatile void* looked_at;
  static T seen;
  read_point(at, nearby(at));
  if (broken() == Break::kReaderLooksOnce && is_readers(at)) {
    if (looked_at == at) return seen;
    looked_at = at;
    return seen = *at;
  }
  return *at;
}

template <typename T>
void store(volatile T* at, T value) {
  write_point(at);
  const bool is_field = is_arena(at) || is_figure(at) || (is_unit(at) && !is_unit_word(at));
  const bool dropped = (broken() == Break::kFramesNotWritten && is_field) ||
                       (broken() == Break::kTableNotFilled && is_table(at));
  if (!dropped) *at = value;
}

}  // namespace

void watch(const void* start, uint64_t bytes) {
  ranges.push_back({reinterpret_cast<uint64_t>(start), bytes});
}

long system_call(long nr, long a, long b, long c, long d, long e, long f) {
  if (!is_running()) return ovcshim::sys::real_call(nr, a, b, c, d, e, f);
  if (nr == __NR_gettid) return running_tid();
  if (nr != __NR_tkill) return -ENOSYS;
  point();
  return is_alive(static_cast<uint32_t>(a)) && broken() != Break::kLiveTakenForDead ? 0 : -ESRCH;
}

// In two halves.
void copy(void* to, const void* from, size_t bytes) {
  write_point(stored(to, bytes / 2, __ATOMIC_RELAXED));
  std::memmove(to, from, bytes / 2);
  write_point(stored(static_cast<char*>(to) + bytes / 2, bytes - bytes / 2, __ATOMIC_RELAXED));
  std::memmove(static_cast<char*>(to) + bytes / 2, static_cast<const char*>(from) + bytes / 2,
               bytes - bytes / 2);
}

void zero(void* to, size_t bytes) {
  write_point(stored(to, bytes / 2, __ATOMIC_RELAXED));
  if (broken() == Break::kNotCleared && is_log(to)) return;
  std::memset(to, 0, bytes / 2);
  write_point(stored(static_cast<char*>(to) + bytes / 2, bytes - bytes / 2, __ATOMIC_RELAXED));
  std::memset(static_cast<char*>(to) + bytes / 2, 0, bytes - bytes / 2);
}

// The reader's copies, too (-Wl,--wrap=memcpy).
extern "C" void* __real_memcpy(void* to, const void* from, size_t bytes);
extern "C" void* __wrap_memcpy(void* to, const void* from, size_t bytes) {
  if (!is_running() || !is_log(from) || bytes < 24) return __real_memcpy(to, from, bytes);
  point();
  __real_memcpy(to, from, bytes / 2);
  point();
  __real_memcpy(static_cast<char*>(to) + bytes / 2, static_cast<const char*>(from) + bytes / 2,
                bytes - bytes / 2);
  return to;
}

extern "C" {
#define READS(n)                                                                             \
  void __tsan_read##n(void* at) { read_point(at, nearby(at)); }                              \
  void __tsan_write##n(void* at) { write_point(stored(at, n, __ATOMIC_RELAXED)); }           \
  void __tsan_unaligned_read##n(void* at) { read_point(at, nearby(at)); }                    \
  void __tsan_unaligned_write##n(void* at) { write_point(stored(at, n, __ATOMIC_RELAXED)); } \
  void __tsan_volatile_read##n(void* at) { read_point(at, nearby(at)); }                     \
  void __tsan_volatile_write##n(void* at) { write_point(stored(at, n, __ATOMIC_RELAXED)); }
READS(1)
READS(2)
READS(4)
READS(8)
READS(16)
void __tsan_read_range(void* at, unsigned long) { read_point(at, nearby(at)); }
void __tsan_write_range(void* at, unsigned long bytes) {
  write_point(stored(at, bytes, __ATOMIC_RELAXED));
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_atomic_thread_fence(int order) {
  if (is_running() && order >= __ATOMIC_RELEASE) release_fence();
}
void __tsan_atomic_signal_fence(int) {}

#define ATOMICS(bits)                                                                            \
  using t##bits = uint##bits##_t;                                                                \
  t##bits __tsan_atomic##bits##_load(const volatile t##bits* at, int) { return load(at); }       \
  void __tsan_atomic##bits##_store(volatile t##bits* at, t##bits v, int order) {                 \
    store(stored(at, sizeof v, order), v);                                                       \
  }                                                                                              \
  t##bits __tsan_atomic##bits##_exchange(volatile t##bits* at, t##bits v, int order) {           \
    write_point(stored(at, sizeof v, order));                                                    \
    const t##bits old = *at;                                                                     \
    *at = v;                                                                                     \
    return old;                                                                                  \
  }                                                                                              \
  t##bits __tsan_atomic##bits##_fetch_add(volatile t##bits* at, t##bits v, int order) {          \
    return add(stored(at, sizeof v, order), v);                                                  \
  }                                                                                              \
  t##bits __tsan_atomic##bits##_fetch_or(volatile t##bits* at, t##bits v, int order) {           \
    return set_bits(stored(at, sizeof v, order), v);                                             \
  }                                                                                              \
  t##bits __tsan_atomic##bits##_fetch_sub(volatile t##bits* at, t##bits v, int order) {          \
    return add(stored(at, sizeof v, order), static_cast<t##bits>(0 - v));                        \
  }                                                                                              \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile t##bits* at, t##bits* e, t##bits v, \
                                                    int order, int) {                            \
    return swap_if_same(stored(at, sizeof v, order), e, v);                                      \
  }                                                                                              \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile t##bits* at, t##bits* e, t##bits v,   \
                                                  int order, int) {                              \
    return swap_if_same(stored(at, sizeof v, order), e, v);                                      \
  }                                                                                              \
  t##bits __tsan_atomic##bits##_compare_exchange_val(volatile t##bits* at, t##bits e, t##bits v, \
                                                     int order, int) {                           \
    swap_if_same(stored(at, sizeof v, order), &e, v);                                            \
    return e;                                                                                    \
  }
ATOMICS(8)
ATOMICS(16)
ATOMICS(32)
ATOMICS(64)
}

}  // namespace model
