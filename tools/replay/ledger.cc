// SPDX-License-Identifier: MIT
#include "tools/replay/ledger.h"

#include <algorithm>

#include "tools/log/call_families.h"
#include "tools/log/kernel_numbers.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr unsigned kDeepestFork = 64;

// Two threads may hand the same addresses to each other while their calls overlap. A range is free
// when munmap's work is done, at the earliest when it begins; a mapping is there at the latest when
// its call ends. Ordered so, a call that needs another's result comes behind it.
uint64_t order_of(const Event& event) {
  return event.base.op == Op::kMunmap ? event.base.begin_tick : event.base.end_tick;
}

}  // namespace

Ledger::Ledger(const LogReader& log) : log_(log), rules_(host_rules(log.header())) {
  if (rules_.mode) modes_.emplace_back(log.header().created.tick, *rules_.mode);
  log.for_each_event([this](const Event& event) {
    take(event);
    return true;
  });
  for (const auto& [key, list] : lists_)
    if (list.complete && list.listed == list.total) list_at_[list.parts.back()] = key;
  for (auto& [key, entries] : entries_) sort(entries);
  std::sort(modes_.begin(), modes_.end());
  for (const auto& mode : modes_)
    mode_changed_ = mode_changed_ || mode.second != modes_.front().second;
  collect_processes();
}

void Ledger::take(const Event& event) {
  const EventBase& b = event.base;
  if (const auto mode = event.fact(FactKey::kOvercommitMemory))
    modes_.emplace_back(b.begin_tick, *mode);
  if (b.process == kNoIndex) {
    foreign_calls_ += is_memory_op(b.op) && !event.failed();
    return;
  }
  if (b.op == Op::kMappings) take_list(event);
  Kind kind = Kind::kOther;
  if (is_memory_op(b.op) && event.returned()) kind = Kind::kCall;
  if (b.op == Op::kMappings && b.args[3] == 1) kind = Kind::kList;
  if (b.op == Op::kStart && !(b.flags & kChildSide)) kind = Kind::kImage;
  if (b.op == Op::kEnd) kind = Kind::kEnd;
  if (b.op == Op::kModule) kind = Kind::kModules;
  const bool read = b.before.vm_size_pages != kUnknown && b.before.age_ns != kUnknown &&
                    b.before.vm_size_pages != 0;
  if (kind == Kind::kOther && !read) return;
  const double slack =
      static_cast<double>(b.before.age_ns) * 1.02 +
      1000;  // the shim knows its clock's rate to about 1 %, begin_tick is read a moment later
  constexpr double kLongest = 9e18;  // ticks
  const uint64_t age =
      read ? static_cast<uint64_t>(std::min(slack / log_.ns_per_tick(), kLongest)) : kUnknown;
  const uint64_t key = kind == Kind::kCall   ? order_of(event)
                       : kind == Kind::kList ? b.end_tick
                                             : b.begin_tick;
  auto& entries = entries_[{b.process, b.process_serial}];
  if (AddressSpace::gives_back(event))
    entries.push_back({b.begin_tick, b.begin_tick, b.end_tick, event.position, Kind::kLeave,
                       b.image, kUnknown, kUnknown, kUnknown, 0});
  entries.push_back({key, b.begin_tick, b.end_tick, event.position, kind, b.image, age,
                     read ? b.before.vm_size_pages : kUnknown, b.before.data_pages, 0});
}

void Ledger::take_list(const Event& event) {
  const EventBase& b = event.base;
  List& list = lists_[{b.args[0], b.begin_tick}];
  if (b.args[1] != list.listed) return;  // a part before it is gone
  list.parts.push_back(event.position);
  list.listed += event.mappings.size();
  list.total = b.args[2];
  list.complete = b.args[3] == 1;
}

void Ledger::sort(std::vector<Entry>& entries) const {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.key < b.key; });
  uint64_t earliest = UINT64_MAX;
  for (auto it = entries.rbegin(); it != entries.rend(); ++it) {
    if (it->kind == Kind::kCall) earliest = std::min(earliest, it->begin);
    it->calls_from_here = earliest;
  }
}

