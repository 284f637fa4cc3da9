// SPDX-License-Identifier: MIT
//
// Stacks, totals and owners: the shim's own code on a real log, read back by the reader. Broken off
// writers and full tables are made by hand.
#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "shim/record/owners.h"
#include "tests/unit/catch.h"
#include "tests/unit/shim_fixture.h"
#include "tools/log/log_growth.h"
#include "tools/log/log_reader.h"

using namespace ovcshim;

namespace {

constexpr uint64_t kBase = (uint64_t{0x7f00} << 32) - (150 << kOwnerPageShift);
constexpr uint32_t kPlain = kKindWritable | kKindEverWritable;

Range pages(uint64_t first, uint64_t count) {
  return {kBase + (first << kOwnerPageShift), kBase + ((first + count) << kOwnerPageShift)};
}

uint32_t row_of(uint32_t stack, uint32_t kind = kPlain) {
  return totals_row(stack, static_cast<uint32_t>(Op::kMmap), kind);
}

// kB by row, as the reader has them.
std::map<uint32_t, uint64_t> owned(const ovc::LogReader& log, bool* exact = nullptr) {
  const ovc::GrowthLog growth(log);
  const auto space = growth.space(g_private->slot, g_private->serial);
  REQUIRE(space);
  const ovc::OwnedPages found = growth.owned(*space);
  if (exact) *exact = found.exact;
  else CHECK(found.exact);
  return found.kb;
}

// What an address space of that many pages should say.
class Model {
 public:
  void set(uint64_t first, uint64_t count, uint32_t row) {
    for (uint64_t page = first; page < first + count; ++page) owner_[page] = row;
  }
  void clear(uint64_t first, uint64_t count) {
    for (uint64_t page = first; page < first + count; ++page) owner_.erase(page);
  }
  void move(uint64_t from, uint64_t count, uint64_t to) {
    std::map<uint64_t, uint32_t> moved;
    for (uint64_t page = from; page < from + count; ++page)
      if (owner_.count(page)) moved[page - from + to] = owner_[page];
    clear(from, count);
    clear(to, count);
    owner_.insert(moved.begin(), moved.end());
  }
  std::map<uint32_t, uint64_t> kb() const {
    std::map<uint32_t, uint64_t> sums;
    for (const auto& [page, row] : owner_) sums[row] += 4;
    return sums;
  }

 private:
  std::map<uint64_t, uint32_t> owner_;
};

}  // namespace

TEST_CASE("growth: a stack is entered once, and read back as it was") {
  ShimLog shim;
  REQUIRE(shim.opened);
  const uint64_t frames[] = {0x7f0000001000, 0x7f0000002000, 0x55550000};
  const uint32_t number = stack_number({7, frames, 3, false});
  CHECK(number == stack_number({7, frames, 3, false}));
  CHECK(number != stack_number({8, frames, 3, false}));
  CHECK(number != stack_number({7, frames, 3, true}));
  CHECK(number != stack_number({7, frames, 2, false}));
  const ovc::LogReader log(shim.path);
  const auto stack = ovc::GrowthLog(log).stack(number);
  REQUIRE(stack);
  CHECK(stack->image == 7);
  CHECK(stack->frames == std::vector<uint64_t>(frames, frames + 3));
  CHECK_FALSE(stack->cut);
  CHECK(g.growth.header->stacks == 4);
}

TEST_CASE(
    "growth: what a killed writer leaves in the arena is no stack, nor is a word without its "
    "frames") {
  ShimLog shim;
  const uint64_t frames[] = {0x1000, 0x2000};
  const uint32_t number = stack_number({1, frames, 2, false});
  const uint64_t whole = g.growth.index[number];
  const ovc::LogReader log(shim.path);
  const ovc::GrowthLog growth(log);
  REQUIRE(growth.stack(number));
  g.growth.arena[stack_place(whole) + 2] ^= 8;  // damaged
  CHECK_FALSE(growth.stack(number));
  g.growth.arena[stack_place(whole) + 2] ^= 8;
  g.growth.index[number] = whole + (uint64_t{1} << 32);
  CHECK_FALSE(growth.stack(number));
  g.growth.index[number] = 0;  // killed before its last step
  CHECK_FALSE(growth.stack(number));
  CHECK(stack_number({1, frames, 2, false}) == number);
  CHECK(growth.stack(number));
  g.growth.index[number] = stack_word(63, false, g.growth.arena_words - 2, 1);
  CHECK_FALSE(growth.stack(number));
}

TEST_CASE(
    "growth: where whole stacks have no more room, callers have; then nothing, and all is "
    "counted") {
  ShimLog shim;
  g.growth.arena_words = 160;
  std::vector<uint64_t> frames(20);
  uint32_t whole = 0, callers = 0, none = 0;
  for (uint64_t n = 0; n < 40; ++n) {
    for (uint64_t i = 0; i < 20; ++i) frames[i] = n * 1000 + i;
    const uint32_t number = stack_number({1, frames.data(), 20, false});
    if (number == kNoStack) ++none;
    else if (stack_frames(g.growth.index[number]) == 20) ++whole;
    else callers += stack_cut(g.growth.index[number]);
  }
  CHECK(whole == 7);
  CHECK(callers >= 5);
  CHECK(whole + callers + none == 40);
  CHECK(g.growth.header->stacks_cut == callers + none);
}

