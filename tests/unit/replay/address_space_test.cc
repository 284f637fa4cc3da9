// SPDX-License-Identifier: MIT
//
// What each call does to the ledger: one test per rule. ledger_property_test.cc asks the kernel.
#include <linux/magic.h>
#include <sys/mman.h>

#include <cerrno>

#include "tests/unit/catch.h"
#include "tests/unit/log_builder.h"
#include "tools/replay/address_space.h"

using namespace ovc;
using namespace ovc::test;
using namespace ovcshim;

namespace {

constexpr uint64_t kPage = 4096, kAt = 0x7f0000000000;
constexpr uint64_t kRw = PROT_READ | PROT_WRITE, kAnon = MAP_PRIVATE | MAP_ANONYMOUS;

HostRules rules(unsigned major = 6, unsigned minor = 18, uint64_t mode = 0) {
  HostRules r;
  r.kernel = {major, minor};
  r.mode = mode;
  r.ram_kb = 8'000'000, r.swap_kb = 0;
  return r;
}

struct Space {
  AddressSpace space;
  uint64_t position = 100;
  explicit Space(const HostRules& r = rules()) : space(r) { space.set_data_limited(false); }

  Space& call(Op op, uint64_t result, std::initializer_list<uint64_t> args, uint16_t err = 0) {
    Event event = make_event(op);
    set_args(event, args);
    event.position = position++;
    event.base.result = static_cast<int64_t>(result);
    event.base.err = err;
    if (err) event.base.flags |= kFailed;
    space.apply(event);
    return *this;
  }
  Space& mmap(uint64_t at, uint64_t pages, uint64_t prot = kRw, uint64_t flags = kAnon) {
    return call(Op::kMmap, at, {at, pages * kPage, prot, flags, UINT64_MAX, 0});
  }
  Space& munmap(uint64_t at, uint64_t pages) { return call(Op::kMunmap, 0, {at, pages * kPage}); }
  Space& mprotect(uint64_t at, uint64_t pages, uint64_t prot, uint16_t err = 0) {
    return call(Op::kMprotect, 0, {at, pages * kPage, prot}, err);
  }
  Space& madvise(uint64_t at, uint64_t pages, uint64_t advice) {
    return call(Op::kMadvise, 0, {at, pages * kPage, advice});
  }
  Space& mremap(uint64_t at, uint64_t pages, uint64_t new_pages, uint64_t to,
                uint64_t flags = MREMAP_MAYMOVE) {
    return call(Op::kMremap, to, {at, pages * kPage, new_pages * kPage, flags, 0});
  }
  Space& list(std::initializer_list<MappingEntry> entries) {
    const std::vector<MappingEntry> all(entries);
    space.rebase(all, true);
    return *this;
  }
  Bounds charged() const { return space.totals().charged; }
  size_t count() const { return space.mappings().size(); }
};

Bounds kb(uint64_t low, uint64_t high) { return {low, high}; }
Bounds kb(uint64_t both) { return {both, both}; }

constexpr uint32_t kListed = kMapRead | kMapWrite | kMapAc | kMapFlagsKnown;

}  // namespace

TEST_CASE("mmap is charged by its kind and rounded to pages", "[ledger]") {
  CHECK(Space().call(Op::kMmap, kAt, {0, 5000, kRw, kAnon, UINT64_MAX, 0}).charged() == kb(8));
  CHECK(Space().mmap(kAt, 4, PROT_READ).charged() == kb(0));
  CHECK(Space().mmap(kAt, 4, kRw, kAnon | MAP_NORESERVE).charged() == kb(0));
  CHECK(Space(rules(6, 18, 2)).mmap(kAt, 4, kRw, kAnon | MAP_NORESERVE).charged() == kb(16));
  CHECK(Space().mmap(kAt, 4, kRw, MAP_PRIVATE).charged() == kb(16));
  CHECK(Space().mmap(kAt, 4, kRw, MAP_SHARED).charged() == kb(0));
}