void Ledger::collect_processes() {
  for (const auto& [key, entries] : entries_) {
    LedgerProcess p;
    p.index = key.first, p.serial = key.second;
    const auto first = log_.event_at(entries.front().position);
    if (first) p.pid = first->base.pid;
    p.first_tick = entries.front().begin;
    if (const auto slot = log_.process(p.index, p.serial)) {
      p.comm = slot->comm(), p.exe = slot->exe();
      p.end_tick = slot->slot.end_tick, p.first_tick = slot->slot.start_tick;
    }
    processes_.push_back(p);
  }
  std::stable_sort(processes_.begin(), processes_.end(),
                   [](const auto& a, const auto& b) { return a.first_tick < b.first_tick; });
}

// What was read before and after a moment; if that differs, either may have held.
std::optional<uint64_t> Ledger::mode_at(uint64_t tick) const {
  const auto after = std::upper_bound(modes_.begin(), modes_.end(), std::pair(tick, UINT64_MAX));
  if (after == modes_.begin())
    return after == modes_.end() ? std::nullopt : std::optional(after->second);
  const uint64_t before = std::prev(after)->second;
  return after == modes_.end() || after->second == before ? std::optional(before) : std::nullopt;
}

LedgerState Ledger::at(const LedgerProcess& process, uint64_t tick) const {
  LedgerState state = replay(process, tick, 0);
  state.calls_missing = state.calls_missing || state.base_tick < log_.events_complete_from();
  return state;
}

size_t Ledger::lists_of(const LedgerProcess& process) const {
  const auto& entries = entries_.at({process.index, process.serial});
  return static_cast<size_t>(std::count_if(entries.begin(), entries.end(),
                                           [](const Entry& e) { return e.kind == Kind::kList; }));
}

void Ledger::at_each(const LedgerProcess& process, const std::vector<uint64_t>& ticks,
                     const std::function<void(size_t, const LedgerState&)>& each) const {
  if (ticks.empty()) return;
  const uint64_t complete_from = log_.events_complete_from();
  LedgerState state = begin(process, ticks.front(), 0);
  const bool parent_incomplete = state.calls_missing;
  size_t next = 0;
  const auto show = [&] {
    state.calls_missing =
        (state.base == LedgerBase::kFork && parent_incomplete) || state.base_tick < complete_from;
    each(next++, state);
  };
  const std::vector<Entry>& entries = entries_.at({process.index, process.serial});
  for (const Entry& entry : entries) {
    while (next < ticks.size() && entry.key > ticks[next]) show();
    if (next == ticks.size()) return;
    step(state, entry, entries);
  }
  while (next < ticks.size()) show();
}

void Ledger::for_each_call(
    const LedgerProcess& process,
    const std::function<void(uint64_t, const SpaceTotals&, const SpaceTotals&)>& each) const {
  const std::vector<Entry>& entries = entries_.at({process.index, process.serial});
  LedgerState state = begin(process, UINT64_MAX, 0);
  std::map<uint64_t, SpaceTotals> left;  // before the call, by its position
  for (const Entry& entry : entries) {
    const bool concerns = entry.kind == Kind::kCall || entry.kind == Kind::kLeave;
    const auto event = concerns ? log_.event_at(entry.position) : std::nullopt;
    if (!event || event->failed()) {
      step(state, entry, entries);
      continue;
    }
    const AddressSpace::Ranges reach = state.space.reach(*event);
    SpaceTotals before = state.space.totals_in(reach);
    step(state, entry, entries);
    if (entry.kind == Kind::kLeave) {
      left[entry.position] = before;
      continue;
    }
    if (const auto known = left.extract(entry.position)) before = known.mapped();
    each(entry.position, before, state.space.totals_in(reach));
  }
}

