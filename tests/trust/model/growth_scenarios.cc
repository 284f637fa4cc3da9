// SPDX-License-Identifier: MIT
//
// See growth_scenarios.h.
#include "tests/trust/model/growth_scenarios.h"

#include <fmt/format.h>
#include <cstring>

#include "shim/record/owners.h"
#include "shim/record/state.h"
#include "tests/trust/model/subject.h"
#include "tools/log/log_growth.h"

namespace model {

GrowthStory growth_story;

namespace {

using namespace ovcshim;

constexpr uint64_t kGrowthRoom = 4096 + kProcessSlots * sizeof(ProcessSpace) + 4096;
GrowthStory& story = growth_story;

constexpr uint64_t kPage = uint64_t{1} << kOwnerPageShift, kLeaf = 0x7f0000000000;
constexpr uint32_t kFirstRow = 1;

void enter_stack(uint64_t frame, uint64_t count) {
  uint64_t frames[8];
  for (uint64_t i = 0; i < count; ++i) frames[i] = frame + i;
  story.stacks[static_cast<uint32_t>(frame)] =
      stack_number({5, frames, static_cast<uint32_t>(count), false});
}

// Any word of the index is a stack that somebody enters, or is none.
void read_stacks(const ovc::LogReader& log) {
  const ovc::GrowthLog growth(log);
  for (uint32_t n = 0; n < 8; ++n) {
    const auto stack = growth.stack(n);
    if (!stack) continue;
    bool whole = stack->image == 5 && stack->frames.size() == (stack->frames[0] == 1000 ? 3 : 2);
    for (size_t i = 0; i < stack->frames.size(); ++i)
      whole = whole && stack->frames[i] == stack->frames[0] + i;
    if (!whole) story.read = "a stack is accepted that nobody entered";
  }
}

std::string judge_stacks(const ovc::LogReader& log) {
  read_stacks(log);
  if (!story.read.empty()) return story.read;
  const ovc::GrowthLog growth(log);
  for (const auto& [frame, number] : story.stacks) {
    const auto stack = growth.stack(number);
    if (!stack || stack->frames[0] != frame)
      return fmt::format("number {} is not the stack that it was given for", number);
  }
  return "";
}

void count_in_row(uint32_t stack) {
  const uint32_t row = totals_row(stack, static_cast<uint32_t>(Op::kMmap), 0);
  if (row == kNoRow) return;
  count_call(row);
  ++story.counted;
}

std::string judge_rows(const ovc::LogReader& log) {
  uint64_t calls = 0;
  for (const auto& row : ovc::GrowthLog(log).rows()) {
    if (row.stack != 3 && row.stack != 4) return "a row that nobody claimed";
    calls += row.calls;
  }
  const uint64_t deaths = has_died(kA) + has_died(kB);
  return calls < story.counted || calls > story.counted + deaths
             ? fmt::format("{} calls counted, {} in the rows", story.counted, calls)
             : "";
}

// Row n + 1 for writer n; all of the leaf was row 1's.
void own_leaf() { own({kLeaf, kLeaf + 64 * kPage}, kFirstRow); }
Fiber owner(uint32_t tid, uint64_t page) {
  return {tid, true, [=] {
            own({kLeaf + page * kPage, kLeaf + (page + 1) * kPage}, kFirstRow + tid - kA + 1);
            story.owners_done[tid] = true;
          }};
}
Fiber unmapper(uint32_t tid, uint64_t page) {
  return {tid, true, [=] {
            const Range range{kLeaf + page * kPage, kLeaf + (page + 1) * kPage};
            leaving(range);
            left(range);
            story.owners_done[tid] = true;
          }};
}

std::map<uint32_t, uint64_t> owned_now(const ovc::LogReader& log, bool* exact) {
  const ovc::GrowthLog growth(log);
  const auto space = growth.space(g_private->slot, g_private->serial);
  if (!space) return {};
  const ovc::OwnedPages found = growth.owned(*space);
  *exact = found.exact;
  return found.kb;
}

// At any moment each page but the two that change is the first row's.
void read_owners(const ovc::LogReader& log) {
  bool exact = true;
  auto kb = owned_now(log, &exact);
  if (!exact) story.read = "a tree that cannot be read";
  if (kb[kFirstRow] < 62 * 4 || kb[kFirstRow] > 64 * 4)
    story.read = fmt::format("{} kB of the first row's", kb[kFirstRow]);
}

// `unmaps`: writer B takes its page away.
std::string judge_owners(const ovc::LogReader& log, bool unmaps) {
  read_owners(log);
  if (!story.read.empty()) return story.read;
  bool exact = true;
  auto kb = owned_now(log, &exact);
  uint64_t others = 0;
  for (const auto& [row, pages] : kb) others += row == kFirstRow ? 0 : pages / 4;
  const bool a = story.owners_done[kA], b = story.owners_done[kB];
  const uint64_t gone = 64 - kb[kFirstRow] / 4;
  const uint64_t done = a + b, begun = done + has_died(kA) + has_died(kB);
  if (gone < done || gone > begun) return fmt::format("{} pages changed hands, not {}", gone, done);
  const uint64_t least = a + (unmaps ? 0 : b), most = unmaps ? 1 : 2;
  return others < least || others > most ? fmt::format("{} pages of new owners", others) : "";
}

}  // namespace

void shrink_growth(FileHeader& header) {
  auto* area = reinterpret_cast<unsigned char*>(g.growth.header);
  std::memset(area, 0, header.growth.bytes);
  header.growth.bytes = kGrowthRoom;
  const GrowthLayout l = growth_layout(kGrowthRoom, kProcessSlots);
  g.growth.index_words = l.index_words, g.growth.row_count = l.row_count;
  g.growth.arena_words = l.arena_words, g.growth.table_count = l.table_count;
  g.growth.spaces = reinterpret_cast<ProcessSpace*>(area + l.spaces);
  g.growth.index = reinterpret_cast<uint64_t*>(area + l.index);
  g.growth.rows = reinterpret_cast<CallTotals*>(area + l.rows);
  g.growth.arena = reinterpret_cast<uint64_t*>(area + l.arena);
  g.growth.tables = reinterpret_cast<OwnerTable*>(area + l.tables);
  g.growth.spaces[g_private->slot].serial = g_private->serial;
}

std::vector<Scenario> growth_scenarios(const ovc::LogReader& log) {
  const auto stacks = [](uint32_t tid, std::vector<uint64_t> frames) {
    return Fiber{tid, true, [=] {
                   for (const uint64_t frame : frames) enter_stack(frame, frame == 1000 ? 3 : 2);
                 }};
  };
  const auto rows = [](uint32_t tid, std::vector<uint32_t> counted) {
    return Fiber{tid, true, [=] {
                   for (const uint32_t stack : counted) count_in_row(stack);
                 }};
  };
  const auto nothing = [] {};
  const auto judge_s = [&log] { return judge_stacks(log); };
  const auto reader_of_owners = Fiber{kReader, false, [&log] { read_owners(log); }};
  return {
      {"two writers enter the same stack and others",
       nothing,
       {stacks(kA, {1000, 2000}), stacks(kB, {2000, 1000})},
       judge_s},
      {"a reader while two stacks are entered",
       nothing,
       {stacks(kA, {1000}), stacks(kB, {2000}),
        Fiber{kReader, false, [&log] { read_stacks(log); }}},
       judge_s},
      {"two writers claim the same row and others",
       nothing,
       {rows(kA, {3, 4}), rows(kB, {3, 3})},
       [&log] { return judge_rows(log); }},
      {"two writers divide the same word of a table",
       own_leaf,
       {owner(kA, 3), owner(kB, 40)},
       [&log] { return judge_owners(log, false); }},
      {"one maps, one unmaps, and a reader",
       own_leaf,
       {owner(kA, 3), unmapper(kB, 40), reader_of_owners},
       [&log] { return judge_owners(log, true); }},
  };
}

}  // namespace model
