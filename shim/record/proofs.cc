// SPDX-License-Identifier: MIT
//
// See proofs.h. The newest refusals with a proof are kept in Private::proven, under a lock that is
// tried a few times and never waited for. Rules: as event_lane.cc.
#include "shim/record/proofs.h"

#include <errno.h>

#include "shim/record/event.h"
#include "shim/record/forwarding.h"
#include "shim/record/refusal.h"
#include "shim/record/refusal_facts.h"

namespace ovcshim {
namespace {

constexpr uint64_t kHoldsMs = 1000;     // a storm's proof is made anew after this
constexpr uint64_t kForkHoldsMs = 50;   // other processes decide over a fork, too
constexpr uint64_t kBurstMs = 5;        // of proofs, before they have to wait
constexpr uint64_t kShare = 16;         // proofs take one part in so many of the time
constexpr uint64_t kAgainAtMostMs = 5;  // a list that takes longer is not repeated within a storm
constexpr uint32_t kFirstLists = 3;  // for the first refusals of other storms, whatever they take
constexpr uint64_t kLately = 4,
                   kLatelyMs = 100;  // a storm whose sizes change: so many in that time
constexpr int kTries = 100;

class TableLock {
 public:
  TableLock() {
    for (int i = 0; i < kTries && !held_; ++i)
      held_ = !__atomic_exchange_n(&g_private->proven_lock, 1, __ATOMIC_ACQUIRE);
  }
  ~TableLock() {
    if (held_) __atomic_store_n(&g_private->proven_lock, 0, __ATOMIC_RELEASE);
  }
  TableLock(const TableLock&) = delete;
  TableLock& operator=(const TableLock&) = delete;
  bool held() const { return held_; }