// A forked child begins with its parent's memory.
LedgerState Ledger::begin(const LedgerProcess& process, uint64_t tick, unsigned depth) const {
  LedgerState state(rules_);
  const auto slot = log_.process(process.index, process.serial);
  if (!slot || slot->slot.fork_position == kUnknown || depth > kDeepestFork) return state;
  const auto fork = log_.event_at(slot->slot.fork_position);
  if (!fork || !is_fork_op(fork->base.op) || fork->base.begin_tick > tick) return state;
  for (const LedgerProcess& parent : processes_) {
    if (parent.index != fork->base.process || parent.serial != fork->base.process_serial) continue;
    if (parent.index == process.index && parent.serial == process.serial) return state;
    const LedgerState before = replay(parent, fork->base.begin_tick, depth + 1);
    if (before.base == LedgerBase::kNone) return state;
    state.space = before.space.forked();
    state.base = LedgerBase::kFork;
    state.base_tick = state.last_tick = fork->base.begin_tick;
    state.modules_tick = before.modules_tick;
    state.image = before.image;
    state.calls_missing = before.base_tick < log_.events_complete_from();
  }
  return state;
}

LedgerState Ledger::replay(const LedgerProcess& process, uint64_t tick, unsigned depth) const {
  LedgerState state = begin(process, tick, depth);
  const std::vector<Entry>& entries = entries_.at({process.index, process.serial});
  for (const Entry& entry : entries)
    if (entry.begin <= tick && entry.end <= tick) step(state, entry, entries);
  return state;
}

void Ledger::step(LedgerState& state, const Entry& entry, const std::vector<Entry>& entries) const {
  check_size(state, entry);
  if (entry.kind == Kind::kList) return apply_list(state, entry, entries);
  if (entry.kind == Kind::kEnd) return apply_end(state, entry);
  if (entry.kind == Kind::kModules && state.base != LedgerBase::kNone &&
      entry.image != state.image && !state.modules_tick)
    state.modules_tick = entry.begin;
  if (entry.kind == Kind::kImage) {
    state = LedgerState(rules_);
    state.last_tick = entry.begin;
    const auto start = log_.event_at(entry.position);
    state.space.set_data_limited(!start || start->fact(FactKey::kRlimitData) != kInfinite);
    if (start) state.space.set_heap_start(start->fact(FactKey::kStartBrk));
  }
  if (entry.kind != Kind::kCall && entry.kind != Kind::kLeave) return;
  const auto event = log_.event_at(entry.position);
  if (!event) return;
  if (entry.kind == Kind::kLeave) return state.space.leave(*event);
  state.space.set_mode(mode_at(entry.begin));
  if (entry.begin < state.listed_until) state.space.reapply(*event);
  else state.space.apply(*event);
  state.stack_followed = false;
  state.last_tick = std::max(state.last_tick, entry.end);
  ++state.calls, ++state.image_calls;
}

std::optional<PartedList> Ledger::read_list(const List& list) const {
  PartedList all;
  for (const uint64_t position : list.parts) {
    const auto part = log_.event_at(position);
    if (!part || part->base.args[1] != all.entries.size()) return std::nullopt;
    const uint64_t from = std::max(part->base.args[4], part->base.begin_tick);
    all.parts.push_back({all.entries.size(), from, part->base.end_tick});
    all.entries.insert(all.entries.end(), part->mappings.begin(), part->mappings.end());
  }
  const auto known = [](const MappingEntry& m) {
    return (m.flags & kMapFlagsKnown) || m.start >= kKernelHalf;
  };
  if (all.entries.size() != list.total ||
      !std::all_of(all.entries.begin(), all.entries.end(), known) || !in_order(all.entries))
    return std::nullopt;
  return all;
}

CallsMeanwhile Ledger::calls_during(const Entry& list, const std::vector<Entry>& entries) const {
  CallsMeanwhile found;
  for (const Entry& e : entries) {
    const bool leaves = e.kind == Kind::kLeave;
    if ((e.kind != Kind::kCall && !leaves) || e.begin >= list.end || e.end <= list.begin) continue;
    if (&e > &list) {
      found.later = true;
      break;
    }
    if (auto event = log_.event_at(e.position))
      found.before.push_back({std::move(*event), mode_at(e.begin), leaves});
  }
  return found;
}

// What the replay had come to is compared with the list: both of one moment.
void Ledger::compare(LedgerState& state, const Entry& entry, Bounds thought) const {
  const Bounds charged = state.space.totals().charged;
  ListCheck check{entry.begin, entry.end, charged.low, thought};
  check.ledger.low -= std::min(check.ledger.low, state.stack_grown_kb);
  check.ledger.high -= std::min(check.ledger.high, state.stack_grown_kb);
  state.stack_grown_kb = 0;
  if (state.base == LedgerBase::kNone) check.ledger = charged;
  state.lists.push_back(check);
}

