// SPDX-License-Identifier: MIT
//
// See memory_scenarios.h.
#include "tests/trust/model/memory_scenarios.h"

#include <fmt/format.h>
#include <algorithm>
#include <cstring>

#include "shim/record/memory_ring.h"
#include "shim/record/stack_table.h"
#include "tools/log/log_memory.h"

namespace model {
namespace {

using namespace ovcshim;

// Each call has a context of its own: there is no reach for a second.
constexpr uint64_t kUnits = 16;
// Of the same place among the contexts as kA.
constexpr uint32_t kBeside = kA + kContexts;
GrowthStory& story = growth_story;

uint64_t frames_of_all[2] = {7000, 7001};
uint32_t row;
Op op;  // of all calls of a scenario

void enter_row(Op of_all) {
  op = of_all;
  const Stack stack{5, frames_of_all, 2, false};
  row = totals_row(stack_number(stack), static_cast<uint32_t>(op), 0);
}

// All arguments and figures follow from the thread and n: what is put together of two calls, or of
// a call and another thread's context, is seen to be.
void make_call(uint32_t tid, uint64_t n) {
  const uint64_t id = uint64_t{tid} << 16 | n;
  Event event{};
  Record record{};
  EventBase& base = record.base;
  base.op = op, base.pid = tid + 1, base.tid = tid, base.process = tid + 2;
  base.process_serial = tid + 3, base.image = 5, base.frames = 2;
  base.begin_tick = base.end_tick = (uint64_t{tid} << 40) + n, base.call_seq = base.begin_tick;
  base.args[0] = id << 12, base.args[1] = id;
  if (op == Op::kMremap) {
    base.args[2] = base.args[4] = id;
    base.result = static_cast<int64_t>(id);
  }
  base.before = {0, tid + 4, tid + 5, tid + 6, tid + 7, tid + 8};
  record.frames = frames_of_all;
  event.row = row, event.stack_is_whole = true, event.reading_tick = uint64_t{tid} << 40;
  const uint64_t position = write_memory_call(event, record);
  if (position != kUnknown) story.calls.push_back(position);
}

void make_calls(uint32_t tid, uint64_t first, uint64_t count) {
  for (uint64_t n = first; n < first + count; ++n) make_call(tid, n);
}

bool is_whole(const ovc::Event& event) {
  const EventBase& b = event.base;
  const uint32_t tid = b.tid;
  const uint64_t id = b.args[1], at = (uint64_t{tid} << 40) + (id & 0xffff);
  const uint64_t second = op == Op::kMremap ? id : 0;
  return id >> 16 == tid && b.op == op && b.pid == tid + 1 && b.process == tid + 2 &&
         b.process_serial == tid + 3 && b.begin_tick == at && b.call_seq == at &&
         b.args[0] == id << 12 && b.args[2] == second && b.args[4] == second &&
         b.result == static_cast<int64_t>(second) && b.before.committed_kb == tid + 4 &&
         b.before.limit_kb == tid + 5 && b.before.vm_size_pages == tid + 6 &&
         b.before.resident_pages == tid + 7 && b.before.data_pages == tid + 8;
}

// A reader of its own: what one has read once it remembers, and the executions differ.
void read_calls(const ovc::LogReader& log, std::map<uint64_t, uint64_t>* found) {
  const ovc::MemoryRecords records(log);
  std::map<uint32_t, uint64_t> last;
  ovc::Event event;
  const uint64_t end = records.end();
  unsigned units = 1;
  for (uint64_t count = records.start(); count < end; count += units) {
    const ovc::MemoryRecords::Found there = records.find(count);
    units = there.units;
    if (there.kind != ovc::MemoryRecords::Kind::kCall || !records.read(count, units, event))
      continue;
    if (!is_whole(event)) story.read = fmt::format("a call that nobody made, at {}", count);
    const uint64_t n = event.base.args[1] & 0xffff;
    if (last.count(event.base.tid) && last[event.base.tid] >= n + 1)
      story.read = "calls of one thread out of order";
    last[event.base.tid] = n + 1;
    if (found) ++(*found)[event.position];
  }
}

std::string judge(const ovc::LogReader& log) {
  std::map<uint64_t, uint64_t> found;
  read_calls(log, &found);
  if (!story.read.empty()) return story.read;
  const uint64_t start = ovc::MemoryRecords(log).start();
  for (const uint64_t position : story.calls) {
    if ((position & ~kMemoryBit) >= start && !found.count(position))
      return fmt::format("the call at {} is lost, and the ring still holds it",
                         position & ~kMemoryBit);
    if (std::count(story.calls.begin(), story.calls.end(), position) > 1)
      return "one position given twice";
  }
  return "";
}

}  // namespace

uint64_t small_memory_bytes() { return kUnits * sizeof(MemoryUnit); }

void shrink_memory(FileHeader& header) {
  header.memory.bytes = small_memory_bytes();
  header.memory_cursor = 0;
  g.memory.count = kUnits;
  std::memset(static_cast<void*>(g.memory.units), 0, small_memory_bytes());
}

std::vector<Scenario> memory_scenarios(const ovc::LogReader& log) {
  const auto calls = [](uint32_t tid, uint64_t count) {
    return Fiber{tid, true, [=] { make_calls(tid, 10, count); }};
  };
  const auto reader = Fiber{kReader, false, [&log] { read_calls(log, nullptr); }};
  const auto filled = [](Op of_all, uint64_t count) {
    return [=] {
      enter_row(of_all);
      make_calls(kC, 0, count);
    };
  };
  const auto judge_all = [&log] { return judge(log); };
  return {
      {"two writers of mremap", filled(Op::kMremap, 0), {calls(kA, 1), calls(kB, 1)}, judge_all},
      {"two threads whose contexts stand in one place",
       filled(Op::kMunmap, 0),
       {calls(kA, 1), calls(kBeside, 2)},
       judge_all},
      {"a writer is overtaken by a whole lap of the memory ring",
       filled(Op::kMunmap, 1),
       {calls(kA, 1), calls(kB, 4)},
       judge_all},
      {"a reader while memory calls wrap the ring",
       filled(Op::kMunmap, 3),
       {calls(kA, 2), reader},
       judge_all},
  };
}

}  // namespace model