TEST_CASE("growth: a row is one key's, and a full table gives none") {
  ShimLog shim;
  const uint32_t row = row_of(5);
  CHECK(row == row_of(5));
  CHECK(row != row_of(6));
  CHECK(row != row_of(5, kPlain | kKindNoreserve));
  g.growth.rows[row].calls = 3;
  const ovc::LogReader log(shim.path);
  const auto read = ovc::GrowthLog(log).row(row);
  REQUIRE(read);
  CHECK(read->stack == 5);
  CHECK(read->op == Op::kMmap);
  CHECK(read->kind == kPlain);
  CHECK(read->calls == 3);
  g.growth.row_count = 4;
  for (uint32_t stack = 100; stack < 104; ++stack) row_of(stack);
  CHECK(row_of(200) == kNoRow);
}

TEST_CASE("growth: owners are what an address space says, whatever the calls") {
  ShimLog shim;
  const ovc::LogReader log(shim.path);
  std::mt19937 random(GENERATE(1u, 2u, 3u, 4u));
  const auto below = [&random](uint64_t n) { return random() % n; };
  Model model;
  for (int step = 0; step < 3000; ++step) {
    const uint64_t first = below(300), count = 1 + below(below(4) ? 12 : 140);
    const uint32_t row = row_of(static_cast<uint32_t>(1 + below(5)));
    switch (below(5)) {
      case 0:
      case 1: own(pages(first, count), row), model.set(first, count, row); break;
      case 2:
        leaving(pages(first, count)), left(pages(first, count)), model.clear(first, count);
        break;
      case 3: leaving(pages(first, count)), stays(pages(first, count)); break;
      default: {
        const uint64_t to = 500 + below(300);
        OwnedRuns before;
        if (below(2)) read_owned(pages(first, count), before);
        leaving(pages(first, count));
        move_owned(pages(first, count), pages(to, 0).start, row, before);
        model.move(first, count, to);
      }
    }
    if (step % 100 == 0) CHECK(owned(log) == model.kb());
  }
  CHECK(owned(log) == model.kb());
  CHECK(g.growth.header->tables_missing == 0);
}

TEST_CASE("growth: a whole range and its parts, from pages to terabytes") {
  ShimLog shim;
  const ovc::LogReader log(shim.path);
  const uint32_t a = row_of(1), b = row_of(2);
  own({uint64_t{1} << 40, uint64_t{3} << 40}, a);
  own({(uint64_t{1} << 41) - 4096, (uint64_t{1} << 41) + 4096}, b);
  auto kb = owned(log);
  CHECK(kb[a] == (uint64_t{2} << 30) - 8);
  CHECK(kb[b] == 8);
  own({0, kOwnerEnd}, b);
  CHECK(owned(log)[b] == kOwnerEnd / 1024);
  own({0, kOwnerEnd}, kNoRow);
  CHECK(owned(log).empty());
  own({kOwnerEnd - 4096, kOwnerEnd + 4096}, a);  // no process's
  CHECK(g.growth.spaces[g_private->slot].missing == 1);
}

TEST_CASE("growth: what another thread maps while munmap returns stays its own") {
  ShimLog shim;
  const ovc::LogReader log(shim.path);
  const uint32_t a = row_of(1), b = row_of(2), m = row_of(3);
  own(pages(0, 10), a);
  leaving(pages(0, 10));
  CHECK(owned(log)[a] == 40);  // still there
  own(pages(4, 2), b);
  left(pages(0, 10));
  CHECK(owned(log) == std::map<uint32_t, uint64_t>{{b, 8}});
  own(pages(0, 10), a);
  leaving(pages(0, 10));
  own(pages(4, 2), b);
  move_owned(pages(0, 10), pages(200, 0).start, m, {});
  CHECK(owned(log) == std::map<uint32_t, uint64_t>{{a, 32}, {b, 8}, {m, 8}});
  CHECK(g.growth.header->moves_overtaken == 2);
  OwnedRuns before;
  own(pages(0, 10), a);
  own(pages(200, 10), kNoRow);
  read_owned(pages(0, 10), before);
  leaving(pages(0, 10));
  own(pages(4, 2), b);
  move_owned(pages(0, 10), pages(200, 0).start, m, before);
  CHECK(owned(log) == std::map<uint32_t, uint64_t>{{a, 40}, {b, 8}});
}