void Ledger::apply_list(LedgerState& state, const Entry& entry,
                        const std::vector<Entry>& entries) const {
  const auto key = list_at_.find(entry.position);
  const auto list = key == list_at_.end() ? std::nullopt : read_list(lists_.at(key->second));
  // One that was read beside another tells nothing more.
  if (!list || entry.begin < state.listed_until) return void(++state.lists_unusable);
  const auto about = log_.event_at(key->second.first);
  const bool image_start = about && about->base.op == Op::kStart && !about->base.args[0];
  const CallsMeanwhile calls = calls_during(entry, entries);
  const Bounds thought = state.space.totals().charged;
  take_over(state.space, *list, image_start, calls);
  // A call that may be in it and comes again would count twice.
  if (!calls.later && state.space.totals().charged.exact()) compare(state, entry, thought);
  state.base = image_start ? LedgerBase::kImageStart : LedgerBase::kList;
  state.base_tick = entry.begin;
  state.image = entry.image;
  state.last_tick = std::max(state.last_tick, entry.end);
  state.listed_until = entry.end;
  state.calls = static_cast<uint64_t>(std::count_if(calls.before.begin(), calls.before.end(),
                                                    [](const auto& call) { return !call.leaves; }));
  state.calls_missing = false;
  state.modules_tick.reset();
  state.size.reset();
  state.stack_followed = true;
}

// The end's own figures: how far the stack came, and the size of all.
void Ledger::apply_end(LedgerState& state, const Entry& entry) const {
  const auto event = log_.event_at(entry.position);
  if (!event || state.base == LedgerBase::kNone) return;
  const auto stack = event->fact(FactKey::kVmStkKb), size = event->fact(FactKey::kVmSizeKb);
  const uint64_t before = state.space.totals().charged.low;
  if (!stack || !state.space.set_stack_kb(*stack)) return;
  const uint64_t after = state.space.totals().charged.low;
  if (after > before) state.stack_grown_kb += after - before;
  state.stack_followed = true;
  if (size && entry.calls_from_here >= entry.begin)
    state.size = SizeCheck{entry.begin, *size, state.space.totals().size};
}

// Only while no call was under way between the reading and the event that carries it.
void Ledger::check_size(LedgerState& state, const Entry& entry) const {
  if (entry.vm_pages == kUnknown || state.base == LedgerBase::kNone ||
      entry.calls_from_here < entry.begin)
    return;
  if (entry.age_ticks > entry.begin || state.last_tick >= entry.begin - entry.age_ticks) return;
  const SpaceTotals t = state.space.totals();
  state.size = SizeCheck{entry.begin, entry.vm_pages * rules_.page_kb, t.size};
  if (entry.data_pages == kUnknown) return;
  state.size->kernel_data_kb = entry.data_pages * rules_.page_kb;
  state.size->ledger_data_kb = t.data;
}

bool LedgerState::exact() const {
  const SpaceTotals t = space.totals();
  return base != LedgerBase::kNone && !calls_missing && !modules_tick &&
         (!size || size->agrees()) && t.charged.exact() && space.contradictions() == 0 &&
         space.unclear_failures() == 0;
}

std::optional<double> Coverage::percent() const {
  if (kernel_kb <= 0 || low_kb != high_kb) return std::nullopt;
  return 100.0 * static_cast<double>(low_kb) / static_cast<double>(kernel_kb);
}

std::optional<Coverage> coverage(const LedgerState& state) {
  if (state.lists.size() < 2) return std::nullopt;
  const ListCheck &first = state.lists.front(), &last = state.lists.back();
  Coverage c{first.tick, first.end_tick,
             last.tick,  static_cast<int64_t>(last.kernel_kb - first.kernel_kb),
             0,          0};
  for (size_t i = 1; i < state.lists.size(); ++i) {
    const auto before = static_cast<int64_t>(state.lists[i - 1].kernel_kb);
    c.low_kb += static_cast<int64_t>(state.lists[i].ledger.low) - before;
    c.high_kb += static_cast<int64_t>(state.lists[i].ledger.high) - before;
  }
  return c;
}

}  // namespace ovc