TEST_CASE("a private mapping of a file of huge pages is never charged", "[ledger]") {
  constexpr uint64_t kHuge = 2 << 20;
  Event event = make_event(Op::kMmap);
  set_args(event, {0, 5000, PROT_READ, MAP_PRIVATE, 7, 0});
  event.base.result = static_cast<int64_t>(kAt);
  event.facts = {{static_cast<uint32_t>(FactKey::kFileFsType), 0, HUGETLBFS_MAGIC},
                 {static_cast<uint32_t>(FactKey::kFileFsBlock), 0, kHuge}};
  for (const uint64_t mode : {0, 2}) {
    Space s(rules(6, 18, mode));
    s.space.apply(event);
    CHECK(s.space.mappings().at(0).end() - kAt == kHuge);  // the kernel rounds up to huge pages
    CHECK(s.mprotect(kAt, kHuge / kPage, kRw).charged() == kb(0));
  }
}

TEST_CASE("a mode that is not known leaves MAP_NORESERVE open", "[ledger]") {
  HostRules unknown = rules();
  unknown.mode.reset();
  CHECK(Space(unknown).mmap(kAt, 4, kRw, kAnon | MAP_NORESERVE).charged() == kb(0, 16));
  CHECK(Space(unknown).mmap(kAt, 4).charged() == kb(16));
}

TEST_CASE("shared anonymous memory is promised until its last page is unmapped", "[ledger]") {
  Space s;
  s.mmap(kAt, 10, kRw, MAP_SHARED | MAP_ANONYMOUS);
  CHECK(s.charged() == kb(0));
  CHECK(s.space.totals().shared_promised == 40);
  CHECK(s.munmap(kAt, 9).space.totals().shared_promised == 40);
  CHECK(s.munmap(kAt + 9 * kPage, 1).space.totals().shared_promised == 0);
}

TEST_CASE("munmap punches and splits", "[ledger]") {
  Space s;
  s.mmap(kAt, 10).munmap(kAt + 4 * kPage, 2);
  CHECK(s.charged() == kb(32));
  CHECK(s.count() == 2);
  CHECK(s.space.totals().biggest == kb(16));
  CHECK(s.munmap(kAt + 100 * kPage, 5).charged() == kb(32));
}

TEST_CASE("MAP_FIXED replaces what was there; without it that is a contradiction", "[ledger]") {
  Space s;
  s.mmap(kAt, 10).mmap(kAt + 2 * kPage, 3, PROT_NONE, kAnon | MAP_FIXED);
  CHECK(s.charged() == kb(28));
  CHECK(s.space.contradictions() == 0);
  CHECK(s.mmap(kAt, 1).space.contradictions() == 1);
}

TEST_CASE("mprotect charges once; what loses write permission may give back since 6.7",
          "[ledger]") {
  CHECK(Space().mmap(kAt, 8, PROT_NONE).mprotect(kAt + kPage, 4, kRw).charged() == kb(16));
  CHECK(Space().mmap(kAt, 8).mprotect(kAt, 4, PROT_READ).charged() == kb(16, 32));
  CHECK(Space().mmap(kAt, 8).mprotect(kAt, 4, PROT_READ).mprotect(kAt, 4, kRw).charged() == kb(32));
  CHECK(Space(rules(6, 6)).mmap(kAt, 8).mprotect(kAt, 4, PROT_READ).charged() == kb(32));
  CHECK(Space().mmap(kAt, 8, kRw, MAP_PRIVATE).mprotect(kAt, 4, PROT_READ).charged() == kb(32));
  CHECK(Space().mmap(kAt, 8, PROT_NONE, kAnon | MAP_NORESERVE).mprotect(kAt, 8, kRw).charged() ==
        kb(0));
}

