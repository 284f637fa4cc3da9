// SPDX-License-Identifier: MIT
//
// The proof of a refused call, put together from its own records and from those near it: see
// why_scan.h.
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "tools/log/call_families.h"
#include "tools/log/call_text.h"
#include "tools/rules/host_figures.h"
#include "tools/verdict/why_scan.h"

namespace ovc {

using ovcshim::FactKey;

namespace {

constexpr size_t kMostBack = 64;         // calls back to the one that made a mapping
constexpr std::ptrdiff_t kMostOpen = 8;  // calls of one thread inside each other

// A granted mapping as smaps would show it. PROT_* have the bits of kMapRead, kMapWrite and
// kMapExec.
ovcshim::MappingEntry entry_of(const Event& mmap, const HostRules& rules) {
  const MappingKind kind = mapping_kind_of(mmap, rules);
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

// What stays as it is whatever the kernel grants.
bool is_setting(uint32_t key) {
  const auto within = [key](FactKey first, FactKey last) {
    return key >= static_cast<uint32_t>(first) && key <= static_cast<uint32_t>(last);
  };
  return within(FactKey::kOvercommitMemory, FactKey::kMmapMinAddr) ||
         within(FactKey::kRlimitAs, FactKey::kRlimitFsize) ||
         key == static_cast<uint32_t>(FactKey::kMemTotalKb) ||
         key == static_cast<uint32_t>(FactKey::kSwapTotalKb) ||
         key == static_cast<uint32_t>(FactKey::kUserNsIdentity);
}

// A refusal that refers to an earlier proof brings figures of its own where something was granted
// in between.
bool says_changed(const Event& event) {
  return event.fact(FactKey::kProvenBy) && event.facts.size() > 1;
}

bool flags_known(const std::vector<ovcshim::MappingEntry>& mappings) {
  return std::all_of(mappings.begin(), mappings.end(),
                     [](const auto& m) { return (m.flags & ovcshim::kMapFlagsKnown) != 0; });
}

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

std::optional<Event> WhyScan::snapshot_about(uint64_t position) const {
  const auto found = snapshots_.find(position);
  return found == snapshots_.end() ? std::nullopt : log_.event_at(found->second);
}

namespace {

// What the refused call's range meets; what mremap would grow into is part of it.
void add_range(Evidence& evidence, const Event& part) {
  const ovcshim::EventBase& call = evidence.event.base;
  const uint64_t start = call.args[0],
                 len = call.op == Op::kMremap ? std::max(call.args[1], call.args[2]) : call.args[1];
  if (start > UINT64_MAX - len) return;
  for (const auto& mapping : part.mappings)
    if (mapping.start < start + len && start < mapping.end) evidence.range.push_back(mapping);
}

// Is it in the list however long that is? Before kRangeListed the shim kept it of these calls since
// it counts what lies outside; of locks later: what is listed of it proves that it was.
bool has_range(const Evidence& evidence) {
  if (evidence.fact(FactKey::kRangeListed)) return true;
  const Op op = evidence.event.base.op;
  const bool lock = op == Op::kMlock || op == Op::kMlock2;
  return (op == Op::kMunmap || op == Op::kMprotect || op == Op::kMadvise ||
          (lock && !evidence.range.empty())) &&
         evidence.fact(FactKey::kMapsOutsideCount);
}

// One that the program has set itself may not be older than what was granted.
bool has_new_filter(const Evidence& evidence) {
  return evidence.rise(FactKey::kSeccomp).value_or(0) > 0 ||
         evidence.rise(FactKey::kSeccompFilters).value_or(0) > 0;
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
  evidence.range_known =
      position == evidence.event.position && has_range(evidence) && flags_known(evidence.range);
  evidence.mappings_complete =
      complete && flags_known(evidence.mappings) &&
      std::is_sorted(evidence.mappings.begin(), evidence.mappings.end(), by_start);
}

// What libc maps while it starts a program (a stack for the child), it gives back before it
// returns.
bool is_given_back(const std::vector<CallSpan>& spans, std::vector<CallSpan>::const_iterator span) {
  const auto first = span - std::min(kMostOpen, span - spans.begin());
  return span->inside_libc && std::any_of(first, span, [&](const CallSpan& outer) {
           return starts_program(outer.op) && outer.op != Op::kWordexp && outer.may_contain(*span);
         });
}

// Was any memory call granted to the process in this time? Spans are sorted by their begin; one
// that began before is among the last that did.
bool WhyScan::changed_between(const ProcessSigns& signs, uint64_t from_tick,
                              uint64_t to_tick) const {
  for (const auto& [tid, spans] : signs.spans) {
    auto span = std::lower_bound(spans.begin(), spans.end(), from_tick,
                                 [](const CallSpan& s, uint64_t t) { return s.begin < t; });
    for (auto open = span; open != spans.begin() && span - open < kMostOpen;)
      if ((--open)->changes_mappings && open->end > from_tick && !is_given_back(spans, open))
        return true;
    for (; span != spans.end() && span->begin < to_tick; ++span)
      if (span->changes_mappings && !is_given_back(spans, span)) return true;
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
  if (process == processes_.end() || evidence.fact(FactKey::kMapsSource)) return;
  const Moment* newest = newest_before(process->second.listed, evidence.event.base.begin_tick);
  const auto earlier = newest ? log_.event_at(newest->position) : std::nullopt;
  const auto snapshot = earlier ? snapshot_about(earlier->position) : std::nullopt;
  if (const auto listed = snapshot ? snapshot->fact(FactKey::kMapsCount) : std::nullopt) {
    const uint64_t outside = snapshot->fact(FactKey::kMapsOutsideCount).value_or(1);
    evidence.count_before = *listed - std::min(*listed, outside);
  }
  if (!snapshot || says_changed(evidence.event) ||
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

// A refusal of a storm has an earlier one's proof. What has been granted in between, by its own
// word or by the records of other threads, leaves of it what only a call of its own would change.
void WhyScan::add_proof(Evidence& evidence) const {
  const Event& event = evidence.event;
  evidence.snapshot = snapshot_about(event.position);
  const auto proven_by = evidence.fact(FactKey::kProvenBy);
  if (!proven_by) return add_mappings(evidence, event.position);
  const auto earlier = log_.event_at(*proven_by);
  evidence.snapshot = snapshot_about(*proven_by);
  if (!earlier || !evidence.snapshot || !(key_of(*earlier) == key_of(event))) {
    evidence.snapshot.reset();
    return;
  }
  evidence.baseline = baseline_of(*earlier);  // the proof's own counters are newer
  const auto process = processes_.find(key_of(event));
  // EAGAIN of a fork, and what popen and wordexp call ENOMEM, is a limit on tasks, or the shim has
  // found what it depends on unchanged.
  const bool of_tasks = ovcshim::is_fork_op(event.base.op) &&
                        (event.base.err == EAGAIN || hides_errno(event.base.op));
  const bool changed =
      says_changed(event) || process == processes_.end() ||
      (!of_tasks && changed_between(process->second, earlier->base.begin_tick,
                                    std::max(event.base.begin_tick, event.base.end_tick)));
  if (!changed) return add_mappings(evidence, *proven_by);
  auto& facts = evidence.snapshot->facts;
  std::erase_if(facts, [](const auto& fact) { return !is_setting(fact.key); });
  facts.insert(facts.end(), event.facts.begin(), event.facts.end());
}

Evidence WhyScan::alone(const Event& event) const {
  Evidence evidence;
  evidence.event = event;
  evidence.machine = static_cast<ovcshim::Machine>(log_.header().machine);
  const auto bits = log_.host(FactKey::kAddressBits);
  if (bits && *bits < 64) evidence.address_bits = *bits;
  evidence.baseline = baseline_of(event);
  add_proof(evidence);
  evidence.rules = host_rules(log_.header());
  if (evidence.baseline) evidence.rules = with_facts(evidence.rules, evidence.baseline->facts);
  if (evidence.snapshot) evidence.rules = with_facts(evidence.rules, evidence.snapshot->facts);
  if (granted_over_limit_ && !evidence.rules.files_looked_at)
    doubt_memory(evidence.rules, "more than it says was granted in one call");
  if (const auto process = processes_.find(key_of(event)); process != processes_.end()) {
    const auto granted = process->second.granted_since.find(event.base.op);
    evidence.granted_before = granted != process->second.granted_since.end() &&
                              granted->second < event.base.begin_tick && !has_new_filter(evidence);
  }
  evidence.made_before = made_before(event, evidence.rules);
  evidence.old_break = old_break(event);
  if (event.base.end_tick > event.base.begin_tick)
    evidence.duration_ns =
        log_.ticks_to_ns(static_cast<int64_t>(event.base.end_tick - event.base.begin_tick));
  if (const auto process = log_.process(event.base.process, event.base.process_serial)) {
    evidence.comm = log_.comm_at(event.base);
    evidence.sees_libc =
        ovcshim::internals_of(process->slot.internals).state == ovcshim::InternalsState::kOn;
  }
  return evidence;
}

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
