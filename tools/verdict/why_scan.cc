// SPDX-License-Identifier: MIT
//
// See why_scan.h.
#include "tools/verdict/why_scan.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>

#include "tools/log/call_families.h"
#include "tools/log/call_text.h"
#include "tools/rules/host_figures.h"

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
  else if (event.failed() && event.returned()) ++other_failures_[{op, event.base.err}];
  if (is_call(op)) take_call(event, signs);
  if (op == Op::kSnapshot) snapshots_[event.base.args[0]] = event.position;
  if (op == Op::kMappings) mappings_[event.base.args[0]].push_back(event.position);
  if (op == Op::kStart || op == Op::kSnapshot) take_facts(event, signs);
  if (op == Op::kStart || is_exec(op)) execs_.erase(event.base.pid);
  if (is_exec(op) && !event.returned()) execs_[event.base.pid] = event.base.begin_tick;
  ends_.note(event);
}

std::vector<OtherFailure> WhyScan::other_failures() const {
  std::vector<OtherFailure> list;
  for (const auto& [kind, count] : other_failures_)
    list.push_back({kind.first, kind.second, count});
  std::stable_sort(list.begin(), list.end(),
                   [](const auto& a, const auto& b) { return a.count > b.count; });
  return list;
}

uint64_t WhyScan::exec_tick(uint32_t pid) const {
  const auto found = execs_.find(pid);
  return found == execs_.end() ? 0 : found->second;
}

void WhyScan::take_call(const Event& event, ProcessSigns& signs) {
  const auto& base = event.base;
  if (!event.returned()) {
    ++unfinished_;
    return;
  }
  const CallSpan span = span_of(event);
  take_fork(event, signs);
  signs.spans[base.tid].push_back(span);
  signs.failures += event.failed();
  if (event.failed()) return;
  signs.granted_since.try_emplace(base.op, base.end_tick);
  if (base.op == Op::kBrk || base.op == Op::kSbrk)
    signs.breaks.emplace_back(base.end_tick, break_after(base));
  if (base.op != Op::kMmap) return;
  const MappingKind kind = mapping_kind_of(event, rules_);
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
  if (const auto mode = event.fact(FactKey::kOvercommitMemory);
      mode && !(rules_.foreign_files & ovcshim::kFileOvercommitMemory))
    rules_.mode = mode;
  if (const auto on = event.fact(FactKey::kInjectInForce)) inject_in_force_ = *on != 0;
  if (const auto on = event.fact(FactKey::kRehearseInForce)) rehearse_in_force_ = *on != 0;
  if (event.fact(FactKey::kMapsSource))  // else the sums of an earlier list
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
  const auto earlier = [](const CallSpan& a, const CallSpan& b) { return a.begin < b.begin; };
  for (auto& [key, signs] : processes_)
    for (auto& [tid, spans] : signs.spans)
      if (!std::is_sorted(spans.begin(), spans.end(), earlier))
        std::stable_sort(spans.begin(), spans.end(), earlier);
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