TEST_CASE("who mapped it and who had it charged are two calls", "[ledger]") {
  Space s;
  s.mmap(kAt, 8, PROT_NONE).mprotect(kAt, 2, kRw);
  REQUIRE(s.count() == 2);
  CHECK(s.space.mappings()[0].pieces[0].made_by == 100);
  CHECK(s.space.mappings()[0].pieces[0].charged_by == 101);
  CHECK(s.space.mappings()[1].pieces[0].charged_by == kUnknown);
}

TEST_CASE("a list that shows written pages settles what mprotect gives back", "[ledger]") {
  Space s;
  s.list({{kAt, kAt + 8 * kPage, kListed, 4, 4, 0}});
  CHECK(s.mprotect(kAt, 4, PROT_READ).charged() == kb(32));
}

TEST_CASE("mprotect that fails at a hole has done its work up to there", "[ledger]") {
  Space s;
  s.mmap(kAt, 4, PROT_NONE).mprotect(kAt + kPage, 10, kRw, ENOMEM);
  CHECK(s.charged() == kb(12));
  Space never(rules(6, 18, 2));
  never.mmap(kAt, 2, PROT_NONE).mmap(kAt + 2 * kPage, 2, PROT_READ).mprotect(kAt, 10, kRw, ENOMEM);
  CHECK(never.charged() == kb(0, 16));
  CHECK(never.space.unclear_failures() == 1);
}

TEST_CASE("MAP_FIXED refused leaves a hole up to 6.11", "[ledger]") {
  const auto refused = [](const HostRules& r) {
    return Space(r)
        .mmap(kAt, 4)
        .call(Op::kMmap, UINT64_MAX, {kAt, 4 * kPage, kRw, kAnon | MAP_FIXED, UINT64_MAX, 0},
              ENOMEM)
        .charged();
  };
  CHECK(refused(rules(6, 12)) == kb(16));
  CHECK(refused(rules(6, 1)) == kb(0, 16));
}

TEST_CASE("mremap grows, shrinks, moves and keeps", "[ledger]") {
  CHECK(Space().mmap(kAt, 4).mremap(kAt, 4, 6, kAt).charged() == kb(24));
  CHECK(Space().mmap(kAt, 4).mremap(kAt, 4, 1, kAt).charged() == kb(4));
  Space moved;
  moved.mmap(kAt, 4).mremap(kAt, 4, 8, kAt + 100 * kPage);
  CHECK(moved.charged() == kb(32));
  CHECK(moved.space.mappings().front().start() == kAt + 100 * kPage);
  CHECK(moved.count() == 1);
  CHECK(Space()
            .mmap(kAt, 4)
            .mremap(kAt, 4, 4, kAt + 100 * kPage, MREMAP_MAYMOVE | 4 /* DONTUNMAP */)
            .charged() == kb(32));
  CHECK(Space().mmap(kAt, 4, PROT_READ).mremap(kAt, 4, 8, kAt).charged() == kb(0));
  CHECK(Space().mremap(kAt, 4, 8, kAt).space.contradictions() > 0);
}

TEST_CASE("the break moves in pages; its record is libc's or the system call's", "[ledger]") {
  Space s;
  s.list({{kAt, kAt + 4 * kPage, kListed | kMapHeap, 0, 0, 0}});
  s.call(Op::kSbrk, kAt + 4 * kPage, {100});
  CHECK(s.charged() == kb(20));
  s.call(Op::kBrk, 0, {kAt + 8 * kPage});
  CHECK(s.charged() == kb(32));
  CHECK(s.count() == 1);
  s.call(Op::kBrk, 0, {kAt + kPage});
  CHECK(s.charged() == kb(4));
}

