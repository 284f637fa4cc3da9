// SPDX-License-Identifier: MIT
//
// model_check [--preemptions N] [--kills N] [--executions N] [--late] [--self-test]
// Scenarios of the log's protocol on lanes of a few slots and chunks. What must hold in every
// order, also when a writer is killed at any of its steps: a reader never accepts a record that is
// not one that was written, and each writer's in order; a record is there, was overwritten by the
// wrap, or is counted as lost; nobody writes into, or takes, a chunk of a thread that lives; nobody
// waits.
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>

#include "tests/trust/model/growth_scenarios.h"
#include "tests/trust/model/memory_scenarios.h"
#include "tests/trust/model/readings_scenarios.h"
#include "tests/trust/model/scheduler.h"
#include "tests/trust/model/subject.h"
#include "tests/unit/shim_fixture.h"
#include "tools/log/log_reader.h"

namespace {

using namespace ovcshim;
using namespace model;

constexpr uint64_t kSlots = 5, kChunks = 3;

// What the writers of one execution say they did.
struct Story {
  std::map<uint32_t, uint64_t> written;  // by writer: calls returned
  std::vector<uint64_t> positions;       // of events written, in any order
  uint64_t refused = 0;                  // write_event gave none
  std::string read;                      // what a reader found wrong
} story;

// The tiny log: one file for all executions, put back by its bytes.
class Stage {
 public:
  Stage() : shim_(64 << 10, 64 << 10) {
    FileHeader& header = *g.header;
    header.events.bytes = kSlots * kSlotBytes;
    header.calls.bytes = kChunks * kChunkBytes;
    header.clock = static_cast<uint32_t>(Clock::kMonotonicNs);
    g.use_tsc = true;  // no system call for the time
    g.events.count = kSlots;
    g.chunk_count = kChunks;
    header.event_cursor = 0;
    std::memset(static_cast<void*>(g.events.slots), 0, 48 << 10);
    shrink_growth(header);
    shrink_readings(header);
    shrink_memory(header);
    for (uint32_t i = 0; i < 3; ++i) {
      Hot& hot = g_private->hots[i];
      hot.tid = kA + i;
      hot.stripe = reinterpret_cast<Stripe*>(g.stripes + (i + 1) * kStripeBytes);
      hot.stripe->process = g_private->slot;
      hot.stripe->process_serial = g_private->serial;
      hot.stripe->fold_id = 100 + i;
    }
    reader_ = std::make_unique<ovc::LogReader>(shim_.path);
    watch(g.header, g.mapped_bytes);
    watch_readers_mapping();
  }
  struct State {
    std::vector<std::vector<unsigned char>> bytes;
    Story story;
    GrowthStory growth_story;
  };
  State state() const {
    State now{{}, story, growth_story};
    for (const auto& [start, bytes] : parts()) now.bytes.emplace_back(start, start + bytes);
    return now;
  }
  void set(const State& state) const {
    size_t i = 0;
    for (const auto& [start, bytes] : parts()) std::memcpy(start, state.bytes[i++].data(), bytes);
    story = state.story;
    growth_story = state.growth_story;
  }
  const ovc::LogReader& reader() const { return *reader_; }

 private:
  std::vector<std::pair<unsigned char*, uint64_t>> parts() const {
    return {
        {reinterpret_cast<unsigned char*>(g.header), kHeaderBytes},
        {g.stripes, 8 * kStripeBytes},
        {reinterpret_cast<unsigned char*>(g.events.slots), kSlots * kSlotBytes},
        {g.chunks, kChunks * kChunkBytes},
        {reinterpret_cast<unsigned char*>(g_private->hots), 4 * sizeof(Hot)},
        {reinterpret_cast<unsigned char*>(g.growth.header), sizeof(GrowthHeader)},
        {reinterpret_cast<unsigned char*>(g.growth.spaces + g_private->slot), sizeof(ProcessSpace)},
        {reinterpret_cast<unsigned char*>(g.growth.index), 4096},
        {reinterpret_cast<unsigned char*>(g.readings.header), small_readings_bytes()},
        {reinterpret_cast<unsigned char*>(g.memory.units), small_memory_bytes()},
        {reinterpret_cast<unsigned char*>(g_private->contexts), sizeof g_private->contexts},
        {reinterpret_cast<unsigned char*>(&g_private->unit_page), sizeof g_private->unit_page},
        {reinterpret_cast<unsigned char*>(g_private->leaves), sizeof g_private->leaves}};
  }
  void watch_readers_mapping() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      uint64_t from = 0, to = 0;
      if (line.find(shim_.path) == std::string::npos ||
          std::sscanf(line.c_str(), "%lx-%lx", &from, &to) != 2)
        continue;
      if (from != reinterpret_cast<uint64_t>(g.header))
        watch(reinterpret_cast<void*>(from), to - from);
    }
  }
  ShimLog shim_;
  std::unique_ptr<ovc::LogReader> reader_;
};

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

