// SPDX-License-Identifier: MIT
//
// Events: who, what, from where, in which commit state, with which outcome.
// Rules: runs wherever the program calls a wrapped function (see event_lane.cc); bounded stack;
// every system call here is one that a program without seccomp cannot notice; none is made once
// is_quiet().
#include "shim/record/event.h"

#include <sys/mman.h>
#include <sys/shm.h>

#include "shim/record/clock.h"

#include "shim/proc/proc_file.h"
#include "shim/proc/proc_files.h"
#include "shim/record/call_lane.h"
#include "shim/record/call_stack.h"
#include "shim/record/errno_facts.h"
#include "shim/record/growth.h"
#include "shim/record/memory_ring.h"
#include "shim/record/module_list.h"
#include "shim/record/process.h"
#include "shim/record/proofs.h"
#include "shim/record/readings.h"
#include "shim/record/refusal.h"
#include "shim/record/snapshot.h"
#include "shim/sys/thread_pointer.h"
#include "shim/unwind/memory.h"

namespace ovcshim {
namespace {

constexpr uint64_t kShmAtMost = uint64_t{1} << 40;  // nobody says how long a segment is

constinit SharedReading g_reading{};  // in plain memory: a forked child finds its parent's

void read_statm(Reading& r, Scratch& scratch) {
  if (read_file("/proc/thread-self/statm", scratch.io, sizeof scratch.io) <= 0) return;
  const char* rest = scratch.io;
  r.vm_size_pages = parse_number(rest, &rest);
  r.resident_pages = parse_number(rest, &rest);
  for (int skip = 0; skip < 3; ++skip) parse_number(rest, &rest);  // shared, text, lib
  r.data_pages = parse_number(rest, &rest);
}

// The same figures stand in status (fs/proc/task_mmu.c task_mem() and task_statm()). False: not all
// of them. Out of line: foreign stacks are small.
OVC_COLD bool read_status(Reading& r, Scratch& scratch, Facts& facts) {
  MemorySizes sizes;
  add_status(facts, scratch.io, sizeof scratch.io, &sizes);
  const uint64_t page_kb = g.header->page_size / 1024;
  if (sizes.vm_size_kb == kUnknown || sizes.resident_kb == kUnknown || sizes.data_kb == kUnknown ||
      sizes.stack_kb == kUnknown || page_kb == 0)
    return false;
  r.vm_size_pages = sizes.vm_size_kb / page_kb;
  r.resident_pages = sizes.resident_kb / page_kb;
  r.data_pages = (sizes.data_kb + sizes.stack_kb) / page_kb;
  return true;
}

// Writers of the shared reading: one at a time, the others use what is there.
bool renew_reading(Facts* status) {
  Private& p = *g_private;
  learn_of_seccomp();
  if (is_quiet()) return false;
  if (__atomic_exchange_n(&p.reading_lock, 1, __ATOMIC_ACQUIRE)) return false;
  Scratch* scratch = take_scratch();
  if (scratch) {
    const SignalsWait wait;
    Reading r{tick_now(), kUnknown, kUnknown, kUnknown, kUnknown, kUnknown};
    if (read_file("/proc/meminfo", scratch->io, sizeof scratch->io) > 0) {
      r.committed_kb = find_value(scratch->io, "Committed_AS:");
      r.limit_kb = find_value(scratch->io, "CommitLimit:");
    }
    if (!status || !read_status(r, *scratch, *status)) read_statm(r, *scratch);
    give_back(scratch);
    proof_era_is(proof_era(r.tick));
    keep_clock_known(r.tick);
    p.reading.write(r);
    g_reading.write(r);
    keep_reading(r);
  }
  __atomic_store_n(&p.reading_lock, 0, __ATOMIC_RELEASE);
  return scratch != nullptr;
}

bool is_old(const Reading& r) { return tick_now() - r.tick > kReadingMaxAgeMs * g_ticks_per_ms; }

// The one that the parent of this forked child made.
bool reading_of_parent(Reading& out) {
  if (!g_reading.read(out) || is_old(out)) return false;
  out.vm_size_pages = out.resident_pages = out.data_pages = kUnknown;
  return true;
}

// Ages are stored in ns; the tick rate known here is good to about 1 %, which is all an age needs.
uint64_t age_ns(uint64_t since) {
  const uint64_t now = tick_now();
  return now > since ? (now - since) * 1000 / (g_ticks_per_ms / 1000 + 1) : 0;
}

// These look at the process itself, and a vfork child is another process in our memory: ask the
// kernel.
bool makes_process(Op op) { return op >= Op::kFork && op <= Op::kClone; }
bool may_be_foreign(Op op) { return op >= Op::kExecve || makes_process(op); }

// A vfork child runs on our memory, but no two have the same thread number: that of the thread
// this memory belongs to is proof that its process is ours, too.
void ask_identity(EventBase& base) {
  const auto tid = static_cast<uint32_t>(sys::call(__NR_gettid));
  if (tid != base.tid && tid != g_private->entering_tid)
    base.pid = static_cast<uint32_t>(sys::call(__NR_getpid));
  base.tid = tid;
}

// Of records that are written while the process is entered nothing need be asked: it just was.
void fill_identity(EventBase& base) {
  const Private& p = *g_private;
  base.pid = p.pid;
  base.tid = tid_of(*t_hot);
  const bool entering = __atomic_load_n(&p.registered, __ATOMIC_RELAXED) == 1;
  if (entering) base.tid = p.entering_tid;
  else if (!is_quiet() && (may_be_foreign(base.op) || base.tid == 0)) ask_identity(base);
  const bool ours = base.pid == p.pid;
  base.process = ours ? p.slot : kNoIndex;
  base.process_serial = ours ? p.serial : 0;
  if (!ours) base.flags |= kChildSide;
  base.image = g_lineage.image;
  base.call_seq = thread_call_seq();
}

void add_stack(Event& event, Record& record, Scratch* scratch) {
  const Objects objects = makes_process(record.base.op) ? Objects::kReadAgain : Objects::kReadIfDue;
  const Stack stack = stack_of_call(event.frame, event.base.caller, scratch, objects);
  record.base.image = event.base.image = stack.image;
  record.frames = stack.frames;
  record.base.frames = static_cast<uint16_t>(stack.count);
  if (stack.cut) record.base.flags |= kStackCut;
}

// What decides the errno, or of a granted mapping its charge. Another scratch memory: its io holds
// the facts, then what is read.
constexpr uint32_t kEventFacts = 40;
void add_facts(const EventBase& base, Record& record, Scratch* scratch) {
  const bool asked_for = base.flags & (kInjected | kRehearsed), failed = base.flags & kFailed;
  if (is_quiet() || asked_for || !(failed || maps_special_file(base))) return;
  auto* list = reinterpret_cast<Fact*>(scratch->io);
  Facts facts{list, kEventFacts};
  char* io = scratch->io + kEventFacts * sizeof(Fact);
  if (failed) add_errno_facts(facts, base, io, sizeof scratch->io - kEventFacts * sizeof(Fact));
  else add_file_system(facts, base);
  record.fact_list = list;
  record.base.facts = static_cast<uint8_t>(facts.count);
}

// The stack, then the text behind it, into scratch memory.
uint64_t write_with_stack(Event& event, const char* text, Scratch* scratch, Scratch* more,
                          bool vital, const Facts* facts) {
  Record record{event.base};
  record.vital = vital;
  if (facts) record.base.facts = static_cast<uint8_t>(facts->count), record.fact_list = facts->list;
  add_stack(event, record, scratch);
  if (more) add_facts(event.base, record, more);
  if (scratch && text) {
    record.base.text_len =
        static_cast<uint16_t>(copy_text(scratch->text, sizeof scratch->text, text));
    record.text = scratch->text;
  }
  note_growth(event, record);
  const uint64_t position = vital ? kUnknown : write_memory_call(event, record);
  return position != kUnknown ? position : write_event(record);
}

uint64_t record_now(Event& event, const char* text, bool vital = false,
                    const Facts* facts = nullptr) {
  keep_modules_known();
  Private& p = *g_private;
  if (p.objects_looked_for != p.reading.value.tick) {
    p.objects_looked_for = p.reading.value.tick;
    notice_new_objects();
  }
  const bool refers = facts && facts->count != 0;  // to an earlier proof, which has them
  const bool wants_facts =
      !refers && ((event.base.flags & kFailed) ||
                  (!(event.base.flags & kIntent) && maps_special_file(event.base)));
  Scratch* scratch = take_scratch();
  Scratch* more = wants_facts ? take_scratch() : nullptr;
  const uint64_t position = write_with_stack(event, text, scratch, more, vital, facts);
  if (more) give_back(more);
  if (scratch) give_back(scratch);
  return position;
}

// These give pages back or ask for them, and an allocator does so by the thousand: a redis child
// that saves calls MADV_DONTNEED once a value. They change no charge and no mapping (mm/madvise.c),
// so a success is counted only, lest it push forks out of the lane.
bool advice_changes_mapping(uint64_t advice) {
  constexpr uint64_t kWillneed = 3, kDontneed = 4, kFree = 8, kCold = 20, kPageout = 21,
                     kPopulateRead = 22, kPopulateWrite = 23, kDontneedLocked = 24;
  constexpr uint64_t kPagesOnly[] = {kWillneed, kDontneed,     kFree,          kCold,
                                     kPageout,  kPopulateRead, kPopulateWrite, kDontneedLocked};
  for (const uint64_t harmless : kPagesOnly)
    if (advice == harmless) return false;
  return true;
}

bool is_memory_call(Op op) { return op < Op::kFork; }

// A record that refers to an earlier proof says so itself; where it was written beforehand, another
// one does.
void add_reference(Facts& facts, const ProofPlan& plan) {
  if (!plan.refers()) return;
  facts.add(FactKey::kProvenBy, plan.proven_by);
  if (plan.proof == Proof::kChanged) add_changed_sizes(facts);
}

uint64_t record_outcome(Event& event, const char* text, bool vital, const Facts* facts) {
  if (event.when != When::kIntent) return record_now(event, text, vital, facts);
  if (event.position != kUnknown && complete_event(event.position, event.base))
    return event.position;
  event.base.flags |= kLateCompletion;
  return record_now(event, nullptr, vital);
}

void write_proof(const Event& event, Proof proof) {
  if (proof == Proof::kErrno) return void(write_snapshot(event.position, proof, event.base));
  const uint64_t start = tick_now();
  const uint64_t earlier = begin_proof(event.base, event.position);
  const bool written = write_snapshot(event.position, proof, event.base, earlier);
  end_proof(event.position, proof, tick_now() - start, written);
}

OVC_COLD void end_refused(Event& event, const char* text) {
  EventBase& base = event.base;
  if (event.when == When::kIntent) note_failed_later(event);
  if (is_memory_call(base.op)) {
    t_hot->refused_begin = base.begin_tick;
    t_hot->refused_end = tick_now();
  }
  const ProofPlan plan = base.flags & kInjected ? ProofPlan{} : plan_proof(base, event.granted);
  Fact list[12];
  Facts facts{list, sizeof list / sizeof list[0]};
  if (event.when != When::kIntent) add_reference(facts, plan);
  event.position =
      record_outcome(event, text, plan.proof >= Proof::kFull || t_hot->beneath, &facts);
  if (plan.own() && event.position != kUnknown) write_proof(event, plan.proof);
  else if (plan.refers() && event.when == When::kIntent && event.position != kUnknown)
    write_reference(event.position, plan.proven_by);
  if (is_memory_call(base.op)) t_hot->refused_end = tick_now();
}

// What the call may take away or protect must not be read directly any more (memory.h).
void memory_changes(Op op, const uint64_t* args) {
  constexpr uint64_t kRead = 1, kFixed = MAP_FIXED, kMoves = MREMAP_FIXED, kGuards = 102;
  const bool goes =
      op == Op::kMunmap || op == Op::kMremap || (op == Op::kMmap && (args[3] & kFixed)) ||
      (op == Op::kMprotect && !(args[2] & kRead)) || (op == Op::kMadvise && args[2] == kGuards);
  if (goes) range_goes(args[0], args[1]);
  if (op == Op::kMremap && (args[3] & kMoves)) range_goes(args[4], args[2]);
  if (op == Op::kShmat && (args[2] & SHM_REMAP)) range_goes(args[1], kShmAtMost);
}

// A wait that tells of a child's SIGKILL: the counters of the group say whether it was the OOM
// killer, if they are read before the next one dies. Ten times a second at most.
bool tells_of_kill(const EventBase& base) {
  constexpr uint64_t kSigkill = 9, kKilled = 2 /* CLD_KILLED */;
  if (base.op < Op::kWait || base.op > Op::kWaitid || is_quiet()) return false;
  const bool killed = base.op == Op::kWaitid ? base.args[3] == kKilled && base.args[4] == kSigkill
                                             : (base.args[2] & 0x7f) == kSigkill && base.result > 0;
  Private& p = *g_private;
  const uint64_t now = tick_now();
  if (!killed || now - p.kill_tick < 100 * g_ticks_per_ms) return false;
  p.kill_tick = now;
  return true;
}

}  // namespace

Scratch* take_scratch() {
  for (Scratch& scratch : g_private->scratch)
    if (!__atomic_load_n(&scratch.taken, __ATOMIC_RELAXED) &&
        !__atomic_exchange_n(&scratch.taken, 1, __ATOMIC_ACQUIRE))
      return &scratch;
  return nullptr;
}

uint64_t commit_state(CommitState& state, Freshness freshness, Facts* status) {
  state = {kUnknown, kUnknown, kUnknown, kUnknown, kUnknown, kUnknown};
  Reading r;
  bool have = g_private->reading.read(r);
  if (!have && freshness == Freshness::kLast) have = reading_of_parent(r);
  const bool old = !have || is_old(r);
  const bool anew = old || freshness == Freshness::kFresh;
  if (!is_quiet() && anew && renew_reading(status)) have = g_private->reading.read(r);
  if (!have) return 0;
  state = {age_ns(r.tick),  r.committed_kb,   r.limit_kb,
           r.vm_size_pages, r.resident_pages, r.data_pages};
  return r.tick;
}

uint64_t committed_now() {
  Scratch* scratch = is_quiet() ? nullptr : take_scratch();
  if (!scratch) return kUnknown;
  const uint64_t kb = read_file("/proc/meminfo", scratch->io, sizeof scratch->io) > 0
                          ? find_value(scratch->io, "Committed_AS:")
                          : kUnknown;
  give_back(scratch);
  return kb;
}

EventBase plain_base(Op op) {
  EventBase base{};
  base.op = op;
  base.begin_tick = base.end_tick = tick_now();
  fill_identity(base);
  base.before = {kUnknown, kUnknown, kUnknown, kUnknown, kUnknown, kUnknown};
  return base;
}

bool begin(Event& event, Op op, When when, Freshness freshness, uint64_t caller,
           const FrameState& frame, const char* text) {
  if (!g.recording) return false;
  if (is_memory_call(op)) memory_changes(op, event.base.args);
  if (!has_libc_tls() || !ensure_process() || !g.recording) return false;
  ensure_thread();  // else Hot::forwarding has no place, and libc's own system call would be
                    // recorded as another one
  const uint64_t args[6] = {event.base.args[0], event.base.args[1], event.base.args[2],
                            event.base.args[3], event.base.args[4], event.base.args[5]};
  event.base = {};
  for (int i = 0; i < 6; ++i) event.base.args[i] = args[i];
  event.base.op = op;
  event.granted = granted_count();
  event.base.flags = event.flags;
  event.base.caller = caller;
  event.frame = frame;
  event.when = when;
  fill_identity(event.base);
  event.reading_tick = commit_state(event.base.before, freshness);
  event.base.begin_tick = tick_now();
  event.active = true;
  if (makes_process(op)) __atomic_store_n(&g_fork_clock, boot_ns(), __ATOMIC_RELAXED);
  if (is_memory_call(op)) growth_begins(event);
  if (when != When::kIntent) return true;
  event.base.flags |= kIntent;
  event.position = record_now(event, text);
  return true;
}

void end(Event& event, int64_t result, bool failed, int err, const char* text) {
  EventBase& base = event.base;
  if (!base.end_tick) base.end_tick = tick_now();
  base.result = result;
  base.err = static_cast<uint16_t>(failed ? err : 0);
  base.flags = static_cast<uint16_t>((base.flags & ~kIntent) | (failed ? kFailed : 0));
  if (failed && OVC_UNLIKELY(g.refuses)) base.flags |= refusal_flag(base.op, base.begin_tick);
  count_event(base.op, event.size, failed);
  if (failed) return end_refused(event, text);
  if (base.op == Op::kMadvise && !advice_changes_mapping(base.args[2])) return;
  note_granted(base);
  event.position = record_outcome(event, text, false, nullptr);
  if (event.position != kUnknown && tells_of_kill(base))
    write_snapshot(event.position, Proof::kCounters, base);
}

}  // namespace ovcshim