TEST_CASE("growth: mprotect that makes memory writable for the first time owns it") {
  ShimLog shim;
  const ovc::LogReader log(shim.path);
  const uint32_t reserved = row_of(1, 0);
  const auto op = static_cast<uint32_t>(Op::kMprotect);
  own(pages(0, 16), reserved);
  CHECK(protect_owned(pages(4, 8), true, 9, op) == 8 * 4096);
  CHECK(protect_owned(pages(4, 8), true, 9, op) == 0);
  const uint32_t grown = totals_row(9, op, kPlain);
  CHECK(owned(log) == std::map<uint32_t, uint64_t>{{reserved, 32}, {grown, 32}});
  CHECK(g.growth.rows[grown].granted_bytes == 8 * 4096);
  CHECK(protect_owned(pages(6, 2), false, 10, op) == 0);
  const uint32_t read_only = totals_row(9, op, kKindEverWritable);
  CHECK(owned(log) == std::map<uint32_t, uint64_t>{{reserved, 32}, {grown, 24}, {read_only, 8}});
  CHECK(protect_owned(pages(6, 2), true, 11, op) == 0);
  CHECK(owned(log) == std::map<uint32_t, uint64_t>{{reserved, 32}, {grown, 32}});
}

TEST_CASE(
    "growth: without a free table a change is left out and counted; a dead process's are used "
    "again") {
  ShimLog shim;
  const ovc::LogReader log(shim.path);
  g.growth.table_count = 20;
  const uint32_t a = row_of(1);
  for (uint64_t i = 0; i < 60; ++i) own({kBase + (i << 30), kBase + (i << 30) + 4096}, a);
  bool exact = true;
  owned(log, &exact);
  CHECK_FALSE(exact);
  CHECK(g.growth.header->tables_missing > 0);
  const uint64_t used = g.growth.header->tables_used;
  begin_owners(true);
  CHECK(owned(log, &exact).empty());
  CHECK(exact);
  own(pages(0, 1), a);
  CHECK(owned(log)[a] == 4);
  CHECK(g.growth.header->tables_used == used);
}

TEST_CASE("growth: threads beside each other in the same tables") {
  ShimLog shim;
  const ovc::LogReader log(shim.path);
  constexpr uint64_t kThreads = 4, kEach = 3;
  std::vector<std::thread> threads;
  std::vector<uint32_t> rows;
  for (uint64_t t = 0; t < kThreads; ++t) rows.push_back(row_of(static_cast<uint32_t>(t + 1)));
  for (uint64_t t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      const uint64_t frames[] = {0x1000, 0x2000 + t % 2};
      for (int round = 0; round < 4000; ++round) {
        stack_number({1, frames, 2, false});
        count(g.growth.rows[rows[t]].calls);
        for (uint64_t i = 0; i < 30; ++i) own(pages((i * kThreads + t) * kEach, kEach), rows[t]);
        for (uint64_t i = 0; i < 29; ++i) {
          leaving(pages((i * kThreads + t) * kEach, kEach));
          left(pages((i * kThreads + t) * kEach, kEach));
        }
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (uint64_t t = 0; t < kThreads; ++t) {
    CHECK(owned(log)[rows[t]] == kEach * 4);
    CHECK(ovc::GrowthLog(log).row(rows[t])->calls == 4000);
  }
  CHECK(g.growth.header->stacks == 2);
}

TEST_CASE("growth: a log that was scribbled over ends no walk late, in the shim or in the reader") {
  ShimLog shim;
  const ovc::LogReader log(shim.path);
  own(pages(0, 3), row_of(1));
  const uint32_t root = g.growth.spaces[g_private->slot].root;
  for (uint32_t& word : g.growth.tables[root - 1].words) word = root | kOwnerTable;  // itself
  bool exact = true;
  owned(log, &exact);
  CHECK_FALSE(exact);
  own(pages(0, 100), row_of(2));
  note_listed_charge(4);
  g.growth.spaces[g_private->slot].root = 0xffffffff;
  own(pages(0, 100), row_of(2));
  owned(log, &exact);
  CHECK_FALSE(exact);
  begin_owners(true);
}

TEST_CASE("growth: who holds the most, and what the lists said") {
  ShimLog shim;
  const ovc::LogReader log(shim.path);
  for (uint32_t stack = 1; stack <= 12; ++stack) own(pages(stack * 40, stack), row_of(stack));
  own(pages(1000, 100), row_of(20, 0));  // never writable
  own(pages(1200, 50), row_of(21, kKindShared | kPlain));
  Holder room[64];
  Holders found;
  find_holders(found, room, sizeof room);
  CHECK(found.all_kb == 78 * 4);
  REQUIRE(found.count == Holders::kMost);
  CHECK(found.largest[0].row == row_of(12));
  CHECK(found.largest[0].kb == 48);
  CHECK(found.largest[7].kb == 20);
  CHECK_FALSE(found.cut);
  find_holders(found, room, 4 * sizeof(Holder));
  CHECK(found.cut);
  own(pages(0, 4), row_of(22, kPlain | kKindNoreserve));
  note_listed_charge(1000);
  own(pages(10, 6), row_of(1));
  note_listed_charge(1024);
  const auto space = ovc::GrowthLog(log).space(g_private->slot, g_private->serial);
  REQUIRE(space);
  CHECK(space->newest.charged_kb == 1024);
  CHECK(space->newest.owned_kb[kOwnedPlain] == (78 + 6) * 4);
  CHECK(space->newest.owned_kb[kOwnedNoreserve] == 16);
}