 private:
  bool held_ = false;
};

// These can also fail over the file that they are to run, or over its pipe.
bool starts_program(Op op) {
  return op == Op::kPosixSpawn || op == Op::kPosixSpawnp ||
         (is_fork_op(op) && op >= Op::kPopen && op != Op::kThrdCreate);
}

bool is_exec_op(Op op) { return op >= Op::kExecve && op <= Op::kExecle; }
bool is_file_op(Op op) { return op >= Op::kShmOpen && op <= Op::kPosixFallocate; }

// These fail as a matter of course: a search in PATH, a hole asked for where there is no support.
bool is_plain_failure(Op op, int err) {
  const bool resource = err == ENOMEM || err == EAGAIN || err == EPERM || err == E2BIG;
  if (starts_program(op) || is_exec_op(op)) return !resource;
  return is_file_op(op) && !resource && err != ENOSPC && err != EFBIG;
}

// What mremap says of a range depends on the mapping there; so does a range that is to grow.
bool arguments_tell(const EventBase& call) {
  constexpr uint64_t kGrows = 0x03000000;  // PROT_GROWSDOWN, PROT_GROWSUP
  const bool range =
      call.op == Op::kMremap || (call.op == Op::kMprotect && (call.args[2] & kGrows));
  return call.err == EBADF || call.err == EEXIST || call.err == ENOENT ||
         (call.err == EINVAL && !range);
}

// EAGAIN of pthread_create may also be a stack that could not be had; popen and wordexp
// say ENOMEM of anything.
bool is_task_limit(const EventBase& call) {
  const bool hidden = hides_errno(call.op);
  if (!is_fork_op(call.op) || (call.err != EAGAIN && !hidden)) return false;
  const bool vague = hidden || call.op == Op::kPthreadCreate || call.op == Op::kThrdCreate;
  return !vague || (g.internals && t_hot->refused_begin < call.begin_tick);
}

bool copies_memory(const EventBase& call) {
  constexpr uint64_t kSharesMemory = 0x100;  // CLONE_VM
  if (call.op == Op::kClone) return !(call.args[0] & kSharesMemory);
  return call.op == Op::kFork || call.op == Op::kForkpty || call.op == Op::kDaemon;
}

// What kind of proof a failure can have: none, of the errno alone, or of memory.
Proof best_proof(const EventBase& call) {
  const Op op = call.op;
  const bool other = is_exec_op(op) || op == Op::kUnshare || op == Op::kSetns || is_file_op(op);
  if (is_plain_failure(op, call.err) || is_quiet() || t_hot->beneath) return Proof::kNone;
  if (other || (is_fork_op(op) && arguments_tell(call))) return Proof::kErrno;
  if (is_task_limit(call)) return Proof::kTasks;
  return (op < Op::kFork || is_fork_op(op)) && !arguments_tell(call) ? Proof::kFull : Proof::kNone;
}

bool is_malloc(Op op) { return op < Op::kMmap; }

// The same call from the same place; or the refusal inside a malloc that failed over it.
bool is_same(const Proven& proven, const EventBase& base) {
  if (proven.err != base.err || proven.tasks != is_task_limit(base)) return false;
  return is_malloc(base.op) ? proven.op < Op::kFork
                            : proven.op == base.op && proven.caller == base.caller;
}

// granted_count(), from below: changes of memory, of tasks, of limits and namespaces. One that
// overflows looks like a change of the next kind.
constexpr int kTaskShift = 32, kLimitShift = 48;

bool same_beyond(int shift, uint64_t then, uint64_t granted) {
  const uint64_t now = granted_count() >> shift;
  return then >> shift == now && granted >> shift == now;
}

// VmSize tells of what the shim does not see: a stack that grew, calls inside libc.
bool holds(const Proven& proven, uint64_t granted) {
  const uint64_t now = granted_count();
  if (proven.tasks) return same_beyond(kTaskShift, proven.granted, granted);
  return proven.granted == granted && granted == now &&
         proven.vm_size_pages == g_private->reading.value.vm_size_pages;
}

const Proven* newest(const EventBase& base, bool any) {
  const Private& p = *g_private;
  const Proven* found = nullptr;
  for (const Proven& proven : p.proven)
    if (proven.tick != 0 && proven.position != kUnknown && (any || is_same(proven, base)) &&
        (!found || proven.tick > found->tick))
      found = &proven;
  return found;
}

// In ticks, up to kBurstMs; below 0 after a long proof.
int64_t credit_now(uint64_t now) {
  const Private& p = *g_private;
  const auto most = static_cast<int64_t>(kBurstMs * g_ticks_per_ms);
  if (p.credit_tick == 0) return most;
  const int64_t credit = p.credit + static_cast<int64_t>((now - p.credit_tick) / kShare);
  return credit < most ? credit : most;
}

bool can_pay(uint64_t cost, uint64_t now) {
  const uint64_t most = kBurstMs * g_ticks_per_ms;
  return credit_now(now) >= static_cast<int64_t>(cost < most ? cost : most);
}

// Soon overwritten, and what refers to it is no longer proven then: by the storm itself among the
// events, by many others in the vitals ring.
bool is_going(const Proven& proven) {
  const bool lasts = proven.position & kVitalBit;
  const EventRing& ring = lasts ? g.vitals : g.events;
  const uint64_t now = __atomic_load_n(ring.cursor, __ATOMIC_RELAXED);
  return now - (proven.position & ~kVitalBit) > ring.count / (lasts ? 2 : 64);
}

bool is_recent(const Proven& proven, uint64_t now) {
  return now - proven.tick < (is_fork_op(proven.op) ? kForkHoldsMs : kHoldsMs) * g_ticks_per_ms;
}

ProofPlan choose_of_tasks(const EventBase& base, uint64_t granted) {
  const Proven* same = newest(base, false);
  if (same && holds(*same, granted) && is_recent(*same, tick_now()) && !is_going(*same))
    return {Proof::kEarlier, same->position};
  return {Proof::kTasks};
}

bool are_many_lately(uint64_t now) {
  return g_private->lately >= kLately && now - g_private->lately_since < kLatelyMs * g_ticks_per_ms;
}

// The same has been refused a moment ago, and no limit was changed since.
bool is_kin(const Proven* same, uint64_t granted, uint64_t now) {
  return same && same_beyond(kLimitShift, same->granted, granted) && is_recent(*same, now);
}

ProofPlan choose(const EventBase& base, uint64_t granted) {
  const Private& p = *g_private;
  const uint64_t now = tick_now();
  const bool copies = copies_memory(base), list = can_pay(p.full_cost, now),
             facts = can_pay(p.facts_cost, now);
  const Proven* same = base.flags & kRehearsed ? nullptr : newest(base, false);
  if (same && is_going(*same) && !copies) {
    if (list) return {Proof::kFull};
    if (!same->listed || totals_hold(granted)) return {Proof::kLasting};
  }
  if (same && holds(*same, granted)) {
    const bool recent = is_recent(*same, now);
    if (!recent && list && p.full_cost <= kAgainAtMostMs * g_ticks_per_ms) return {Proof::kFull};
    if (!recent && facts) return {Proof::kFacts};
    return {Proof::kEarlier, same->position};
  }
  const bool kin = is_kin(same, granted, now);
  if (kin && !copies && (are_many_lately(now) || (!list && !facts)))
    return {Proof::kChanged, same->position};
  if (list || copies) return {Proof::kFull};
  if (!newest(base, false) && p.first_lists < kFirstLists) {
    ++g_private->first_lists;
    return {Proof::kFull};
  }
  if (facts || (base.flags & kRehearsed) || is_fork_op(base.op)) return {Proof::kFacts};
  const Proven* other = newest(base, true);
  if (!other) return {};
  if (holds(*other, granted)) return {Proof::kEarlier, other->position};
  if (!same_beyond(kLimitShift, other->granted, granted)) return {Proof::kFacts};
  return {Proof::kChanged, other->position};
}

bool asks_only(const EventBase& base) {
  return ((base.op == Op::kBrk || base.op == Op::kSbrk) && base.args[0] == 0) ||
         (base.op == Op::kPrlimit && base.args[2] == kUnknown);
}

bool changes_process(Op op) {
  return (op >= Op::kMmap && op < Op::kFork) || is_fork_op(op) || op == Op::kUnshare ||
         op == Op::kSetns || op == Op::kSetrlimit || op == Op::kPrlimit;
}

}  // namespace

ProofPlan plan_proof(const EventBase& base, uint64_t granted) {
  const Proof best = best_proof(base);
  if (best < Proof::kFull) return {best};
  ProofPlan plan;
  const TableLock lock;
  if (lock.held())
    plan = best == Proof::kTasks ? choose_of_tasks(base, granted) : choose(base, granted);
  if (!plan.own() && plan.proof != Proof::kEarlier) count(g.header->snapshots_skipped);
  return plan;
}

uint64_t begin_proof(const EventBase& base, uint64_t position) {
  const TableLock lock;
  Private& p = *g_private;
  if (!lock.held() || (base.flags & kRehearsed)) return 0;
  Proven *own = nullptr, *oldest = &p.proven[0];
  for (Proven& proven : p.proven) {
    if (proven.tick != 0 && proven.op == base.op && is_same(proven, base)) own = &proven;
    if (proven.tick < oldest->tick) oldest = &proven;
  }
  const uint64_t now = tick_now();
  const uint64_t earlier =
      own && (own->position & kVitalBit) && is_recent(*own, now) ? own->position : 0;
  *(own ? own : oldest) = {position, granted_count(),     p.reading.value.vm_size_pages,
                           now,      base.caller,         base.op,
                           base.err, is_task_limit(base), false};
  if (now - p.lately_since >= kLatelyMs * g_ticks_per_ms) p.lately_since = now, p.lately = 0;
  ++p.lately;
  return earlier;
}

void end_proof(uint64_t position, Proof proof, uint64_t ticks, bool written) {
  const TableLock lock;
  if (!lock.held()) return;
  Private& p = *g_private;
  const uint64_t now = tick_now();
  p.credit = credit_now(now) - static_cast<int64_t>(ticks);
  p.credit_tick = now;
  if (written) (proof == Proof::kFull ? p.full_cost : p.facts_cost) = ticks;
  for (Proven& proven : p.proven)
    if (proven.position == position) {
      proven.vm_size_pages = p.reading.value.vm_size_pages;  // read anew for the snapshot
      proven.tick = now;
      proven.listed = proof == Proof::kFull;
      if (!written) proven = {};
    }
}

void keep_totals(const MapTotals& totals, uint64_t granted) {
  g_private->big.listed = {totals, granted, g_private->reading.value.vm_size_pages};
}

bool totals_hold(uint64_t granted) {
  const ListedTotals& listed = g_private->big.listed;
  return listed.totals.count != 0 && listed.granted == granted && granted == granted_count() &&
         listed.vm_size_pages == g_private->reading.value.vm_size_pages;
}

uint64_t granted_count() { return __atomic_load_n(&g_private->granted, __ATOMIC_ACQUIRE); }

void note_granted(const EventBase& base) {
  const bool memory = base.op < Op::kFork, hidden = is_malloc(base.op) && !g.internals;
  if (!hidden && (!changes_process(base.op) || asks_only(base))) return;
  if (memory && t_hot->beneath == static_cast<uint16_t>(Beneath::kTakesBack)) return;
  const int shift = memory ? 0 : is_fork_op(base.op) ? kTaskShift : kLimitShift;
  __atomic_fetch_add(&g_private->granted, uint64_t{1} << shift, __ATOMIC_RELEASE);
}

void add_changed_sizes(Facts& facts) {
  const TableLock lock;
  ChangedSizes& sizes = g_private->sizes;
  const uint64_t granted = granted_count(), tick = g_private->reading.value.tick;
  const bool known = lock.held() && sizes.count != 0 && sizes.granted == granted &&
                     sizes.tick == tick && sizes.tid == t_hot->tid;
  if (known) {
    for (uint32_t i = 0; i < sizes.count && facts.count < facts.room; ++i)
      facts.list[facts.count++] = sizes.list[i];
    return;
  }
  Scratch* scratch = take_scratch();
  if (!scratch) return;
  Facts fresh{facts.list + facts.count, facts.room - facts.count};
  add_status(fresh, scratch->io, sizeof scratch->io);
  give_back(scratch);
  facts.count += fresh.count;
  if (!lock.held() || fresh.count > kSizeFacts) return;
  sizes = {granted, tick, t_hot->tid, fresh.count, {}};
  for (uint32_t i = 0; i < fresh.count; ++i) sizes.list[i] = fresh.list[i];
}

}  // namespace ovcshim
