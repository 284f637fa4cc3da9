// SPDX-License-Identifier: MIT
//
// See why_scan.h.
#include "tools/verdict/why_scan.h"

#include <sched.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "tools/log/call_text.h"

namespace ovc {

using ovcshim::FactKey;

namespace {

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

// Where a granted brk or sbrk left the break.
std::optional<uint64_t> break_after(const Event& event) {
  const auto& base = event.base;
  if (base.op == Op::kSbrk) return static_cast<uint64_t>(base.result) + base.args[0];
  if (base.op != Op::kBrk) return std::nullopt;
  return is_system_call(base) ? static_cast<uint64_t>(base.result) : base.args[0];
}

}  // namespace

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
  return is_call(op) || (op == Op::kShmget && resource);
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
  if (const auto now = break_after(event)) signs.breaks.emplace_back(base.end_tick, *now);
  if (base.op != Op::kMmap) return;
  const MappingKind kind = mapping_kind(base.args[2], base.args[3], rules_);
  const auto charge = charge_kb(event, rules_);
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
  if (const auto mode = event.fact(FactKey::kOvercommitMemory)) rules_.mode = mode;
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

bool WhyScan::continues_streak(const CallSpan& earlier, const CallSpan& later) const {
  if (!earlier.failed || !is_memory_op(earlier.op) || later.begin < earlier.end) return false;
  return log_.ticks_to_ns(static_cast<int64_t>(later.begin - earlier.end)) <
         static_cast<int64_t>(kStreakGapNs);
}

}  // namespace ovc