TEST_CASE("sbrk tells where the break was, whatever had moved it unseen", "[ledger]") {
  Space s;
  s.call(Op::kSbrk, kAt, {8 * kPage});  // the first: no list has a heap, and no brk was recorded
  CHECK(s.charged() == kb(32));
  CHECK(s.space.contradictions() == 0);
  s.call(Op::kSbrk, kAt + 12 * kPage, {4 * kPage});  // malloc had grown it by 4 pages
  CHECK(s.charged() == kb(64));
  CHECK(s.count() == 1);
  CHECK(s.space.contradictions() == 1);  // so the sums are not said to be exact
  s.call(Op::kBrk, 0, {kAt + 20 * kPage});
  s.call(Op::kSbrk, kAt + 16 * kPage,
         {4 * kPage});  // the same growth: libc's brk inside it, then itself
  CHECK(s.charged() == kb(80));
  CHECK(s.space.contradictions() == 1);
  s.call(Op::kSbrk, kAt + 20 * kPage, {0});
  CHECK(s.charged() == kb(80));
}

TEST_CASE("madvise: DONTFORK memory is not charged at a fork, WIPEONFORK memory is", "[ledger]") {
  Space s;
  s.mmap(kAt, 8).madvise(kAt, 2, MADV_DONTFORK).madvise(kAt + 2 * kPage, 2, MADV_WIPEONFORK);
  CHECK(s.count() == 3);
  CHECK(s.charged() == kb(32));
  CHECK(s.space.totals().at_fork == kb(24));
  CHECK(s.space.forked().totals().charged == kb(24));
  CHECK(s.madvise(kAt, 2, MADV_DOFORK).space.totals().at_fork == kb(32));
  CHECK(Space().mmap(kAt, 8).madvise(kAt, 2, MADV_DONTNEED).count() == 1);
}

TEST_CASE("neighbours merge as the kernel merges them", "[ledger]") {
  CHECK(Space().mmap(kAt, 2).mmap(kAt + 2 * kPage, 2).count() == 1);
  CHECK(Space().mmap(kAt, 2).mmap(kAt + 2 * kPage, 2, PROT_READ).count() == 2);
  CHECK(Space().mmap(kAt, 2).mmap(kAt + 2 * kPage, 2, kRw, kAnon | MAP_NORESERVE).count() == 2);
  CHECK(Space()
            .mmap(kAt, 2, kRw, MAP_SHARED | MAP_ANONYMOUS)
            .mmap(kAt + 2 * kPage, 2, kRw, MAP_SHARED | MAP_ANONYMOUS)
            .count() == 2);
  CHECK(Space()
            .mmap(kAt, 4, PROT_NONE)
            .mprotect(kAt, 2, kRw)
            .mprotect(kAt + 2 * kPage, 2, kRw)
            .count() == 1);
}

TEST_CASE("two written neighbours brought together are one mapping or two: the biggest is a bound",
          "[ledger]") {
  Space s;
  s.mmap(kAt, 2).mmap(kAt + 4 * kPage, 2).mmap(kAt + 2 * kPage, 2);
  CHECK(s.charged() == kb(24));
  CHECK(s.space.totals().biggest == kb(16, 24));
}

TEST_CASE("the first heap is a mapping of its own beside the end of .bss since 6.1", "[ledger]") {
  const auto heap = [](const HostRules& r) {
    Space s(r);
    s.list({{kAt, kAt + 4 * kPage, kListed, 4, 4, 0}});
    s.call(Op::kBrk, 0, {kAt + 4 * kPage}).call(Op::kBrk, 0, {kAt + 8 * kPage});
    return s.call(Op::kBrk, 0, {kAt + 12 * kPage});
  };
  CHECK(heap(rules()).count() == 2);
  CHECK(heap(rules()).space.totals().biggest == kb(32));
  CHECK(heap(rules(5, 10)).space.totals().biggest == kb(32, 48));  // may be one with it
  Space between;
  between.call(Op::kBrk, 0, {kAt}).mmap(kAt + 4 * kPage, 4);
  CHECK(between.call(Op::kBrk, 0, {kAt + 4 * kPage}).count() == 2);  // nor with what is above
}

