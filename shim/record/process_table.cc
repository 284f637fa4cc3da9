// SPDX-License-Identifier: MIT
//
// See process_table.h and COUNTERS in log_format.h. Same rules as event_lane.cc. The only lock is
// retire_lock, which is only ever tried, and taken over from an owner that is known dead.
#include "shim/record/process_table.h"

#include <errno.h>
#include <fcntl.h>

#include "shim/proc/proc_files.h"

namespace ovcshim {
namespace {

constexpr unsigned kRetireAtOnce = 64;

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
  }
  sys::zero(&stripe, sizeof stripe);
}

void retire(uint32_t index) {
  ProcessSlot& slot = g.processes[index];
  __atomic_store_n(&slot.use, static_cast<uint32_t>(SlotUse::kRetiring), __ATOMIC_RELEASE);
  for (uint32_t i = 1; i < kStripes; ++i) {
    Stripe* stripe = stripe_at(i);
    if (stripe->fold_id != 0 && stripe->process == index && stripe->process_serial == slot.serial)
      fold(*stripe);
  }
  count(g.header->slots_retired);
  const uint32_t serial = slot.serial;
  g.pid_index[index] = 0;
  sys::zero(&slot.pid, sizeof slot - offsetof(ProcessSlot, pid));
  slot.serial = serial;
  __atomic_store_n(&slot.use, static_cast<uint32_t>(SlotUse::kFree), __ATOMIC_RELEASE);
}

void retire_the_dead(uint32_t tid) {
  uint64_t holder = 0;
  if (!__atomic_compare_exchange_n(&g.header->retire_lock, &holder, tid, false, __ATOMIC_ACQUIRE,
                                   __ATOMIC_RELAXED) &&
      !(is_dead(__NR_tkill, holder) &&
        __atomic_compare_exchange_n(&g.header->retire_lock, &holder, tid, false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED)))
    return;
  unsigned done = 0;
  for (uint32_t i = 0; i < kProcessSlots && done < kRetireAtOnce; ++i)
    if (may_retire(g.processes[i])) retire(i), ++done;
  __atomic_store_n(&g.header->retire_lock, 0, __ATOMIC_RELEASE);
}

bool take_slot(uint32_t index) {
  uint32_t free = static_cast<uint32_t>(SlotUse::kFree);
  return __atomic_compare_exchange_n(&g.processes[index].use, &free,
                                     static_cast<uint32_t>(SlotUse::kClaimed), false,
                                     __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

uint32_t find_free_slot() {
  for (uint32_t i = 0; i < kProcessSlots; ++i)
    if (take_slot(i)) return i;
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

void read_names(ProcessSlot& slot) {
  long n = sys::call(__NR_readlinkat, AT_FDCWD, reinterpret_cast<long>("/proc/self/exe"),
                     reinterpret_cast<long>(slot.exe), sizeof slot.exe - 1);
  slot.exe[sys::failed(n) ? 0 : n] = '\0';
  char comm[20];
  n = read_file("/proc/self/comm", comm, sizeof comm);
  for (long i = 0; i < 16; ++i) slot.comm[i] = i < n && i < 15 && comm[i] != '\n' ? comm[i] : '\0';
}

uint32_t slot_of_pid(uint64_t pid) {
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

void begin_image(ProcessSlot& slot) {
  slot.image = g_lineage.image;
  slot.internals = g.internals_word;
  slot.end_tick = 0;
  slot.exit_known = 0;
  ++slot.images;
  read_names(slot);
}

}  // namespace

void claim_process_slot(const StatFields& stat, uint64_t fork_position, bool new_image) {
  Private& p = *g_private;
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
    slot.uid = static_cast<uint32_t>(sys::call(__NR_geteuid));
    slot.fork_position = fork_position;
    set_parent(slot, stat, new_image);
    g.pid_index[index] = p.pid;
  }
  begin_image(slot);
  p.slot = index;
  p.serial = slot.serial;
  __atomic_store_n(&slot.use, static_cast<uint32_t>(SlotUse::kLive), __ATOMIC_RELEASE);
}

namespace {

bool take_over(Stripe* stripe, uint64_t owner, uint32_t tid) {
  return __atomic_compare_exchange_n(&stripe->owner, &owner, tid, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED);
}

// Threads come at the same time: each gets a place of its own, the oldest is forgotten (and not
// reused, which costs no count).
void remember_stripe(Private& p, uint32_t index) {
  const uint32_t place = __atomic_fetch_add(&p.own_stripe_next, 1, __ATOMIC_RELAXED) % kOwnStripes;
  __atomic_store_n(&p.own_stripes[place], index, __ATOMIC_RELAXED);
}

// A stripe of this process that nobody uses any more is as good as a new one, since counters are
// per process: the one that the same thread had before an exec, or a dead thread's. Whatever stands
// in the log is proven before it becomes an address: another process of the tree, one without
// privileges perhaps, can write there.
Stripe* left_over_stripe(uint32_t tid) {
  Private& p = *g_private;
  const uint32_t first = __atomic_load_n(&g.processes[p.slot].first_stripe, __ATOMIC_RELAXED);
  if (first && first < kStripes && !__atomic_load_n(&p.own_stripes[0], __ATOMIC_RELAXED) &&
      take_over(stripe_at(first), tid, tid)) {
    remember_stripe(p, first);
    return stripe_at(first);
  }
  for (unsigned tries = 0; tries < 4; ++tries) {
    const uint32_t place =
        (__atomic_load_n(&p.own_stripe_next, __ATOMIC_RELAXED) + tries) % kOwnStripes;
    const uint32_t mine = __atomic_load_n(&p.own_stripes[place], __ATOMIC_RELAXED);
    if (!mine) continue;
    const uint64_t owner = __atomic_load_n(&stripe_at(mine)->owner, __ATOMIC_RELAXED);
    if (is_dead(__NR_tkill, owner) && take_over(stripe_at(mine), owner, tid))
      return stripe_at(mine);
  }
  return nullptr;
}

// Index of a stripe that is now ours, kSharedStripe if there is none.
uint32_t fresh_stripe(uint32_t tid) {
  const uint64_t next = __atomic_add_fetch(&g.header->next_stripe, 1, __ATOMIC_RELAXED);
  if (next < kStripes && take_over(stripe_at(next), 0, tid)) return static_cast<uint32_t>(next);
  for (uint32_t i = 1; i < kStripes; ++i)
    if (stripe_at(i)->fold_id == 0 &&
        __atomic_load_n(&stripe_at(i)->owner, __ATOMIC_RELAXED) == 0 &&
        take_over(stripe_at(i), 0, tid))
      return i;
  return kSharedStripe;
}

}  // namespace

Stripe* claim_stripe(uint32_t tid) {
  Private& p = *g_private;
  Stripe* stripe = p.slot != kNoIndex ? left_over_stripe(tid) : nullptr;
  if (stripe) return stripe;
  const uint32_t index = p.slot != kNoIndex ? fresh_stripe(tid) : kSharedStripe;
  if (index == kSharedStripe) {
    count(g.header->threads_unslotted);
    return shared_stripe();
  }
  stripe = stripe_at(index);
  stripe->process = p.slot;
  stripe->process_serial = p.serial;
  __atomic_store_n(&stripe->fold_id,
                   __atomic_add_fetch(&g.header->next_fold_id, 1, __ATOMIC_RELAXED),
                   __ATOMIC_RELEASE);
  remember_stripe(p, index);
  uint32_t none = 0;
  __atomic_compare_exchange_n(&g.processes[p.slot].first_stripe, &none, index, false,
                              __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return stripe;
}

}  // namespace ovcshim
