// SPDX-License-Identifier: MIT
//
// See lane_scenarios.h.
#include "tests/trust/model/lane_scenarios.h"

#include <fmt/format.h>
#include <algorithm>

#include "tests/trust/model/subject.h"
#include "tests/unit/shim_fixture.h"

namespace model {

using namespace ovcshim;

Story story;

namespace {

// ---- the event lane ----

// Every field and frame follows from the writer and n.
Record event_of(uint32_t tid, uint64_t n, const uint64_t* frames, uint16_t count) {
  Record record{};
  record.base.op = Op::kMunmap;
  record.base.tid = tid;
  record.base.begin_tick = record.base.end_tick = 1 + n;
  for (uint64_t& arg : record.base.args) arg = uint64_t{tid} << 32 | n;
  record.base.result = static_cast<int64_t>(uint64_t{tid} << 32 | n);
  record.base.frames = count;
  record.frames = frames;
  return record;
}

bool is_whole(const ovc::Event& event) {
  const uint64_t id = event.base.args[0];
  bool whole = id >> 32 == event.base.tid && event.base.begin_tick == 1 + (id & 0xffffffff);
  for (const uint64_t arg : event.base.args) whole = whole && arg == id;
  for (const uint64_t frame : event.frames) whole = whole && frame == id;
  if (event.returned())
    whole = whole && event.base.result == static_cast<int64_t>(id) && event.base.end_tick != 0;
  return whole && event.base.op == Op::kMunmap;
}

void write_events(uint32_t tid, uint64_t first, uint64_t count, uint16_t frames_each) {
  uint64_t frames[40];
  for (uint64_t n = first; n < first + count; ++n) {
    for (uint64_t& frame : frames) frame = uint64_t{tid} << 32 | n;
    const uint64_t position = write_event(event_of(tid, n, frames, frames_each));
    if (position == kUnknown) ++story.refused;
    else story.positions.push_back(position), ++story.written[tid];
  }
}

void read_events(const ovc::LogReader& log, std::map<uint64_t, uint64_t>* found) {
  std::map<uint32_t, uint64_t> last;
  log.for_each_event([&](const ovc::Event& event) {
    if (event.position & kVitalBit) return true;
    if (!is_whole(event))
      story.read = fmt::format("a torn event is accepted at {}", event.position);
    const uint64_t n = event.base.args[0] & 0xffffffff;
    if (last.count(event.base.tid) && last[event.base.tid] >= n + 1)
      story.read = "events of one thread out of order";
    last[event.base.tid] = n + 1;
    if (found) ++(*found)[event.position];
    return true;
  });
}

std::string judge_events(const ovc::LogReader& log) {
  std::map<uint64_t, uint64_t> found;
  read_events(log, &found);
  if (!story.read.empty()) return story.read;
  const uint64_t end = log.lane_end().events, start = end > kSlots ? end - kSlots : 0;
  for (const uint64_t position : story.positions) {
    // A record whose first slot the wrap has claimed is overwritten, or about to be.
    if (position >= start && !found.count(position))
      return fmt::format("the event at {} is lost, and the lane still holds it", position);
    if (std::count(story.positions.begin(), story.positions.end(), position) > 1)
      return "one position given twice";
  }
  const ovc::Losses losses = log.losses();
  if (losses.events_lost_busy + losses.events_lost_lapped < story.refused)
    return "an event is lost, and not counted";
  return "";
}

// An intent, written before and completed after, while others wrap the ring.
void intent(uint32_t tid) {
  Record record = event_of(tid, 1, nullptr, 0);
  Record open = record;
  open.base.flags = kIntent;
  open.base.end_tick = 0;
  open.base.result = 0;
  const uint64_t position = write_event(open);
  if (position == kUnknown) return;
  complete_event(position, record.base);
}

// ---- the call lane ----

uint64_t address_of(uint32_t tid, uint64_t n) { return uint64_t{tid} << 24 | n << 4; }

void record_calls(uint32_t tid, uint64_t first, uint64_t count) {
  for (uint64_t n = first; n < first + count; ++n) {
    record_malloc(address_of(tid, n), n, address_of(tid, n));
    ++story.written[tid];
  }
}

void take_hot(uint32_t tid) { t_hot = &g_private->hots[tid - kA]; }

// Before the fibers run: `tid` has filled its chunk but for `left` places.
uint64_t fill_chunk(uint32_t tid, uint64_t left) {
  take_hot(tid);
  const uint64_t calls =
      kChunkBytes / kCallRecordBytes - kChunkHeaderBytes / kCallRecordBytes - 15 - left;
  record_calls(tid, 0, calls);
  t_hot = &g_no_hot;
  return calls;
}

void read_calls(const ovc::LogReader& log, std::map<uint32_t, uint64_t>* found) {
  std::map<uint32_t, uint64_t> next;
  log.for_each_call([&](const ovc::Call& call) {
    const uint64_t n = call.size;
    if (call.address != address_of(call.tid, n) || call.caller != call.address ||
        call.op != Op::kMalloc || call.seq != n)
      story.read = fmt::format("a torn call is accepted: thread {}, number {}, address {:#x}",
                               call.tid, n, call.address);
    if (next.count(call.tid) && n < next[call.tid]) story.read = "calls of one thread out of order";
    next[call.tid] = n + 1;
    if (found) ++(*found)[call.tid];
    return true;
  });
}

std::string judge_calls(const ovc::LogReader& log, const std::map<uint32_t, uint64_t>& before) {
  std::map<uint32_t, uint64_t> found;
  read_calls(log, &found);
  if (!story.read.empty()) return story.read;
  uint64_t made = 0, there = 0, deaths = 0, unkept = 0;
  for (const auto& [tid, n] : before) {
    made += n + story.written[tid];
    there += found[tid];
    deaths += has_died(tid);
    unkept += reinterpret_cast<Stripe*>(g.stripes + (tid - kA + 1) * kStripeBytes)->calls_not_kept;
  }
  const ovc::Losses losses = log.losses();
  const uint64_t kept = there + losses.calls_overwritten + unkept + losses.calls_lost_nested;
  // A killed writer's last call may be there or not. One that dies while it clears a chunk may have
  // counted, and the next one again.
  if (kept + deaths < made) return fmt::format("{} calls made, {} there or counted", made, kept);
  if (deaths == 0 && kept > made)
    return fmt::format("{} calls made, {} there or counted, and nobody died", made, kept);
  return "";
}

}  // namespace

std::vector<Scenario> lane_scenarios(const ovc::LogReader& log) {
  const auto reader_of_events = Fiber{kReader, false, [&log] { read_events(log, nullptr); }};
  const auto reader_of_calls = Fiber{kReader, false, [&log] { read_calls(log, nullptr); }};
  const auto events = [](uint32_t tid, uint64_t count, uint16_t frames) {
    return Fiber{tid, true, [=] { write_events(tid, 10, count, frames); }};
  };
  const auto calls = [](uint32_t tid, uint64_t first, uint64_t count) {
    return Fiber{tid, true, [=] {
                   take_hot(tid);
                   record_calls(tid, first, count);
                 }};
  };
  static std::map<uint32_t, uint64_t> before;  // calls made when the fibers start
  const auto nothing = [] {};
  const auto full = [](std::vector<uint32_t> tids) {
    return [tids] {
      before.clear();
      for (const uint32_t tid : tids) before[tid] = fill_chunk(tid, 1);
    };
  };
  const uint64_t first =
      kChunkBytes / kCallRecordBytes - kChunkHeaderBytes / kCallRecordBytes - 15 - 1;
  const auto judge_e = [&log] { return judge_events(log); };
  const auto judge_c = [&log] { return judge_calls(log, before); };
  return {
      {"two writers of one-slot events", nothing, {events(kA, 2, 2), events(kB, 2, 2)}, judge_e},
      {"two writers of two-slot events wrap the ring",
       nothing,
       {events(kA, 2, 20), events(kB, 2, 20)},
       judge_e},
      {"a reader while two writers wrap the ring",
       [] { write_events(kC, 0, 4, 2); },
       {events(kA, 2, 20), events(kB, 1, 2), reader_of_events},
       judge_e},
      {"a completion, a wrap and a reader",
       nothing,
       {Fiber{kA, true, [] { intent(kA); }}, events(kB, 3, 20), reader_of_events},
       judge_e},
      {"two threads leave full chunks",
       full({kA, kB}),
       {calls(kA, first, 3), calls(kB, first, 3)},
       judge_c},
      {"three threads want the chunks that there are",
       full({kA, kB, kC}),
       {calls(kA, first, 3), calls(kB, first, 3), calls(kC, first, 3)},
       judge_c},
      {"a reader while chunks change hands",
       full({kA, kB, kC}),
       {calls(kA, first, 3), calls(kB, first, 3), reader_of_calls},
       judge_c},
  };
}

}  // namespace model