TEST_CASE("what is called [heap] below the first brk may be .bss, up to 6.12", "[ledger]") {
  constexpr uint64_t kBssEnd = kAt + 4 * kPage;
  const auto heap = [](const HostRules& r, std::optional<uint64_t> start) {
    Space s(r);
    s.space.set_heap_start(start);
    s.list({{kAt, kBssEnd, kListed | kMapHeap, 4, 4, 0}});
    return s.call(Op::kBrk, 0, {kBssEnd + 4 * kPage});
  };
  CHECK(heap(rules(6, 1), kBssEnd).space.totals().biggest == kb(16));  // two, as in 6.1's own list
  CHECK(heap(rules(6, 1), kAt).space.totals().biggest == kb(32));
  CHECK(heap(rules(6, 1), {}).space.totals().biggest == kb(16, 32));  // may be one with it
  CHECK(heap(rules(), {}).space.totals().biggest == kb(32));
  CHECK(heap(rules(5, 10), kBssEnd).space.totals().biggest == kb(16, 32));
  // What grows beyond is heap, whatever was below.
  CHECK(heap(rules(6, 1), {}).call(Op::kBrk, 0, {kBssEnd + 8 * kPage}).space.totals().biggest ==
        kb(32, 48));
  CHECK(heap(rules(6, 1), kBssEnd).space.forked().totals().biggest == kb(16));
}

TEST_CASE("of two mappings called [heap] the upper one is heap", "[ledger]") {
  constexpr uint64_t kBssEnd = kAt + 4 * kPage, kEnd = kBssEnd + 4 * kPage;
  Space s(rules(6, 1));
  s.list(
      {{kAt, kBssEnd, kListed | kMapHeap, 4, 4, 0}, {kBssEnd, kEnd, kListed | kMapHeap, 4, 4, 0}});
  s.call(Op::kBrk, 0, {kEnd + 4 * kPage});
  CHECK(s.count() == 2);
  CHECK(s.space.totals().biggest == kb(32));
}

TEST_CASE("what lies right behind the break may be called [heap], up to 6.12", "[ledger]") {
  constexpr uint64_t kEnd = kAt + 4 * kPage;
  const auto charged = [](const HostRules& r) {
    Space s(r);
    s.list({{kAt, kEnd, kListed | kMapHeap, 4, 4, 0}}).call(Op::kBrk, 0, {kEnd});
    s.list({{kAt, kEnd, kListed | kMapHeap, 4, 4, 0},
            {kEnd, kEnd + 4 * kPage, kListed | kMapHeap, 4, 4, 0}});
    return s.call(Op::kBrk, 0, {kAt + 2 * kPage}).charged();
  };
  CHECK(charged(rules(6, 1)) == kb(24));  // the break was where it was known to be
  CHECK(charged(rules()) == kb(8));
}

TEST_CASE("written memory that is changed fits to memory never written only since 6.16",
          "[ledger]") {
  const auto beside = [](const HostRules& r) {
    Space s(r);
    s.list({{kAt, kAt + 4 * kPage, kMapRead | kMapNr | kMapDd | kMapFlagsKnown, 4, 4, 0}});
    s.mmap(kAt + 4 * kPage, 4, PROT_READ, kAnon | MAP_NORESERVE).madvise(kAt, 4, MADV_DODUMP);
    return s.space.mappings().front();
  };
  CHECK(beside(rules()).pieces.size() == 2);
  CHECK(beside(rules(6, 12)).pieces.size() == 1);
  CHECK(beside(rules(6, 12)).more_behind == Sure::kOpen);
}

TEST_CASE("a child's heap grows by a mapping of its own", "[ledger]") {
  Space s;
  s.list({{kAt, kAt + 4 * kPage, kListed | kMapHeap, 4, 4, 0}});
  Space child;
  child.space = s.space.forked();
  child.call(Op::kBrk, 0, {kAt + 8 * kPage});
  CHECK(child.count() == 2);
  CHECK(s.call(Op::kBrk, 0, {kAt + 8 * kPage}).count() == 1);
}

