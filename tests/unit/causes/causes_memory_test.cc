// SPDX-License-Identifier: MIT
//
// Causes of refused memory calls, allocations and thread stacks from synthetic evidence.
#include "tests/unit/catch.h"
#include "tests/unit/cause_case.h"

using namespace ovc;
using namespace ovc::test;

TEST_CASE("mmap: larger than RAM and swap") {
  const Finding f = mmap_case(16 * kGib).verdict();
  CHECK(f.cause == "single-request-over-ram-and-swap");
  CHECK(f.charge->kb == 16 * kGib / 1024);
  CHECK(f.would_pass->mode1 == true);
  CHECK(mmap_case(8000000 * 1024ull).cause() == "unknown");
  CHECK(mmap_case(16 * kGib, PROT_READ).cause() == "unknown");
  CHECK(mmap_case(16 * kGib, kRw, kPrivateAnon | MAP_NORESERVE).cause() == "unknown");
  CHECK(mmap_case(16 * kGib, kRw, MAP_SHARED | MAP_ANONYMOUS).cause() ==
        "single-request-over-ram-and-swap");
}

TEST_CASE("mmap in mode 2: NORESERVE is charged, and would pass in mode 0") {
  Case c = mmap_case(16 * kGib, kRw, kPrivateAnon | MAP_NORESERVE);
  c.with(FactKey::kOvercommitMemory, 2);
  const Finding f = c.verdict();
  CHECK(f.cause == "commit-limit");
  CHECK(f.would_pass->mode0 == true);
}

TEST_CASE("mmap: limits of the process") {
  using enum FactKey;
  Case as = mmap_case(64 * kMib, PROT_NONE);
  Finding f = as.with(kRlimitAs, 128 * kMib).verdict();
  CHECK(f.cause == "rlimit-as");
  CHECK(f.short_by == 100000 + 65536 - 131072);
  CHECK(as.with(kRlimitAs, ovcshim::kInfinite).cause() == "unknown");

  CHECK(mmap_case(64 * kMib).with(kRlimitData, 96 * kMib).cause() == "rlimit-data");
  CHECK(mmap_case(64 * kMib, kRw, kPrivateAnon | MAP_NORESERVE)
            .with(kRlimitData, 96 * kMib)
            .cause() == "rlimit-data");
  CHECK(mmap_case(64 * kMib, PROT_READ).with(kRlimitData, 96 * kMib).cause() == "unknown");

  CHECK(
      mmap_case(kMib, kRw, kPrivateAnon | MAP_LOCKED, EAGAIN).with(kRlimitMemlock, 65536).cause() ==
      "rlimit-memlock");
  CHECK(mmap_case(kMib, kRw, kPrivateAnon | MAP_LOCKED, EPERM).with(kRlimitMemlock, 0).cause() ==
        "rlimit-memlock");
  CHECK(mmap_case(kMib, kRw, kPrivateAnon | MAP_LOCKED, EAGAIN)
            .with(kRlimitMemlock, 65536)
            .with(kCapEff, 1 << 14)
            .cause() == "unknown");
}

TEST_CASE("mmap: the huge page pool") {
  using enum FactKey;
  constexpr uint64_t kHuge = MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB;
  const auto pool = [](uint64_t bytes, uint64_t flags, uint64_t free, uint64_t reserved) {
    return mmap_case(bytes, kRw, flags)
        .with(kHugepagesizeKb, 2048)
        .with(kHugePagesFree, free)
        .with(kHugePagesRsvd, reserved);
  };
  const Finding f = pool(9 * kMib, kHuge, 6, 2).verdict();
  CHECK(f.cause == "huge-page-pool");
  CHECK(f.short_by == 1);
  CHECK(f.short_unit == "huge pages");
  CHECK(pool(8 * kMib, kHuge, 6, 2).cause() == "unknown");
  CHECK(pool(9 * kMib, kHuge | MAP_NORESERVE, 6, 2).cause() == "unknown");
  CHECK(pool(9 * kMib, kHuge | 30u << MAP_HUGE_SHIFT, 6, 2).cause() ==
        "unknown");  // of another pool
  CHECK(pool(9 * kMib, kHuge | 21u << MAP_HUGE_SHIFT, 6, 2).cause() == "huge-page-pool");
  CHECK(mmap_case(9 * kMib, kRw, kHuge).with(kHugePagesFree, 0).with(kHugePagesRsvd, 0).cause() ==
        "unknown");
  CHECK(pool(9 * kMib, kHuge, 6, 2).with(kRlimitAs, 1 * kMib).cause() == "rlimit-as");
}
TEST_CASE("mmap: number of mappings") {
  using enum FactKey;
  CHECK(mmap_case(4096).with(kMapsCount, 65532).cause() ==
        "max-map-count");  // one of them is [vsyscall]
  CHECK(mmap_case(4096).with(kMapsCount, 65531).cause() == "unknown");
  std::vector<ovcshim::MappingEntry> list;
  for (uint64_t i = 0; i < 12; ++i) list.push_back(mapping(0x10000000 + i * 0x10000, 4, kAnonAc));
  list.push_back(mapping(0xffffffffff600000, 4, ovcshim::kMapSpecial));
  CHECK(mmap_case(4096).with(kMaxMapCount, 11).mappings(list).cause() == "max-map-count");
  CHECK(mmap_case(4096).with(kMaxMapCount, 12).mappings(list).cause() == "unknown");
}

