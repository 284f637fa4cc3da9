// SPDX-License-Identifier: MIT
#include "tools/replay/holders.h"

#include "tests/unit/catch.h"
#include "tests/unit/log_builder.h"
#include "tools/log/log_growth.h"

using namespace ovc;
using namespace ovcshim;

namespace {

constexpr uint32_t kPlain = kKindWritable | kKindEverWritable;
constexpr uint64_t kPage = 0x7f0000000;

HostRules rules_in(uint64_t mode, KernelVersion kernel = {6, 1}) {
  HostRules rules;
  rules.mode = mode, rules.kernel = kernel;
  return rules;
}

CallTotals totals_of(Op op, uint64_t calls, uint64_t granted_bytes) {
  CallTotals totals{};
  totals.key = static_cast<uint64_t>(op);
  totals.calls = calls, totals.granted_bytes = granted_bytes;
  return totals;
}

// A server that maps 40 kB and still has 12 of them, commits 20 kB, and reserves.
void put_server(test::LogBuilder& b) {
  auto& slot = b.process(0);
  slot.use = static_cast<uint32_t>(SlotUse::kLive), slot.serial = 1, slot.pid = 100;
  b.header().host[0] = {static_cast<uint32_t>(FactKey::kOvercommitMemory), 0, 2};
  b.put_grower({0x1000, 0x2000}, totals_of(Op::kMmap, 10, 40 << 10), kPlain, kPage, 3);
  b.put_grower({0x1004, 0x2000}, totals_of(Op::kMprotect, 5, 20 << 10), kPlain, kPage + 100, 5);
  b.put_grower({0x1008, 0x2000}, totals_of(Op::kMmap, 1, 1 << 20), 0, kPage + 200, 100);
}

}  // namespace

TEST_CASE("holders: which kinds of memory are charged") {
  const auto [kind, mode, charged] = GENERATE(table<uint32_t, uint64_t, std::optional<bool>>({
      {kPlain, 0, true},
      {kPlain, 2, true},
      {0, 2, false},
      {kPlain | kKindShared, 2, false},
      {kPlain | kKindNoreserve, 0, false},
      {kPlain | kKindNoreserve, 2, true},
      {kPlain | kKindFile, 2, true},
      {kKindFile, 2, false},
      {kPlain | kKindHuge, 2, false},
      {kKindEverWritable, 2, true},
      {kKindUnknown, 2, std::nullopt},
  }));
  CAPTURE(kind, mode);
  CHECK(kind_is_charged(kind, rules_in(mode)) == charged);
}

TEST_CASE("holders: which mappings promise a shared object its memory at once") {
  const auto [kind, mode, promised] = GENERATE(table<uint32_t, uint64_t, std::optional<bool>>({
      {kPlain | kKindShared, 0, true},
      {kPlain | kKindShared, 2, true},
      {kPlain | kKindShared | kKindFile, 2, false},
      {kPlain | kKindShared | kKindNoreserve, 0, false},
      {kPlain | kKindShared | kKindNoreserve, 2, true},
      {kPlain | kKindShared | kKindHuge, 2, false},
      {kPlain, 2, false},
      {kKindUnknown, 2, std::nullopt},
  }));
  CAPTURE(kind, mode);
  CHECK(kind_is_promised(kind, rules_in(mode)) == promised);
}

TEST_CASE("holders: what lost its write permission may have lost its charge since Linux 6.7") {
  CHECK(kind_is_charged(kKindEverWritable, rules_in(2, {6, 7})) == std::nullopt);
  CHECK(kind_is_charged(kKindEverWritable | kKindFile, rules_in(2, {6, 7})) == true);
}

TEST_CASE("holders: stacks by what they hold, then by what they were granted") {
  test::LogBuilder b(64, 8, 64);
  CHECK(growers(LogReader(b.write()))->stacks.empty());
  test::LogBuilder with(64, 8, 64);
  put_server(with);
  const LogReader log(with.write());
  const auto found = growers(log);
  REQUIRE(found);
  CHECK(found->exact);
  CHECK(found->now == Bounds{32, 32});
  CHECK(found->gross == Bounds{60, 60});
  REQUIRE(found->stacks.size() == 3);
  CHECK(found->stacks[0].op == Op::kMprotect);
  CHECK(found->stacks[0].now == Bounds{20, 20});
  CHECK(found->stacks[1].now == Bounds{12, 12});
  CHECK(found->stacks[1].gross == Bounds{40, 40});
  CHECK(found->stacks[1].calls == 10);
  CHECK(found->stacks[2].uncharged_kb == 1024);
}

TEST_CASE("holders: a log of an older shim has none") {
  test::LogBuilder b(64, 8, 0);
  CHECK_FALSE(growers(LogReader(b.write())));
}

TEST_CASE("holders: NORESERVE is open where the mode was changed") {
  test::LogBuilder b(64, 8, 64);
  put_server(b);
  b.put_grower({0x100c}, totals_of(Op::kMmap, 1, 8192), kPlain | kKindNoreserve, kPage + 400, 2);
  Event start = test::make_event(Op::kStart);
  start.facts = {{static_cast<uint32_t>(FactKey::kOvercommitMemory), 0, 0}};
  b.put_vital(start);
  const auto found = growers(LogReader(b.write()));
  CHECK(found->now == Bounds{32, 40});
}

TEST_CASE("holders: what the kernel's lists gained, and what of it has owners") {
  ProcessSpace space{};
  space.first = {10, 100, {0, 0, 0, 0}};
  CHECK_FALSE(listed_coverage(space, rules_in(2)));
  space.newest = {20, 1100, {900, 80, 10, 0}};
  const auto c = listed_coverage(space, rules_in(2));
  REQUIRE(c);
  CHECK(c->kernel_kb == 1000);
  CHECK(c->low_kb == 990);
  CHECK(c->high_kb == 990);
  CHECK(listed_coverage(space, rules_in(0))->low_kb == 910);
  CHECK(listed_coverage(space, rules_in(2, {6, 9}))->low_kb == 980);
}

TEST_CASE("holders: those of a snapshot, named by the rows that it has") {
  test::LogBuilder b(64, 8, 64);
  put_server(b);
  Event snapshot = test::make_event(Op::kSnapshot);
  const auto add = [&](FactKey key, uint32_t more, uint64_t value) {
    snapshot.facts.push_back({static_cast<uint32_t>(key) + more, 0, value});
  };
  add(FactKey::kHolderRow, 0, 2), add(FactKey::kHolderKb, 0, 4000);
  add(FactKey::kHolderRow, 1, 0), add(FactKey::kHolderKb, 1, 50);
  add(FactKey::kHolderRow, 2, 1), add(FactKey::kHolderKb, 2, 70);
  add(FactKey::kHolderRow, 3, 77), add(FactKey::kHolderKb, 3, 90);
  add(FactKey::kHeldKb, 0, 4120);
  const LogReader log(b.write());
  Symbols symbols(log);
  const auto held = held_at(log, symbols, snapshot, rules_in(2), 3);
  REQUIRE(held);
  REQUIRE(held->largest.size() == 2);  // never writable, and no row at all: left out
  CHECK(held->largest[0].kb == 70);
  CHECK(held->largest[0].op == Op::kMprotect);
  CHECK(held->largest[1].kb == 50);
  CHECK(held->all_kb == 4120);
  add(FactKey::kHoldersCut, 0, 1);
  CHECK_FALSE(held_at(log, symbols, snapshot, rules_in(2), 3));
}
