// SPDX-License-Identifier: MIT
#include "tools/replay/timeline.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "tools/log/call_families.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr uint64_t kNoTick = UINT64_MAX;

// Was libc entered through a function of the shim? Then the call beneath which this happened is
// recorded, too.
bool called_through_shim(const Event& event, const Symbols& symbols) {
  for (const uint64_t address : event.frames) {
    const ModuleInfo* module = symbols.module_at(event.base.image, address);
    if (module && module->file_name().starts_with("libovcshim")) return true;
  }
  return false;
}

}  // namespace

Timeline::Timeline(const LogReader& log, const Symbols& symbols) : log_(log), symbols_(symbols) {
  index_events();
  drop_repeated_intents();
  for (auto& [id, thread] : threads_) {
    note_fates(thread.entries);
    note_depths(thread.entries);
  }
}

void Timeline::index_events() {
  log_.for_each_event([&](const Event& event) {
    const EventBase& b = event.base;
    const bool under_shim = (b.flags & kInsideLibc) && called_through_shim(event, symbols_);
    const Fate fate = event.returned()                ? Fate::kReturned
                      : in_family(b.op, Family::kEnd) ? Fate::kNever
                                                      : Fate::kOpen;
    entries_.push_back({event.position,
                        b.begin_tick,
                        b.end_tick,
                        b.call_seq,
                        b.pid,
                        b.tid,
                        b.image,
                        b.op,
                        b.flags,
                        {0, fate},
                        under_shim,
                        false});
    return true;
  });
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const Entry& a, const Entry& b) { return a.begin_tick < b.begin_tick; });
  for (uint32_t i = 0; i < entries_.size(); ++i) {
    const Entry& e = entries_[i];
    threads_[{e.pid, e.tid}].entries.push_back(i);
    if (e.op == Op::kStart && !(e.flags & kChildSide))
      images_started_[e.pid].push_back(e.begin_tick);
  }
}

// Where the ring had passed an intent, its completion is a record of its own; a slot not yet
// overwritten may still show both.
void Timeline::drop_repeated_intents() {
  std::set<std::tuple<uint32_t, uint64_t, Op>> completed;
  for (const Entry& e : entries_)
    if (e.flags & kLateCompletion) completed.insert({e.tid, e.begin_tick, e.op});
  if (completed.empty()) return;
  for (Entry& e : entries_)
    e.dropped = e.place.fate != Fate::kReturned && completed.contains({e.tid, e.begin_tick, e.op});
}

// An exec came to a new image if the next thing known of its pid is that image's start.
void Timeline::note_fates(const std::vector<uint32_t>& entries) {
  for (size_t i = 0; i < entries.size(); ++i) {
    Entry& e = entries_[entries[i]];
    if (e.place.fate != Fate::kOpen || !in_family(e.op, Family::kExec)) continue;
    const auto& starts = images_started_[e.pid];
    const auto start = std::upper_bound(starts.begin(), starts.end(), e.begin_tick);
    if (start == starts.end()) continue;
    const bool went_on = i + 1 < entries.size() && entries_[entries[i + 1]].begin_tick < *start;
    if (!went_on) e.place.fate = Fate::kNewImage;
  }
}

void Timeline::note_depths(const std::vector<uint32_t>& entries) {
  std::vector<const Entry*> open;  // calls that enclose the present moment
  for (const uint32_t i : entries) {
    Entry& e = entries_[i];
    while (!open.empty() && open.back()->end_tick < e.begin_tick) open.pop_back();
    if (e.flags & kInsideLibc) e.place.depth = static_cast<unsigned>(open.size());
    const bool encloses = e.place.fate == Fate::kReturned && e.end_tick > e.begin_tick &&
                          !in_family(e.op, Family::kRecord);
    if (encloses && open.size() < 8) open.push_back(&e);
  }
}

void Timeline::open_calls() {
  call_threads_ = log_.call_threads();
  for (CallThread& calls : call_threads_) {
    Thread& thread = threads_[{calls.pid(), calls.tid()}];
    thread.calls = &calls;
    fetch(thread);
  }
}

void Timeline::fetch(Thread& thread) {
  thread.has_call = thread.calls->next();
  thread.key = std::max(thread.calls->mark(), thread.floor);
}

// The event that this thread recorded before its next call, if it is still to be shown.
const Timeline::Entry* Timeline::pending_before_call(const Thread& thread) const {
  if (thread.next >= thread.entries.size()) return nullptr;
  const Entry& e = entries_[thread.entries[thread.next]];
  const Call& call = thread.calls->call();
  const bool earlier = e.call_seq <= call.seq && e.image == call.image &&
                       (call.latest_tick == 0 || e.begin_tick <= call.latest_tick);
  return earlier ? &e : nullptr;
}

bool Timeline::show_call(Thread& thread, uint64_t tick, const EachCall& on_call) {
  const Call& call = thread.calls->call();
  thread.last_seq = call.seq;
  const bool go_on = on_call(call, tick);
  fetch(thread);
  return go_on;
}

// This thread's calls as long as none of another thread, and no event, comes first.
bool Timeline::show_calls(Thread& thread, uint64_t until, const EachCall& on_call) {
  while (thread.has_call && thread.key <= until) {
    if (const Entry* event = pending_before_call(thread)) {
      thread.key = std::max(thread.key, event->begin_tick);
      return true;
    }
    if (!show_call(thread, thread.key, on_call)) return false;
  }
  return true;
}

bool Timeline::show_event(Entry& entry, const EachEvent& on_event, const EachCall* on_call) {
  Thread& thread = threads_[{entry.pid, entry.tid}];
  ++thread.next;
  thread.floor = std::max(entry.begin_tick, entry.end_tick);
  if (entry.dropped) return true;
  if (on_call && entry.under_shim && entry.place.depth == 0) {
    // The small malloc around it was recorded when it returned, with the number that this event was
    // given.
    if (thread.has_call && thread.calls->call().seq == entry.call_seq &&
        thread.calls->call().image == entry.image && !show_call(thread, entry.begin_tick, *on_call))
      return false;
    if (thread.last_seq == entry.call_seq) entry.place.depth = 1;
  }
  const std::optional<Event> event = log_.event_at(entry.position);
  return !event || on_event(*event, entry.place);
}

void Timeline::walk(const EachEvent& on_event, const EachCall& on_call) {
  if (on_call) open_calls();
  std::priority_queue<QueueItem, std::vector<QueueItem>, std::greater<>> queue;
  for (auto& [id, thread] : threads_)
    if (thread.has_call) queue.emplace(thread.key, &thread);
  for (size_t next = 0; next < entries_.size() || !queue.empty();) {
    const uint64_t event_tick = next < entries_.size() ? entries_[next].begin_tick : kNoTick;
    if (queue.empty() || (event_tick != kNoTick && event_tick <= queue.top().first)) {
      if (!show_event(entries_[next++], on_event, on_call ? &on_call : nullptr)) return;
      continue;
    }
    Thread& thread = *queue.top().second;
    queue.pop();
    const uint64_t other = queue.empty() ? kNoTick : queue.top().first;
    thread.key = std::max({thread.key, thread.calls->mark(), thread.floor});
    if (!show_calls(thread, std::min(other, event_tick), on_call)) return;
    if (thread.has_call) queue.emplace(thread.key, &thread);
  }
}

}  // namespace ovc