TEST_CASE("MAP_FIXED in the middle of a mapping needs two more at once") {
  constexpr uint64_t kFixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  const auto at = [&](uint64_t address, uint64_t flags) {
    Case c = mmap_case(4096, PROT_NONE, flags).with(FactKey::kMaxMapCount, 2);
    c.evidence.event.base.args[0] = address;
    return c.mappings({mapping(0x10000000, 64, kAnonAc), mapping(0x20000000, 64, kAnonAc)}).cause();
  };
  CHECK(at(0x10004000, kFixed) == "max-map-count");
  CHECK(at(0x10000000, kFixed) == "unknown");
  CHECK(at(0x10004000, MAP_PRIVATE | MAP_ANONYMOUS) == "unknown");
}

TEST_CASE("mmap by exclusion: only the number of mappings is left") {
  using enum FactKey;
  const auto left = [](uint64_t before) {
    Case c = mmap_case(4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
    c.with(kOvercommitMemory, 1).with(kMapsCount, 0);  // not listed
    c.evidence.count_before = before;
    return c;
  };
  CHECK(left(65500).cause() == "max-map-count");
  CHECK(has_text(left(65500).verdict().notes, "proven by exclusion"));
  CHECK(left(60000).cause() == "unknown");  // far from the limit
  CHECK(left(65500).with(kSeccomp, 2).cause() == "unknown");
  CHECK(left(65500).with(kRlimitAs, 1 << 20).cause() != "max-map-count");
  Case free_place = left(65500);
  free_place.evidence.event.base.args[3] = MAP_PRIVATE | MAP_ANONYMOUS;
  CHECK(free_place.cause() == "max-map-count");  // there is a gap of 4 kB for sure
  free_place.evidence.event.base.args[1] = 8 * kTib;
  CHECK(free_place.cause() == "unknown");
}

TEST_CASE("munmap and mprotect that split a mapping") {
  const std::vector<ovcshim::MappingEntry> list = {mapping(0x10000000, 64, kAnonAc),
                                                   mapping(0x20000000, 64, kAnonAc)};
  const auto munmap_at = [&](uint64_t at, uint64_t len) {
    return Case(Op::kMunmap, ENOMEM, {at, len})
        .with(FactKey::kMaxMapCount, 2)
        .mappings(list)
        .cause();
  };
  CHECK(munmap_at(0x10004000, 4096) == "max-map-count");
  CHECK(munmap_at(0x10000000, 65536) == "unknown");
}

TEST_CASE("address space") {
  CHECK(mmap_case(200 * kTib, PROT_NONE).cause() == "address-space");
  Case arm = mmap_case(kTib, PROT_NONE);  // a kernel for aarch64 may be built for 39 bits
  arm.evidence.machine = ovcshim::Machine::kAarch64;
  CHECK(arm.cause() != "address-space");
  arm.evidence.address_bits = 39;
  CHECK(arm.cause() == "address-space");
  Case gaps = mmap_case(kTib, PROT_NONE);
  std::vector<ovcshim::MappingEntry> list;
  for (uint64_t at = 0; at < 128 * kTib - kTib; at += kTib)
    list.push_back(mapping(at, kTib / 1024 - 4, ovcshim::kMapFlagsKnown));
  list.push_back(mapping(127 * kTib, 1024, ovcshim::kMapFlagsKnown));
  CHECK(gaps.mappings(list).cause() == "address-space");
  CHECK(gaps.mappings({mapping(0x10000000, 4, kAnonAc)}).cause() == "unknown");
}

TEST_CASE("brk meets a mapping, or a limit") {
  const auto heap = mapping(0x10000000, 132, kAnonAc | ovcshim::kMapHeap);
  const uint64_t end = heap.end;
  const auto neighbour = mapping(end + 4 * kMib, 4, kAnonAc);
  CHECK(Case(Op::kBrk, ENOMEM, {end + 8 * kMib}).mappings({heap, neighbour}).cause() ==
        "address-space");
  CHECK(Case(Op::kSbrk, ENOMEM, {8 * kMib}).mappings({heap, neighbour}).cause() == "address-space");
  CHECK(Case(Op::kSbrk, ENOMEM, {kMib}).mappings({heap, neighbour}).cause() == "unknown");
  CHECK(Case(Op::kSbrk, ENOMEM, {kMib})
            .mappings({heap, neighbour})
            .with(FactKey::kRlimitData, 49 * kMib)
            .cause() == "rlimit-data");
  CHECK(Case(Op::kBrk, ENOMEM, {end + 16 * kGib}).mappings({heap}).cause() ==
        "single-request-over-ram-and-swap");
  Case inside(Op::kBrk, ENOMEM,
              {0x10000000 + 16 * kGib});  // libc's own call returned the old break
  inside.evidence.event.base.result = 0x10000000;
  CHECK(inside.flag(ovcshim::kInsideLibc).cause() == "single-request-over-ram-and-swap");
  const auto locked = mapping(0x10000000, 132, kAnonAc | ovcshim::kMapHeap | ovcshim::kMapLo);
  CHECK(Case(Op::kSbrk, ENOMEM, {kMib})
            .mappings({locked})
            .with(FactKey::kRlimitMemlock, 65536)
            .cause() == "rlimit-memlock");
}

TEST_CASE("brk: a forked child's heap is two mappings, and grows behind the upper one") {
  const auto heap = mapping(0x10000000, 132, kAnonAc | ovcshim::kMapHeap);
  const auto grown = mapping(heap.end, 132, kAnonAc | ovcshim::kMapHeap);
  CHECK(Case(Op::kSbrk, ENOMEM, {kMib}).mappings({heap, grown}).cause() == "unknown");
  CHECK(Case(Op::kSbrk, ENOMEM, {kMib})
            .mappings({heap, grown, mapping(grown.end + kMib / 2, 4, kAnonAc)})
            .cause() == "address-space");
}

TEST_CASE("brk: in the kernel's order, without a heap yet, and locked") {
  using enum FactKey;
  const auto heap = mapping(0x10000000, 65536, kAnonAc | ovcshim::kMapHeap);
  Case both(Op::kSbrk, ENOMEM, {100 * kMib});
  both.mappings({heap}).with(kRlimitData, 60 * kMib).with(kRlimitAs, 100 * kMib);
  CHECK(both.cause() == "rlimit-data");  // brk looks at it first, at the heap alone
  CHECK(both.with(kRlimitData, 180 * kMib).cause() == "rlimit-as");
  CHECK(both.with(kMapsCount, 65532).with(kMaxMapCount, 0).cause() ==
        "rlimit-as");  // the count comes later
  Case bare(Op::kBrk, ENOMEM, {0x10000000 + 8 * kMib});
  bare.mappings({mapping(0x10000000 + 4 * kMib, 4, kAnonAc)});
  CHECK(bare.cause() == "unknown");
  bare.evidence.old_break = 0x10000000;
  CHECK(bare.cause() == "address-space");
  Case locked(Op::kSbrk, ENOMEM, {kMib});
  CHECK(locked.mappings({heap}).with(kRlimitMemlock, 65536).cause() == "rlimit-memlock");
  CHECK(locked.with(kSeccomp, 2).cause() == "unknown");
}

TEST_CASE("mremap: limits before neighbours, the count only for a move") {
  using enum FactKey;
  const auto old = mapping(0x10000000, 1024, kAnonAc),
             next = mapping(0x10000000 + kMib, 4, kAnonAc);
  Case stay(Op::kMremap, ENOMEM, {0x10000000, kMib, 64 * kMib, 0});
  CHECK(stay.mappings({old, next}).with(kRlimitAs, 128 * kMib).cause() == "rlimit-as");
  Case grow(Op::kMremap, ENOMEM, {0x10000000, kMib, 16 * kGib, MREMAP_MAYMOVE});
  CHECK(grow.mappings({old}).with(kMaxMapCount, 1).cause() ==
        "single-request-over-ram-and-swap");  // grows where it is
  CHECK(grow.mappings({old, next}).with(kMaxMapCount, 2).cause() == "max-map-count");
  Case wide(Op::kMremap, ENOMEM, {0x10000000, kMib, 127 * kTib, MREMAP_MAYMOVE});
  CHECK(wide.mappings({old, next, mapping(kTib, 4, kAnonAc)}).with(kOvercommitMemory, 1).cause() ==
        "address-space");
}

TEST_CASE("mremap in a list that was cut: what its range meets is enough") {
  using enum FactKey;
  const auto old = mapping(0x10000000, 1024, kAnonAc),
             next = mapping(0x10000000 + 2 * kMib, 4, kAnonAc);
  const auto grow = [&](std::vector<ovcshim::MappingEntry> range) {
    Case c(Op::kMremap, ENOMEM, {0x10000000, kMib, 16 * kGib, MREMAP_MAYMOVE});
    c.with(kMapsCount, 65529);
    c.evidence.range = std::move(range);
    c.evidence.range_known = true;
    return c.cause();
  };
  CHECK(grow({old}) == "single-request-over-ram-and-swap");  // as many, but it does not move
  CHECK(grow({old, next}) == "max-map-count");
  CHECK(grow({}) == "unknown");
}

TEST_CASE("madvise that splits at vm.max_map_count answers EAGAIN") {
  Case c(Op::kMadvise, EAGAIN, {0x10001000, 4096, MADV_DONTFORK});
  CHECK(c.with(FactKey::kMaxMapCount, 1).mappings({mapping(0x10000000, 64, kAnonAc)}).cause() ==
        "max-map-count");
}

TEST_CASE("mremap") {
  const auto old = mapping(0x10000000, 1024, kAnonAc);
  const auto next = mapping(0x10000000 + kMib, 4, kAnonAc);
  CHECK(Case(Op::kMremap, ENOMEM, {0x10000000, kMib, 2 * kMib, 0}).mappings({old, next}).cause() ==
        "address-space");
  CHECK(Case(Op::kMremap, ENOMEM, {0x10000000, kMib, 2 * kMib, MREMAP_MAYMOVE})
            .mappings({old, next})
            .cause() == "unknown");
  CHECK(Case(Op::kMremap, ENOMEM, {0x10000000, kMib, 16 * kGib, MREMAP_MAYMOVE})
            .mappings({old})
            .cause() == "single-request-over-ram-and-swap");
  CHECK(Case(Op::kMremap, EFAULT, {0x10000000, kMib, 2 * kMib, 0}).cause() == "bad-argument");
  Case move(Op::kMremap, ENOMEM,
            {0x10000000, kMib, kMib, MREMAP_MAYMOVE | MREMAP_FIXED, 0x20000000});
  move.mappings({old}).with(FactKey::kOvercommitMemory, 2).with(FactKey::kCommittedAsKb, 5000000);
  CHECK(move.cause() == "commit-limit");  // asks for nothing, and is refused all the same
  CHECK(move.kernel(5, 10).cause() == "unknown");
}

TEST_CASE("mprotect") {
  const uint64_t none = ovcshim::kMapFlagsKnown;
  const auto reserve = mapping(0x10000000, 16 * kGib / 1024, static_cast<uint32_t>(none));
  Case c(Op::kMprotect, ENOMEM, {0x10000000, 16 * kGib, kRw});
  CHECK(c.cause() == "unknown");  // what is there is not recorded
  CHECK(c.mappings({reserve}).cause() == "single-request-over-ram-and-swap");
  CHECK(c.mappings({mapping(0x10000000, kMib, kAnonAc)}).cause() ==
        "bad-argument");  // a hole behind what was changed
  Case hole(Op::kMprotect, ENOMEM, {0x10000000, 20 * kGib, kRw});
  CHECK(hole.mappings({reserve}).cause() ==
        "single-request-over-ram-and-swap");  // it never came to the hole
  c.evidence.mappings_complete = false;
  c.evidence.made_before = reserve;
  CHECK(c.cause() == "single-request-over-ram-and-swap");
  Case data(Op::kMprotect, ENOMEM, {0x10000000, 64 * kMib, kRw});
  CHECK(data.mappings({reserve}).with(FactKey::kRlimitData, 96 * kMib).cause() == "rlimit-data");
}

TEST_CASE("bad arguments") {
  CHECK(mmap_case(0, kRw, kPrivateAnon, EINVAL).verdict().summary == "the length is 0");
  CHECK(mmap_case(4096, kRw, MAP_PRIVATE, EBADF).cause() == "bad-argument");
  CHECK(mmap_case(4096, kRw, kPrivateAnon, EINVAL).with(FactKey::kSeccomp, 2).cause() == "seccomp");
  CHECK(mmap_case(0, kRw, kPrivateAnon, EINVAL).with(FactKey::kSeccomp, 2).cause() ==
        "bad-argument");
  Case low(Op::kMmap, EPERM, {4096, 4096, kRw, kPrivateAnon | MAP_FIXED, UINT64_MAX, 0});
  CHECK(low.cause() == "bad-argument");
  CHECK(Case(Op::kMunmap, EINVAL, {1, 4096}).verdict().summary ==
        "the address is not at the start of a page");
  CHECK(Case(Op::kMprotect, EPERM, {0x10000000, 4096, kRw})
            .mappings({mapping(0x10000000, 4, kAnonAc | ovcshim::kMapSl)})
            .cause() == "bad-argument");
  CHECK(Case(Op::kClone, EINVAL, {CLONE_THREAD}).cause() == "bad-argument");
}

TEST_CASE("what the shim refused itself") {
  CHECK(Case(Op::kFork, ENOMEM).flag(ovcshim::kInjected).cause() == "injected");
  CHECK(Case(Op::kFork, ENOMEM).flag(ovcshim::kRehearsed).cause() == "rehearsed");
}

TEST_CASE("malloc: what its size alone proves") {
  CHECK(Case(Op::kMalloc, ENOMEM, {UINT64_MAX}).cause() == "bad-argument");
  CHECK(Case(Op::kCalloc, ENOMEM, {UINT64_MAX / 2, 3}).cause() == "bad-argument");
  CHECK(Case(Op::kPosixMemalign, EINVAL, {3, 100}).cause() == "bad-argument");
  CHECK(Case(Op::kMalloc, ENOMEM, {200 * kTib}).cause() == "address-space");
  CHECK(Case(Op::kMalloc, ENOMEM, {64 * kMib}).with(FactKey::kRlimitAs, 128 * kMib).cause() ==
        "rlimit-as");
  Case big(Op::kMalloc, ENOMEM, {16 * kGib});
  CHECK(big.cause() ==
        "unknown");  // an allocator that maps MAP_NORESERVE would not have been refused for this
  big.evidence.libc_malloc = true;
  CHECK(big.cause() == "single-request-over-ram-and-swap");
  CHECK(Case(Op::kMalloc, ENOMEM, {16 * kGib}).with(FactKey::kOvercommitMemory, 2).cause() ==
        "commit-limit");
}

TEST_CASE("malloc takes the cause of what it tried inside, in order") {
  Case outer(Op::kMalloc, ENOMEM, {kTib});
  Case first = mmap_case(kTib + 4096);
  Case arena = mmap_case(128 * kMib, PROT_NONE, kPrivateAnon | MAP_NORESERVE, 0);
  arena.evidence.event.base.flags = 0;
  Case second = mmap_case(kTib + kMib);
  for (Case* c : {&first, &arena, &second}) {
    c->evidence.rules = with_facts(c->evidence.rules, c->evidence.snapshot->facts);
    outer.evidence.inner.push_back(c->evidence);
  }
  const Finding f = outer.verdict();
  CHECK(f.cause == "single-request-over-ram-and-swap");
  CHECK(f.charge->kb == (kTib + 4096) / 1024);  // the least that would have done
  REQUIRE(f.steps.size() == 3);
  CHECK(f.steps[0].cause == f.cause);
  CHECK(f.steps[1].cause.empty());
  CHECK(f.steps[1].charge_kb == 0);
  CHECK(f.steps[2].cause == f.cause);
}

TEST_CASE("pthread_create takes the cause of its stack") {
  Case outer(Op::kPthreadCreate, EAGAIN);
  Case stack = mmap_case(8 * kMib, PROT_NONE, kPrivateAnon | MAP_STACK);
  stack.with(FactKey::kRlimitAs, 100 * kMib);
  stack.evidence.rules = with_facts(stack.evidence.rules, stack.evidence.snapshot->facts);
  outer.evidence.inner.push_back(stack.evidence);
  CHECK(outer.verdict().cause == "rlimit-as");
  Case blind(Op::kPthreadCreate, EAGAIN);
  CHECK(blind.with(FactKey::kRlimitAs, 100 * kMib).with(FactKey::kRlimitStack, 8 * kMib).cause() ==
        "rlimit-as");
}

TEST_CASE(
    "pthread_create: EINVAL is the caller's only with attributes and before the stack is made") {
  CHECK(Case(Op::kPthreadCreate, EINVAL, {1}).cause() == "bad-argument");
  CHECK(Case(Op::kPthreadCreate, EINVAL, {0}).cause() == "unknown");
  Case unshared(Op::kPthreadCreate, EINVAL, {0});
  unshared.with(FactKey::kPidForChildrenNs, 4026532222);
  CHECK(unshared.verdict().summary.find("CLONE_NEWPID") != std::string::npos);
}
