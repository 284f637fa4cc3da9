// SPDX-License-Identifier: MIT
//
// See why_scan.h.
#include "tools/verdict/why_scan.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "tools/log/call_text.h"
#include "tools/rules/host_figures.h"

namespace ovc {

using ovcshim::FactKey;

namespace {

constexpr size_t kMostBack = 64;    // calls back to the one that made a mapping
constexpr size_t kMostInner = 256;  // calls inside one call that are looked at
constexpr uint64_t kStreakGapNs =
    50'000'000;  // longer than any snapshot taken between two refusals of one malloc

bool is_call(Op op) { return is_malloc_op(op) || is_memory_op(op) || is_fork_op(op); }

bool has_counters(const Event& event) {
  return event.fact(FactKey::kPidsEventsMax) || event.fact(FactKey::kMemcgFailcnt) ||
         event.fact(FactKey::kVmstatOomKill);
}

// The end of the child this wait is about, as a wait status.
std::optional<int> wait_status(const Event& event) {
  const auto& args = event.base.args;
  if (event.base.op != Op::kWaitid)
    return args[2] == ovcshim::kUnknown ? std::nullopt : std::optional(static_cast<int>(args[2]));
  const auto value = static_cast<int>(args[4]);
  if (args[3] == CLD_EXITED) return (value & 0xff) << 8;
  if (args[3] == CLD_KILLED || args[3] == CLD_DUMPED) return value & 0x7f;
  return 0x7f;  // stopped or continued
}

uint32_t waited_pid(const Event& event) {
  return static_cast<uint32_t>(
      event.base.op == Op::kWaitid ? event.base.args[5] : static_cast<uint64_t>(event.base.result));
}

CallSpan span_of(const Event& event) {
  const auto& base = event.base;
  const bool asks_only = (base.op == Op::kBrk || base.op == Op::kSbrk) && base.args[0] == 0;
  return {.begin = base.begin_tick,
          .end = base.end_tick,
          .position = event.position,
          .op = base.op,
          .failed = event.failed(),
          .inside_libc = (base.flags & ovcshim::kInsideLibc) != 0,
          .changes_mappings = is_memory_op(base.op) && !event.failed() && !asks_only};
}

// A granted mapping as smaps would show it. PROT_* have the bits of kMapRead, kMapWrite and
// kMapExec.
ovcshim::MappingEntry entry_of(const Event& mmap, const HostRules& rules) {
  const MappingKind kind = mapping_kind(mmap.base.args[2], mmap.base.args[3], rules);
  const auto start = static_cast<uint64_t>(mmap.base.result);
  uint32_t flags = static_cast<uint32_t>(mmap.base.args[2] & (PROT_READ | PROT_WRITE | PROT_EXEC));
  if (kind.shared) flags |= ovcshim::kMapShared;
  if (kind.writable && !kind.shared && !(kind.noreserve && rules.mode != kModeNever) &&
      !kind.hugetlb)
    flags |= ovcshim::kMapAc;
  if (kind.file) flags |= ovcshim::kMapFile;
  if (kind.noreserve && rules.mode != kModeNever) flags |= ovcshim::kMapNr;
  if (kind.hugetlb) flags |= ovcshim::kMapHt;
  return {start, start + mmap.base.args[1], flags, 0, 0, 0};
}

// Where a granted brk or sbrk left the break.
std::optional<uint64_t> break_after(const Event& event) {
  const auto& base = event.base;
  if (base.op == Op::kSbrk) return static_cast<uint64_t>(base.result) + base.args[0];
  if (base.op != Op::kBrk) return std::nullopt;
  return is_system_call(base) ? static_cast<uint64_t>(base.result) : base.args[0];
}

// The newest of them before `tick`; nullptr if there is none.
const Moment* newest_before(const std::vector<Moment>& moments, uint64_t tick) {
  const auto after = std::partition_point(moments.begin(), moments.end(),
                                          [=](const Moment& m) { return m.tick < tick; });
  return after == moments.begin() ? nullptr : &*std::prev(after);
}

bool is_about_mappings(uint32_t key) {
  return (key >= static_cast<uint32_t>(FactKey::kMapsCount) &&
          key <= static_cast<uint32_t>(FactKey::kSharedWritableKb)) ||
         key == static_cast<uint32_t>(FactKey::kMapsOutsideCount);
}

bool flags_known(const std::vector<ovcshim::MappingEntry>& mappings) {
  return std::all_of(mappings.begin(), mappings.end(),
                     [](const auto& m) { return (m.flags & ovcshim::kMapFlagsKnown) != 0; });
}

}  // namespace

ProcessKey key_of(const Event& event) {
  if (event.base.process == ovcshim::kNoIndex) return {ovcshim::kNoIndex, 0, event.base.pid};
  return {event.base.process, event.base.process_serial, 0};
}

bool is_refusal(const Event& event) {
  if (!event.failed() || !event.returned()) return false;
  const Op op = event.base.op;
  if (event.base.flags & (ovcshim::kInjected | ovcshim::kRehearsed)) return true;
  const bool resource = event.base.err == ENOMEM || event.base.err == EAGAIN;
  if (op == Op::kMadvise || is_exec(op) || starts_program(op))
    return resource;  // hints and searches fail as a matter of course
  if (is_lock_op(op)) return resource || event.base.err == EPERM;
  const bool full = event.base.err == ENOSPC;
  if (op == Op::kShmget) return resource || full || event.base.err == EINVAL;
  if (op == Op::kFallocate || op == Op::kPosixFallocate || op == Op::kFtruncate) return full;
  return is_call(op);
}

WhyScan::WhyScan(const LogReader& log) : log_(log), rules_(host_rules(log.header())) {
  for (const auto& process : log.processes())
    parents_[{process.index, process.slot.serial, 0}] = {process.slot.parent,
                                                         process.slot.parent_serial, 0};
  log.for_each_event([this](const Event& event) {
    take(event);
    return true;
  });
  sort_spans();
}

void WhyScan::take(const Event& event) {
  const Op op = event.base.op;
  ProcessSigns& signs = processes_[key_of(event)];
  signs.last_tick = std::max({signs.last_tick, event.base.begin_tick, event.base.end_tick});
  ++signs.events;
  if (is_refusal(event)) refused_.push_back(event.position);
  if (is_call(op)) take_call(event, signs);
  if (op == Op::kSnapshot) snapshots_[event.base.args[0]] = event.position;
  if (op == Op::kMappings) mappings_[event.base.args[0]].push_back(event.position);
  if (op == Op::kStart || op == Op::kSnapshot) take_facts(event, signs);
  if (op == Op::kAbort) signs.abort_tick = event.base.begin_tick;
  if (is_exec(op))
    signs.exec_intent = event.returned() ? std::nullopt : std::optional(event.position);
  if (is_wait(op)) take_wait(event);
}

void WhyScan::take_wait(const Event& event) {
  if (!event.returned() || event.failed() || waited_pid(event) == 0) return;
  const auto status = wait_status(event);
  if (status && !WIFEXITED(*status) && !WIFSIGNALED(*status)) return;  // stopped or continued
  reaped_.push_back({event.position, event.base.end_tick, waited_pid(event), status});
}

void WhyScan::take_call(const Event& event, ProcessSigns& signs) {
  const auto& base = event.base;
  if (!event.returned()) return;
  const CallSpan span = span_of(event);
  take_fork(event, signs);
  signs.spans[base.tid].push_back(span);
  signs.failures += event.failed();
  if (event.failed()) return;
  signs.granted_since.try_emplace(base.op, base.end_tick);
  if (const auto now = break_after(event)) signs.breaks.emplace_back(base.end_tick, *now);
  if (base.op != Op::kMmap) return;
  const MappingKind kind = mapping_kind(base.args[2], base.args[3], rules_);
  const auto charge = charge_kb(event, rules_);
  const auto most = guess_limit_kb(rules_);
  if (rules_.mode == kModeGuess && most && charge && *charge > *most) granted_over_limit_ = true;
  if (kind.noreserve && kind.writable && !kind.shared && charge == 0) {
    signs.noreserve_kb += round_to_pages_kb(base.args[1], rules_);
    ++signs.noreserve_calls;
    signs.noreserve_mode = rules_.mode;
  } else if (charge.value_or(0) != 0) {
    signs.accounted_kb += *charge;
    ++signs.accounted_calls;
  }
}

// fork() and the clone it makes inside libc are one fork; the record of fork() comes first, since
// it is written beforehand.
void WhyScan::take_fork(const Event& event, ProcessSigns& signs) {
  const Op op = event.base.op;
  const bool thread = op == Op::kPthreadCreate || op == Op::kThrdCreate ||
                      (op == Op::kClone && (event.base.args[0] & CLONE_THREAD));
  const bool hidden_child =
      starts_program(op) && op != Op::kWordexp && event.returned();  // popen does not tell its pid
  if (thread || event.failed() || (child_pid(event) == 0 && !hidden_child)) return;
  const auto& spans = signs.spans[event.base.tid];
  const CallSpan span = span_of(event);
  const bool part_of_fork = std::any_of(
      spans.rbegin(), spans.rbegin() + std::min<std::ptrdiff_t>(8, std::ssize(spans)),
      [&](const CallSpan& outer) { return is_fork_op(outer.op) && outer.may_contain(span); });
  if (part_of_fork) return;
  ++signs.forks;
  signs.last_fork = event.position;
}

void WhyScan::take_facts(const Event& event, ProcessSigns& signs) {
  if (event.base.op == Op::kStart) signs.exec_intent.reset();
  if (const auto mode = event.fact(FactKey::kOvercommitMemory);
      mode && !(rules_.foreign_files & ovcshim::kFileOvercommitMemory))
    rules_.mode = mode;
  if (event.fact(FactKey::kMapsCount))
    signs.listed.push_back({event.base.begin_tick, event.base.args[0]});
  if (!has_counters(event)) return;
  signs.baselines.push_back({event.base.begin_tick, event.position});
  const auto host = event.fact(FactKey::kVmstatOomKill), group = event.fact(FactKey::kMemcgOomKill);
  if (host || group) oom_.push_back({event.base.begin_tick, host, group, key_of(event)});
}

// Events are claimed when a call returns or, for forks, when it begins; spans are looked up by
// their begin.
void WhyScan::sort_spans() {
  for (auto& [key, signs] : processes_) std::sort(signs.breaks.begin(), signs.breaks.end());
  for (auto& [key, signs] : processes_)
    for (auto& [tid, spans] : signs.spans)
      std::stable_sort(spans.begin(), spans.end(),
                       [](const CallSpan& a, const CallSpan& b) { return a.begin < b.begin; });
}

bool CallSpan::may_contain(const CallSpan& other) const {
  if (position == other.position || inside_libc || other.begin < begin || other.end > end)
    return false;
  if (op == Op::kReallocarray && other.op == Op::kRealloc) return true;  // libc's is made of it
  return other.inside_libc || (is_malloc_op(op) && is_memory_op(other.op));
}

const std::vector<CallSpan>* WhyScan::spans_of(const Event& event) const {
  const auto process = processes_.find(key_of(event));
  if (process == processes_.end()) return nullptr;
  const auto thread = process->second.spans.find(event.base.tid);
  return thread == process->second.spans.end() ? nullptr : &thread->second;
}

std::vector<const CallSpan*> WhyScan::inside(const Event& event) const {
  std::vector<const CallSpan*> found;
  const auto* spans = spans_of(event);
  if (!spans || event.base.end_tick == 0) return found;
  CallSpan outer = span_of(event);
  auto span = std::lower_bound(spans->begin(), spans->end(), outer.begin,
                               [](const CallSpan& s, uint64_t t) { return s.begin < t; });
  // Of a small request the record begins with the last refusal inside; those right before it belong
  // to it as well.
  if (requested_bytes(event) < ovcshim::kBigRequestBytes && is_malloc_op(outer.op))
    while (span != spans->begin() && span != spans->end() &&
           continues_streak(*std::prev(span), *span))
      outer.begin = (--span)->begin;
  for (; span != spans->end() && span->begin <= outer.end && found.size() < kMostInner; ++span)
    if (outer.may_contain(*span)) found.push_back(&*span);
  return found;
}

const CallSpan* WhyScan::around(const Event& event) const {
  const auto* spans = spans_of(event);
  if (!spans) return nullptr;
  const CallSpan inner = span_of(event);
  auto span = std::upper_bound(spans->begin(), spans->end(), inner.begin,
                               [](uint64_t t, const CallSpan& s) { return t < s.begin; });
  for (size_t tries = 0; span != spans->begin() && tries < kMostInner; ++tries)
    if ((--span)->may_contain(inner)) return &*span;
  return nullptr;
}

const CallSpan* WhyScan::next_of(const Event& event) const {
  const auto* spans = spans_of(event);
  if (!spans) return nullptr;
  const auto next = std::find_if(spans->begin(), spans->end(), [&](const CallSpan& s) {
    return s.begin > event.base.begin_tick && !s.inside_libc;
  });
  return next == spans->end() ? nullptr : &*next;
}

std::optional<Event> WhyScan::snapshot_about(uint64_t position) const {
  const auto found = snapshots_.find(position);
  return found == snapshots_.end() ? std::nullopt : log_.event_at(found->second);
}

bool WhyScan::continues_streak(const CallSpan& earlier, const CallSpan& later) const {
  if (!earlier.failed || !is_memory_op(earlier.op) || later.begin < earlier.end) return false;
  return log_.ticks_to_ns(static_cast<int64_t>(later.begin - earlier.end)) <
         static_cast<int64_t>(kStreakGapNs);
}

namespace {

// What the refused call's range meets. Since the fact kMapsOutsideCount was added the shim keeps
// these however long the list is.
void add_range(Evidence& evidence, const Event& part) {
  const auto& args = evidence.event.base.args;
  if (args[0] > UINT64_MAX - args[1]) return;
  for (const auto& mapping : part.mappings)
    if (mapping.start < args[0] + args[1] && args[0] < mapping.end)
      evidence.range.push_back(mapping);
}

bool is_about_range(Op op) {
  return op == Op::kMunmap || op == Op::kMprotect || op == Op::kMadvise;
}

}  // namespace

void WhyScan::add_mappings(Evidence& evidence, uint64_t position) const {
  const auto found = mappings_.find(position);
  if (found == mappings_.end()) return;
  bool complete = false;
  for (const uint64_t part : found->second) {
    const auto record = log_.event_at(part);
    if (!record) return evidence.mappings.clear();
    add_range(evidence, *record);
    if (record->base.args[1] > evidence.mappings.size()) continue;  // behind the part that was cut
    if (record->base.args[1] != evidence.mappings.size()) return evidence.mappings.clear();
    evidence.mappings.insert(evidence.mappings.end(), record->mappings.begin(),
                             record->mappings.end());
    complete = record->base.args[3] == 1 && record->base.args[2] == evidence.mappings.size();
  }
  const auto by_start = [](const auto& a, const auto& b) { return a.start < b.start; };
  evidence.range_known = position == evidence.event.position &&
                         is_about_range(evidence.event.base.op) &&
                         evidence.fact(FactKey::kMapsOutsideCount) && flags_known(evidence.range);
  evidence.mappings_complete =
      complete && flags_known(evidence.mappings) &&
      std::is_sorted(evidence.mappings.begin(), evidence.mappings.end(), by_start);
}

// Was any memory call granted to the process in this time? Spans are sorted by their begin.
bool WhyScan::changed_between(const ProcessSigns& signs, uint64_t from_tick,
                              uint64_t to_tick) const {
  for (const auto& [tid, spans] : signs.spans) {
    auto span = std::lower_bound(spans.begin(), spans.end(), from_tick,
                                 [](const CallSpan& s, uint64_t t) { return s.begin < t; });
    for (; span != spans.end() && span->begin < to_tick; ++span)
      if (span->changes_mappings) return true;
  }
  return false;
}

bool WhyScan::changed(const Event& event, uint64_t from_tick, uint64_t to_tick) const {
  const auto process = processes_.find(key_of(event));
  return process == processes_.end() || changed_between(process->second, from_tick, to_tick);
}

// The list costs too much to be made for every failure of a storm. One made shortly before holds as
// long as every memory call since then was refused.
void WhyScan::borrow_mappings(Evidence& evidence) const {
  const auto process = processes_.find(key_of(evidence.event));
  if (process == processes_.end() || evidence.fact(FactKey::kMapsCount)) return;
  const Moment* newest = newest_before(process->second.listed, evidence.event.base.begin_tick);
  const auto earlier = newest ? log_.event_at(newest->position) : std::nullopt;
  const auto snapshot = earlier ? snapshot_about(earlier->position) : std::nullopt;
  if (const auto listed = snapshot ? snapshot->fact(FactKey::kMapsCount) : std::nullopt) {
    const uint64_t outside = snapshot->fact(FactKey::kMapsOutsideCount).value_or(1);
    evidence.count_before = *listed - std::min(*listed, outside);
  }
  if (!snapshot ||
      changed_between(process->second, earlier->base.begin_tick, evidence.event.base.begin_tick))
    return;
  add_mappings(evidence, earlier->position);
  if (!evidence.snapshot) evidence.snapshot.emplace();
  for (const auto& fact : snapshot->facts)
    if (is_about_mappings(fact.key)) evidence.snapshot->facts.push_back(fact);
}

// A thread that makes a mapping and then makes it writable (stacks, arenas) shows by its own calls
// what is there. Whatever else it did to that range in between ends the search.
std::optional<ovcshim::MappingEntry> WhyScan::made_before(const Event& event,
                                                          const HostRules& rules) const {
  const auto* spans = spans_of(event);
  const auto& args = event.base.args;
  if (!spans || event.base.op != Op::kMprotect || args[0] > UINT64_MAX - args[1])
    return std::nullopt;
  auto span = std::lower_bound(spans->begin(), spans->end(), event.base.begin_tick,
                               [](const CallSpan& s, uint64_t t) { return s.begin < t; });
  for (size_t tries = 0; span != spans->begin() && tries < kMostBack; ++tries) {
    --span;
    if (!span->changes_mappings) continue;
    const auto call = log_.event_at(span->position);
    if (!call) return std::nullopt;
    const bool makes = call->base.op == Op::kMmap;
    const uint64_t start = makes ? static_cast<uint64_t>(call->base.result) : call->base.args[0],
                   len = call->base.args[1];
    if (start > UINT64_MAX - len || start >= args[0] + args[1] || start + len <= args[0]) continue;
    const bool whole = start <= args[0] && start + len >= args[0] + args[1];
    if (!makes || !whole) return std::nullopt;
    return entry_of(*call, rules);
  }
  return std::nullopt;
}

// The break as the newest granted call before the event left it: of this process, or as a forked
// child got it.
std::optional<uint64_t> WhyScan::old_break(const Event& event) const {
  const auto process = processes_.find(key_of(event));
  if (process == processes_.end()) return std::nullopt;
  const auto& breaks = process->second.breaks;
  const auto after =
      std::lower_bound(breaks.begin(), breaks.end(), std::pair(event.base.begin_tick, uint64_t{0}));
  return after == breaks.begin() ? std::nullopt : std::optional(std::prev(after)->second);
}

// The newest counters before the event: of the process itself, else of the nearest ancestor that
// has some.
std::optional<Event> WhyScan::baseline_of(const Event& event) const {
  ProcessKey key = key_of(event);
  for (int generation = 0; generation < 8; ++generation) {
    const auto process = processes_.find(key);
    if (process != processes_.end()) {
      const Moment* newest = newest_before(process->second.baselines, event.base.begin_tick);
      if (newest) return log_.event_at(newest->position);
    }
    const auto parent = parents_.find(key);
    if (parent == parents_.end()) break;
    key = parent->second;
  }
  return std::nullopt;
}

Evidence WhyScan::alone(const Event& event) const {
  Evidence evidence;
  evidence.event = event;
  evidence.machine = static_cast<ovcshim::Machine>(log_.header().machine);
  evidence.snapshot = snapshot_about(event.position);
  add_mappings(evidence, event.position);
  evidence.baseline = baseline_of(event);
  evidence.rules = host_rules(log_.header());
  if (evidence.baseline) evidence.rules = with_facts(evidence.rules, evidence.baseline->facts);
  if (evidence.snapshot) evidence.rules = with_facts(evidence.rules, evidence.snapshot->facts);
  if (granted_over_limit_ && !evidence.rules.files_looked_at)
    doubt_memory(evidence.rules, "more than it says was granted in one call");
  if (const auto process = processes_.find(key_of(event)); process != processes_.end()) {
    const auto granted = process->second.granted_since.find(event.base.op);
    evidence.granted_before =
        granted != process->second.granted_since.end() && granted->second < event.base.begin_tick;
  }
  evidence.made_before = made_before(event, evidence.rules);
  evidence.old_break = old_break(event);
  if (event.base.end_tick > event.base.begin_tick)
    evidence.duration_ns =
        log_.ticks_to_ns(static_cast<int64_t>(event.base.end_tick - event.base.begin_tick));
  if (const auto process = log_.process(event.base.process, event.base.process_serial)) {
    evidence.comm = process->comm();
    evidence.sees_libc =
        process->slot.internals == static_cast<uint64_t>(ovcshim::InternalsState::kOn);
  }
  return evidence;
}

namespace {

// The record of a small failed allocation begins with the last refusal before it, which may have
// been somebody else's: then the allocation's caller is not on its stack. Where the stack was not
// followed, only libc's own calls are taken for part of it.
bool made_by(const Event& inner, const Event& outer) {
  if (!is_malloc_op(outer.base.op)) return true;
  if (outer.base.err != ENOMEM && outer.base.err != EAGAIN)
    return false;  // what mmap answered last may be left in errno
  if (requested_bytes(outer) >= ovcshim::kBigRequestBytes) return true;
  if (std::find(inner.frames.begin(), inner.frames.end(), outer.base.caller) != inner.frames.end())
    return true;
  const bool cut = inner.frames.size() <= 1 || (inner.base.flags & ovcshim::kStackCut);
  return cut && (inner.base.flags & ovcshim::kInsideLibc);
}

// A call and those that are part of it fail within microseconds: a snapshot of one speaks for the
// others.
// But not the list of mappings, if they were changed between the two.
void share_proof(const Evidence& from, Evidence& to, bool same_mappings) {
  if (!to.snapshot && from.snapshot) {
    to.snapshot = from.snapshot;
    to.rules = with_facts(to.rules, from.snapshot->facts);
  }
  if (same_mappings && !to.mappings_complete && from.mappings_complete) {
    to.mappings = from.mappings;
    to.mappings_complete = true;
  }
}

}  // namespace

Evidence WhyScan::evidence(const Event& event) const {
  Evidence evidence = alone(event);
  for (const CallSpan* span : inside(event))
    if (const auto inner = log_.event_at(span->position); inner && made_by(*inner, event))
      evidence.inner.push_back(alone(*inner));
  bool same = true;
  for (auto inner = evidence.inner.rbegin(); inner != evidence.inner.rend(); ++inner) {
    if (inner->event.failed()) share_proof(*inner, evidence, same);
    same &= !span_of(inner->event).changes_mappings;
  }
  same = true;
  for (auto inner = evidence.inner.rbegin(); inner != evidence.inner.rend(); ++inner) {
    share_proof(evidence, *inner, same);
    same &= !span_of(inner->event).changes_mappings;
  }
  // Last: what is borrowed is a part of a snapshot only, and must not stand in the way of a whole
  // one.
  borrow_mappings(evidence);
  for (Evidence& inner : evidence.inner) borrow_mappings(inner);
  return evidence;
}

}  // namespace ovc