std::vector<Scenario> scenarios(const ovc::LogReader& log) {
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

Result run(const Stage& stage, const Stage::State& fresh, const Scenario& scenario, Bounds bounds,
           Break broken) {
  stage.set(fresh);
  scenario.prepare();
  story.written.clear();
  const Stage::State begin = stage.state();
  const Result result = (stores_come_late ? explore_each_late : explore)(
      [&] { stage.set(begin); }, scenario.fibers, scenario.judge, bounds, broken);
  stage.set(fresh);
  return result;
}

int check_all(const Stage& stage, Bounds bounds) {
  const Stage::State fresh = stage.state();
  uint64_t executions = 0, points = 0;
  int status = 0;
  std::vector<Scenario> all = scenarios(stage.reader());
  for (Scenario& scenario : growth_scenarios(stage.reader())) all.push_back(std::move(scenario));
  for (Scenario& scenario : readings_scenarios(stage.reader())) all.push_back(std::move(scenario));
  for (Scenario& scenario : memory_scenarios(stage.reader())) all.push_back(std::move(scenario));
  for (const Scenario& scenario : all) {
    const Result result = run(stage, fresh, scenario, bounds, Break::kNothing);
    executions += result.executions, points += result.points;
    const bool good = result.violation.empty();
    std::cout << fmt::format("{}: {}: {} orders{}, {} steps {}", good ? "ok" : "VIOLATED",
                             scenario.name, result.executions, result.complete ? "" : " (not all)",
                             result.points, result.violation)
              << std::endl;
    status |= !good;
  }
  std::cout << fmt::format("{} orders, {} steps; in each at most {} preemptions and {} kills\n",
                           executions, points, bounds.preemptions, bounds.kills);
  return status;
}

struct BrokenStep {
  Break broken;
  const char* name;
};

// Every broken step has to be noticed by one of these scenarios.
int notice_all(const Stage& stage, Bounds bounds, const std::vector<Scenario>& by,
               const std::vector<BrokenStep>& breaks) {
  const Stage::State fresh = stage.state();
  int status = 0;
  for (const BrokenStep& each : breaks) {
    std::string noticed;
    for (const Scenario& scenario : by) {
      const Result result = run(stage, fresh, scenario, bounds, each.broken);
      if (!result.violation.empty() && noticed.empty())
        noticed = fmt::format("after {} orders of: {}: {}", result.executions, scenario.name,
                              result.violation);
      if (!noticed.empty()) break;
    }
    std::cout << (noticed.empty() ? "FAILED, not noticed: " : "ok: ") << each.name << ": "
              << noticed << std::endl;
    status |= noticed.empty();
  }
  return status;
}

int late_self_test(const Stage& stage, Bounds bounds) {
  const std::vector<BrokenStep> release = {{Break::kNoRelease, "a release store is a plain one"}};
  return notice_all(stage, bounds, scenarios(stage.reader()),
                    {{Break::kNoFence, "a release fence holds nothing back"}, release[0]}) |
         notice_all(stage, bounds, growth_scenarios(stage.reader()), release) |
         notice_all(stage, bounds, readings_scenarios(stage.reader()), release);
}

int self_test(const Stage& stage, Bounds bounds) {
  const int lanes =
      notice_all(stage, bounds, scenarios(stage.reader()),
                 {{Break::kClaimNotAtomic, "a cursor's add is not atomic"},
                  {Break::kTakeUnchecked, "compare-and-swap does not compare"},
                  {Break::kBusyNotStored, "compare-and-swap does not store"},
                  {Break::kLiveTakenForDead, "living threads are taken for dead"},
                  {Break::kNotCleared, "a chunk is not cleared for its new owner"},
                  {Break::kLossNotCounted, "losses are not counted"},
                  {Break::kReaderLooksOnce, "the reader does not look again after its copy"}});
  const int growth =
      notice_all(stage, bounds, growth_scenarios(stage.reader()),
                 {{Break::kClaimNotAtomic, "room in the arena is not given out atomically"},
                  {Break::kTakeUnchecked, "a word is claimed without a compare"},
                  {Break::kBusyNotStored, "a word is claimed and not stored"},
                  {Break::kLossNotCounted, "rows are not added to"},
                  {Break::kFramesNotWritten, "frames are not written before their word"},
                  {Break::kTableNotFilled, "a table is not filled before it is met"},
                  {Break::kMarkNotSet, "what leaves is not marked"}});
  const int readings =
      notice_all(stage, bounds, readings_scenarios(stage.reader()),
                 {{Break::kTakeUnchecked, "a cell is taken without a compare"},
                  {Break::kBusyNotStored, "a cell or an extreme is claimed and not stored"},
                  {Break::kFramesNotWritten, "figures are not written before their tick"}});
  const int memory =
      notice_all(stage, bounds, memory_scenarios(stage.reader()),
                 {{Break::kClaimNotAtomic, "the memory ring's units are not given out atomically"},
                  {Break::kTakeUnchecked, "a unit is taken without a compare"},
                  {Break::kBusyNotStored, "a unit is claimed and not stored"},
                  {Break::kFramesNotWritten, "fields are not written before their word"},
                  {Break::kReaderLooksOnce, "the reader does not look again after its copy"}});
  return lanes | growth | readings | memory;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Checks the protocol of the log's lanes in every order of a few threads' steps"};
  Bounds bounds{2, 1, 60000};
  bool breaks = false;
  app.add_option("--preemptions", bounds.preemptions, "in one order, at most");
  app.add_option("--kills", bounds.kills, "in one order, at most");
  app.add_option("--executions", bounds.executions, "orders of one scenario, at most");
  app.add_flag("--self-test", breaks,
               "break a step of the protocol at a time: each has to be noticed");
  app.add_flag("--late", stores_come_late,
               "a store may come late (late_store.h); the bounds are then for each such store");
  CLI11_PARSE(app, argc, argv);
  const Stage stage;
  if (breaks) return stores_come_late ? late_self_test(stage, bounds) : self_test(stage, bounds);
  return check_all(stage, bounds);
}
