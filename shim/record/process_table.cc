// SPDX-License-Identifier: MIT
//
// The shared tables of processes and counter stripes: claiming, and making room by folding dead
// processes into the totals. See COUNTERS in log_format.h. Same rules as event_lane.cc. The only
// lock is retire_lock, which is only ever tried, and taken over from an owner that is known dead.
#include <errno.h>
#include <fcntl.h>

#include "shim/proc/proc_files.h"
#include "shim/record/owners.h"
#include "shim/record/process.h"

namespace ovcshim {
namespace {

constexpr unsigned kRetireAtOnce = 64;
constexpr uint64_t kPauseMs = 10;  // after a look at all slots, a system call each, that found all
                                   // alive

Stripe* stripe_at(uint64_t index) {
  return reinterpret_cast<Stripe*>(g.stripes + index * kStripeBytes);
}

bool is_dead(long nr, uint64_t id) {
  return id != 0 && sys::call(nr, static_cast<long>(id), 0) == -ESRCH;
}

// Processes of other pid namespaces cannot be asked; their slots stay.
bool may_retire(const ProcessSlot& slot) {
  const uint32_t use = __atomic_load_n(&slot.use, __ATOMIC_ACQUIRE);
  if (use == static_cast<uint32_t>(SlotUse::kRetiring)) return true;
  const bool used =
      use == static_cast<uint32_t>(SlotUse::kLive) || use == static_cast<uint32_t>(SlotUse::kEnded);
  return used && slot.pidns == g.pidns && is_dead(__NR_kill, slot.pid);
}

// The new totals stand complete beside the old ones before retired_version is stepped: a reader, or
// whoever continues after our death, finds the stripe either folded (last_folded) or not.
void fold(Stripe& stripe) {
  const uint64_t version = __atomic_load_n(&g.header->retired_version, __ATOMIC_ACQUIRE);
  const RetiredTotals& now = g.retired[version & 1];
  RetiredTotals& next = g.retired[(version + 1) & 1];
  if (now.last_folded != stripe.fold_id) {
    next.last_folded = stripe.fold_id;
    next.processes = now.processes;
    next.requested_bytes = now.requested_bytes + stripe.requested_bytes;
    next.calls_not_kept = now.calls_not_kept + stripe.calls_not_kept;
    for (uint32_t i = 0; i < kHistogramBuckets; ++i) next.sizes[i] = now.sizes[i] + stripe.sizes[i];
    for (size_t i = 0; i < static_cast<size_t>(Op::kCallOps); ++i) {
      next.calls[i] = now.calls[i] + stripe.calls[i];
      next.failed[i] = now.failed[i] + stripe.failed[i];
    }
    __atomic_store_n(&g.header->retired_version, version + 1, __ATOMIC_RELEASE);
    // Who sees the stripe empty, or the older totals overwritten by the next fold, sees the step;
    // no instruction on x86.
    __atomic_thread_fence(__ATOMIC_RELEASE);
  }
  sys::zero(&stripe, sizeof stripe);
}

bool is_retiring(const ProcessSlot& slot) {
  return __atomic_load_n(&slot.use, __ATOMIC_RELAXED) == static_cast<uint32_t>(SlotUse::kRetiring);
}

// Stripes that were ever given out have the lowest numbers.
uint32_t stripes_in_use() {
  const uint64_t given = __atomic_load_n(&g.header->next_stripe, __ATOMIC_RELAXED) + 1;
  return given < g.stripe_count ? static_cast<uint32_t>(given) : g.stripe_count;
}

// Those of all processes being retired, in one pass: each stripe is a page of the log to look at.
void fold_stripes_of_retiring() {
  for (uint32_t i = 1, end = stripes_in_use(); i < end; ++i) {
    Stripe* stripe = stripe_at(i);
    if (stripe->fold_id == 0 || stripe->process >= kProcessSlots) continue;
    const ProcessSlot& slot = g.processes[stripe->process];
    if (is_retiring(slot) && stripe->process_serial == slot.serial) fold(*stripe);
  }
}

void free_slot(uint32_t index) {
  ProcessSlot& slot = g.processes[index];
  count(g.header->slots_retired);
  const uint32_t serial = slot.serial;
  free_owners(index);
  g.pid_index[index] = 0;
  sys::zero(&slot.pid, sizeof slot - offsetof(ProcessSlot, pid));
  slot.serial = serial;
  __atomic_store_n(&slot.use, static_cast<uint32_t>(SlotUse::kFree), __ATOMIC_RELEASE);
}

// False: somebody else is at it.
bool retire_the_dead(uint32_t tid) {
  if (tick_now() < __atomic_load_n(&g.header->all_alive_until, __ATOMIC_RELAXED)) return true;
  uint64_t holder = 0;
  if (!__atomic_compare_exchange_n(&g.header->retire_lock, &holder, tid, false, __ATOMIC_ACQUIRE,
                                   __ATOMIC_RELAXED) &&
      !(is_dead(__NR_tkill, holder) &&
        __atomic_compare_exchange_n(&g.header->retire_lock, &holder, tid, false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED)))
    return false;
  unsigned marked = 0;
  for (uint32_t i = 0; i < kProcessSlots && marked < kRetireAtOnce; ++i)
    if (may_retire(g.processes[i])) {
      __atomic_store_n(&g.processes[i].use, static_cast<uint32_t>(SlotUse::kRetiring),
                       __ATOMIC_RELEASE);
      ++marked;
    }
  if (marked) fold_stripes_of_retiring();
  else g.header->all_alive_until = tick_now() + kPauseMs * g_ticks_per_ms;
  for (uint32_t i = 0; i < kProcessSlots && marked; ++i)
    if (is_retiring(g.processes[i])) free_slot(i), --marked;
  __atomic_store_n(&g.header->retire_lock, 0, __ATOMIC_RELEASE);
  return true;
}

bool take_slot(uint32_t index) {
  uint32_t free = static_cast<uint32_t>(SlotUse::kFree);
  return __atomic_compare_exchange_n(&g.processes[index].use, &free,
                                     static_cast<uint32_t>(SlotUse::kClaimed), false,
                                     __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

// By the page of pids: the slots themselves are 128 pages, each a fault for a new child.
uint32_t find_free_slot() {
  for (uint32_t i = 0; i < kProcessSlots; ++i)
    if (__atomic_load_n(&g.pid_index[i], __ATOMIC_RELAXED) == 0 && take_slot(i)) return i;
  return kNoIndex;
}

uint32_t new_slot() {
  if (__atomic_load_n(&g.header->next_process, __ATOMIC_RELAXED) < kProcessSlots) {
    const uint64_t index = __atomic_fetch_add(&g.header->next_process, 1, __ATOMIC_RELAXED);
    if (index < kProcessSlots && take_slot(static_cast<uint32_t>(index)))
      return static_cast<uint32_t>(index);
  }
  uint32_t index = find_free_slot();
  if (index == kNoIndex) {
    retire_the_dead(static_cast<uint32_t>(sys::call(__NR_gettid)));
    index = find_free_slot();
  }
  return index;
}

// The slot that an earlier image of this very process left: exec keeps pid and start time.
uint32_t slot_of_earlier_image(uint64_t start_ticks) {
  const uint32_t pid = g_private->pid;
  for (uint32_t i = 0; i < kProcessSlots; ++i) {
    const ProcessSlot& slot = g.processes[i];
    if (g.pid_index[i] == pid && slot.pid == pid && slot.start_ticks == start_ticks &&
        slot.pidns == g.pidns)
      return i;
  }
  return kNoIndex;
}

// Of the image; in plain memory, for the children that it forks.
constinit char g_exe[sizeof ProcessSlot::exe]{};

void read_exe() {
  const long n = sys::call(__NR_readlinkat, AT_FDCWD, reinterpret_cast<long>("/proc/self/exe"),
                           reinterpret_cast<long>(g_exe), sizeof g_exe - 1);
  g_exe[sys::failed(n) ? 0 : n] = '\0';
}

// A thread other than the first may have a name of its own; its forked child has that.
void read_names(ProcessSlot& slot, const StatFields& stat, bool new_image) {
  if (new_image) read_exe();
  sys::copy(slot.exe, g_exe, sizeof g_exe);
  char comm[20]{};
  if (new_image && !g.attached && stat.name[0]) sys::copy(comm, stat.name, sizeof stat.name);
  else if (g_private->entering_tid == g_private->pid)
    sys::call(__NR_prctl, 16 /* PR_GET_NAME */, reinterpret_cast<long>(comm));
  else read_file("/proc/self/comm", comm, sizeof comm);
  for (long i = 0; i < 16; ++i) slot.comm[i] = i < 15 && comm[i] != '\n' ? comm[i] : '\0';
}

uint32_t slot_of_pid(uint64_t pid) {
  if (pid == 0) return kNoIndex;  // a parent outside of the pid namespace; a new slot has 0, too
  for (uint32_t i = 0; i < kProcessSlots; ++i)
    if (g.pid_index[i] == pid && g.processes[i].use != static_cast<uint32_t>(SlotUse::kFree) &&
        g.processes[i].pidns == g.pidns)
      return i;
  return kNoIndex;
}

void set_parent(ProcessSlot& slot, const StatFields& stat, bool new_image) {
  slot.parent_pid = static_cast<uint32_t>(stat.parent_pid);
  const bool forked_here = !new_image && g_lineage.slot != kNoIndex;
  slot.parent = forked_here ? g_lineage.slot : slot_of_pid(stat.parent_pid);
  slot.parent_serial = forked_here               ? g_lineage.serial
                       : slot.parent != kNoIndex ? g.processes[slot.parent].serial
                                                 : 0;
}

void begin_image(ProcessSlot& slot, const StatFields& stat, bool new_image) {
  slot.image = g_lineage.image;
  slot.internals = g.internals_word;
  slot.end_tick = 0;
  slot.exit_known = 0;
  ++slot.images;
  read_names(slot, stat, new_image);
}

}  // namespace

void note_own_commit() {
  const uint32_t slot = g_private->slot;
  if (slot != kNoIndex)
    __atomic_store_n(&g.processes[slot].own_commit_kb, g.own_commit_kb, __ATOMIC_RELAXED);
}

void claim_process_slot(const StatFields& stat, uint64_t fork_position, bool new_image) {
  Private& p = *g_private;
  touch_for_writing(g.pid_index[0]);
  uint32_t index = new_image ? slot_of_earlier_image(stat.start_ticks) : kNoIndex;
  const bool known = index != kNoIndex;
  if (!known) index = new_slot();
  if (index == kNoIndex) {
    count(g.header->processes_unslotted);
    return;
  }
  ProcessSlot& slot = g.processes[index];
  if (!known) {
    ++slot.serial;
    slot.pid = p.pid;
    slot.start_ticks = stat.start_ticks;
    slot.start_tick = tick_now();
    slot.pidns = g.pidns;
    slot.uid = new_image && !g.attached ? starting_user() : effective_user();
    slot.fork_position = fork_position;
    set_parent(slot, stat, new_image);
    g.pid_index[index] = p.pid;
  }
  begin_image(slot, stat, new_image);
  p.slot = index;
  p.serial = slot.serial;
  begin_owners(new_image);
  note_own_commit();
  __atomic_store_n(&slot.use, static_cast<uint32_t>(SlotUse::kLive), __ATOMIC_RELEASE);
}

namespace {

bool take_over(Stripe* stripe, uint64_t owner, uint32_t tid) {
  return __atomic_compare_exchange_n(&stripe->owner, &owner, tid, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED);
}

// The stripe that this very process had before an exec: counters are per process. Asked once: later
// it may be another thread's. Whatever stands in the log is proven before it becomes an address:
// another process of the tree, one without privileges perhaps, can write there.
Stripe* stripe_of_earlier_image(uint32_t tid) {
  Private& p = *g_private;
  if (__atomic_exchange_n(&p.first_stripe_asked, 1, __ATOMIC_RELAXED)) return nullptr;
  const uint32_t first = __atomic_load_n(&g.processes[p.slot].first_stripe, __ATOMIC_RELAXED);
  return first && first < g.stripe_count && take_over(stripe_at(first), tid, tid) ? stripe_at(first)
                                                                                  : nullptr;
}

// One that a retired process gave back.
uint32_t returned_stripe(uint32_t tid) {
  uint32_t& hand = g_private->stripe_hand;
  const uint32_t from = __atomic_load_n(&hand, __ATOMIC_RELAXED);
  for (uint32_t n = 0; n < g.stripe_count; ++n) {
    const uint32_t i = (from + n) % g.stripe_count;
    Stripe* stripe = stripe_at(i);
    const bool free = i != kSharedStripe && stripe->fold_id == 0 &&
                      __atomic_load_n(&stripe->owner, __ATOMIC_RELAXED) == 0;
    if (!free || !take_over(stripe, 0, tid)) continue;
    __atomic_store_n(&hand, i + 1, __ATOMIC_RELAXED);
    return i;
  }
  return kSharedStripe;
}

// Index of a stripe that is now ours, kSharedStripe if there is none. When all are in use it took a
// look at each, and that is not tried again for a while.
uint32_t fresh_stripe(uint32_t tid) {
  Private& p = *g_private;
  const uint64_t next = __atomic_add_fetch(&g.header->next_stripe, 1, __ATOMIC_RELAXED);
  if (next < g.stripe_count && take_over(stripe_at(next), 0, tid))
    return static_cast<uint32_t>(next);
  if (tick_now() < __atomic_load_n(&p.stripes_full_until, __ATOMIC_RELAXED)) return kSharedStripe;
  uint32_t index = returned_stripe(tid);
  if (index != kSharedStripe) return index;
  const bool looked = retire_the_dead(tid);
  index = returned_stripe(tid);
  if (index == kSharedStripe && looked)
    __atomic_store_n(&p.stripes_full_until, tick_now() + 1000 * g_ticks_per_ms, __ATOMIC_RELAXED);
  return index;
}

}  // namespace

Stripe* claim_stripe(uint32_t tid) {
  const Private& p = *g_private;
  Stripe* stripe = p.slot != kNoIndex ? stripe_of_earlier_image(tid) : nullptr;
  if (stripe) return stripe;
  const uint32_t index = p.slot != kNoIndex ? fresh_stripe(tid) : kSharedStripe;
  if (index == kSharedStripe) return shared_stripe();
  stripe = stripe_at(index);
  stripe->process = p.slot;
  stripe->process_serial = p.serial;
  __atomic_store_n(&stripe->fold_id,
                   __atomic_add_fetch(&g.header->next_fold_id, 1, __ATOMIC_RELAXED),
                   __ATOMIC_RELEASE);
  uint32_t none = 0;
  __atomic_compare_exchange_n(&g.processes[p.slot].first_stripe, &none, index, false,
                              __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return stripe;
}

bool pass_on_stripe(Stripe* stripe, uint32_t from, uint32_t to) {
  return stripe != shared_stripe() && take_over(stripe, from, to);
}

}  // namespace ovcshim
