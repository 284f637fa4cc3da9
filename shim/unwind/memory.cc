// SPDX-License-Identifier: MIT
//
// See memory.h. `kept` is written by the constructor, in ascending order; afterwards an entry only
// ever loses its end.
#include "shim/unwind/memory.h"

#include <errno.h>

#include <atomic>

#include "shim/proc/proc_file.h"
#include "shim/sys/sys.h"
#include "shim/sys/vdso.h"
#include "shim/unwind/known_stack.h"
#include "shim/unwind/modules.h"

namespace ovcshim {
namespace {

constexpr unsigned kPageBits = 12;  // a divisor of every page size is right

// Parts: one of most objects, two where segments are far apart. What finds no room is copied.
constexpr unsigned kMostKept = kMaxModules + kMaxModules / 3;

struct Kept {
  uint64_t start;
  std::atomic<uint64_t> end;  // start: given up
};
alignas(64) constinit Kept kept[kMostKept]{};
constinit bool is_head[kMostKept]{};
constinit std::atomic<unsigned> kept_count{0};
constinit std::atomic<uint32_t> readers{0};

// page << kEraBits | era, one word, so that no thread sees half of it.
constexpr unsigned kEraBits = 64 - (57 - kPageBits);
constexpr uint64_t kEraMask = (uint64_t{1} << kEraBits) - 1;
constexpr unsigned kProofs = 512;
alignas(4096) constinit std::atomic<uint64_t> proofs[kProofs]{};
constinit std::atomic<uint64_t> era_now{0};

constinit const uint32_t* own_pid = nullptr;
constinit std::atomic<bool> copy_refused{false};

const Kept* kept_around(uint64_t at, size_t len) {
  unsigned low = 0, high = kept_count.load(std::memory_order_acquire);
  while (low < high) {
    const unsigned middle = (low + high) / 2;
    if (kept[middle].start <= at) low = middle + 1;
    else high = middle;
  }
  if (low == 0) return nullptr;
  const uint64_t end = kept[low - 1].end.load(std::memory_order_seq_cst);
  return at < end && len <= end - at ? &kept[low - 1] : nullptr;
}

void note_proven(uint64_t first, uint64_t end) {
  const uint64_t era = era_now.load(std::memory_order_relaxed) & kEraMask;
  for (uint64_t page = first; page < end; ++page)
    proofs[page % kProofs].store(page << kEraBits | era, std::memory_order_relaxed);
}

// With its neighbours in the object, as many as the kernel maps together (mm/memory.c
// do_fault_around()): a walk that reads one of a table's pages soon reads others.
bool prove_page(uint64_t page, const Kept& object) {
  constexpr uint64_t kTogether = 16;
  uint64_t first = page & ~(kTogether - 1), end = first + kTogether;
  const uint64_t start = object.start >> kPageBits,
                 stop = object.end.load(std::memory_order_relaxed) >> kPageBits;
  if (first < start) first = start;
  if (end > stop) end = stop;
  if (!(first <= page && page < end && sys::readable_range(first << kPageBits, end << kPageBits))) {
    if (!sys::readable(reinterpret_cast<const void*>(page << kPageBits))) return false;
    first = page, end = page + 1;
  }
  note_proven(first, end);
  return true;
}

bool page_is_proven(uint64_t page, const Kept& object) {
  const uint64_t era = era_now.load(std::memory_order_relaxed) & kEraMask;
  const uint64_t word = proofs[page % kProofs].load(std::memory_order_relaxed);
  return (word >> kEraBits == page && ((era - word) & kEraMask) <= 1) || prove_page(page, object);
}

bool copy_directly(void* to, uint64_t from, size_t len) {
  const Kept* object = kept_around(from, len);
  if (!object) return false;
  for (uint64_t page = from >> kPageBits; page <= (from + len - 1) >> kPageBits; ++page)
    if (!page_is_proven(page, *object)) return false;
  sys::copy(to, reinterpret_cast<const void*>(from), len);
  return true;
}

long copy_by_call(long pid, void* to, uint64_t from, size_t len) {
  struct {
    uint64_t base;
    size_t len;
  } local{reinterpret_cast<uint64_t>(to), len}, remote{from, len};
  return sys::call(__NR_process_vm_readv, pid, reinterpret_cast<long>(&local), 1,
                   reinterpret_cast<long>(&remote), 1, 0);
}

// The pid that is noted is of this process (a forked child's note is empty), or in a vfork child of
// the one whose memory it shares: the same bytes, if the kernel lets it.
long copy_by_any_pid(void* to, uint64_t from, size_t len) {
  const uint32_t noted = own_pid ? __atomic_load_n(own_pid, __ATOMIC_RELAXED) : 0;
  const long got = noted ? copy_by_call(noted, to, from, len) : -ESRCH;
  if (got >= 0 || got == -EFAULT) return got;
  const long pid = sys::call(__NR_getpid);
  return pid == static_cast<long>(noted) ? got : copy_by_call(pid, to, from, len);
}

[[gnu::cold, gnu::noinline]] bool copy_by_file(void* to, uint64_t from, size_t len) {
  ProcFile file("/proc/thread-self/mem");
  return file.ok() && file.read_at(to, len, static_cast<long>(from)) == static_cast<long>(len);
}

}  // namespace

bool copy_by_kernel(void* to, uint64_t from, size_t len) {
  if (copy_refused.load(std::memory_order_relaxed)) return copy_by_file(to, from, len);
  const long got = copy_by_any_pid(to, from, len);
  if (got == static_cast<long>(len)) return true;
  if (got == -EFAULT || got > 0) return false;
  // What the kernel itself never says of one's own memory: a filter did.
  if (got != -ENOMEM) copy_refused.store(true, std::memory_order_relaxed);
  return copy_by_file(to, from, len);
}

// The count of readers pairs with range_goes: either it waits for us, or we see that the range is
// gone.
bool copy_memory(void* to, uint64_t from, size_t len) {
  if (len == 0 || from + len < from) return false;
  readers.fetch_add(1, std::memory_order_seq_cst);
  const bool copied = copy_directly(to, from, len);
  readers.fetch_sub(1, std::memory_order_release);
  return copied || copy_by_kernel(to, from, len);
}

void keep_object(uint64_t start, uint64_t end, bool head) {
  const unsigned n = kept_count.load(std::memory_order_relaxed);
  if (n == kMostKept || start >= end || (n > 0 && start < kept[n - 1].end)) return;
  kept[n].start = start;
  is_head[n] = head;
  kept[n].end.store(end, std::memory_order_relaxed);
  kept_count.store(n + 1, std::memory_order_release);  // pairs with kept_around
}

bool is_kept_head(uint64_t address) {
  const unsigned count = kept_count.load(std::memory_order_relaxed);
  for (unsigned i = 0; i < count; ++i)
    if (kept[i].start == address)
      return is_head[i] && kept[i].end.load(std::memory_order_relaxed) > address;
  return false;
}

void heads_are_proven() {
  const unsigned count = kept_count.load(std::memory_order_relaxed);
  for (unsigned i = 0; i < count; ++i)
    if (is_kept_head(kept[i].start))
      note_proven(kept[i].start >> kPageBits, (kept[i].start >> kPageBits) + 1);
}

// A reader on another thread is done within microseconds. One that this very thread has
// interrupted (we are in a signal handler), or that a longjmp or a fork has left behind, never is:
// the wait has an end, after about a millisecond.
void range_goes(uint64_t start, uint64_t bytes) {
  constexpr unsigned kPatience = 20000;
  const uint64_t end = start + bytes < start ? UINT64_MAX : start + bytes;
  bool touched = false;
  forget_known_stack(start, end);
  sys::forget_vdso(start, end);
  for (unsigned i = 0; i < kept_count.load(std::memory_order_acquire); ++i) {
    if (kept[i].start >= end || kept[i].end.load(std::memory_order_relaxed) <= start) continue;
    kept[i].end.store(kept[i].start, std::memory_order_seq_cst);
    touched = true;
  }
  if (!touched) return;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (unsigned i = 0; i < kPatience && readers.load(std::memory_order_acquire) != 0; ++i)
#if defined(__x86_64__)
    asm volatile("pause" : : : "memory");
#else
    asm volatile("yield" : : : "memory");
#endif
}

void own_pid_is_at(const uint32_t* pid) { own_pid = pid; }
void proof_era_is(uint64_t era) { era_now.store(era, std::memory_order_relaxed); }

}  // namespace ovcshim