TEST_CASE("a list replaces what was thought and keeps who made it", "[ledger]") {
  Space s;
  s.mmap(kAt, 4).mmap(kAt + 100 * kPage, 4);
  s.list({{kAt - 2 * kPage, kAt + 4 * kPage, kListed, 0, 0, 0},
          {uint64_t{0xffffffffff600000}, 0xffffffffff601000, kMapExec, 0, 0, 0}});
  CHECK(s.charged() == kb(24));
  REQUIRE(s.count() == 1);
  const Mapping m = s.space.mappings().front();
  REQUIRE(m.pieces.size() == 2);
  CHECK(m.pieces[0].made_by == kUnknown);
  CHECK(m.pieces[1].made_by == 100);
}

TEST_CASE("mappings that overlap or end before they start are no list of the kernel", "[ledger]") {
  const auto entry = [](uint64_t from, uint64_t to) {
    return MappingEntry{kAt + from * kPage, kAt + to * kPage, kListed, 0, 0, 0};
  };
  using List = std::vector<MappingEntry>;
  CHECK(in_order(List{}));
  CHECK(in_order(List{entry(0, 1), entry(1, 2), entry(5, 7)}));
  CHECK_FALSE(in_order(List{entry(0, 2), entry(1, 3)}));
  CHECK_FALSE(in_order(List{entry(5, 7), entry(0, 1)}));
  CHECK_FALSE(in_order(List{entry(2, 2)}));
  CHECK_FALSE(in_order(List{entry(2, 1)}));
}

TEST_CASE("VmStk moves the stack's lower end", "[ledger]") {
  Space s;
  s.list({{kAt, kAt + 33 * kPage, kListed | kMapStack | kMapGd, 0, 0, 0}});
  CHECK(s.space.set_stack_kb(400));
  CHECK(s.charged() == kb(400));
  CHECK_FALSE(s.space.set_stack_kb(0));
  CHECK_FALSE(s.space.set_stack_kb(UINT64_MAX / 1024 + 1));
  CHECK(s.charged() == kb(400));
  CHECK_FALSE(Space().space.set_stack_kb(400));
}

TEST_CASE("damaged records change nothing beyond reason", "[ledger]") {
  Space s;
  s.mmap(kAt, 4);
  s.call(Op::kMmap, UINT64_MAX - 4096, {0, UINT64_MAX, kRw, kAnon, 0, 0});
  s.call(Op::kMremap, UINT64_MAX, {UINT64_MAX - 1, UINT64_MAX, UINT64_MAX, 0, 0});
  s.call(Op::kMprotect, 0, {UINT64_MAX - 100, UINT64_MAX, kRw});
  s.call(Op::kMunmap, 0, {UINT64_MAX, UINT64_MAX});
  s.call(Op::kMunmap, 0,
         {UINT64_MAX - 4100, 4097});  // within the address space, but not when rounded up to pages
  s.call(Op::kMremap, kAt + 100 * kPage, {UINT64_MAX, kPage, kPage, 0, 0});
  s.call(Op::kMadvise, 0, {UINT64_MAX, 4096, MADV_DONTFORK});
  s.call(Op::kSbrk, UINT64_MAX, {UINT64_MAX});
  s.call(Op::kMmap, kAt + 100 * kPage, {0, UINT64_MAX / 2, kRw, kAnon | MAP_HUGETLB, 0, 0});
  CHECK(s.charged() == kb(16));
  CHECK(s.space.contradictions() == 9);                   // the sums are not said to be exact
  s.call(Op::kMprotect, 0, {UINT64_MAX - 4095, 0, kRw});  // of no bytes: granted anywhere
  CHECK(s.space.contradictions() == 9);
}
