// SPDX-License-Identifier: MIT
//
// Causes from synthetic evidence: each id once where it is proven, and next to it the case where it is not.
#include "tools/causes.h"

#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "tests/catch.h"
#include "tests/worked_example.h"

using namespace ovc;
using namespace ovc::test;
using ovcshim::FactKey;

namespace {

constexpr uint64_t kMib = 1 << 20, kGib = 1 << 30, kTib = uint64_t{1} << 40;
constexpr uint64_t kRw = PROT_READ | PROT_WRITE, kPrivateAnon = MAP_PRIVATE | MAP_ANONYMOUS;
constexpr uint32_t kAnonAc = ovcshim::kMapRead | ovcshim::kMapWrite | ovcshim::kMapAc | ovcshim::kMapFlagsKnown;

// A host in mode 0 with plenty of everything; cases change what they are about.
std::vector<ovcshim::Fact> calm_facts() {
  using enum FactKey;
  return {fact(kMemTotalKb, 8000000),
          fact(kSwapTotalKb, 0),
          fact(kHugetlbKb, 0),
          fact(kCommitLimitKb, 4000000),
          fact(kCommittedAsKb, 1000000),
          fact(kOvercommitMemory, 0),
          fact(kOvercommitRatio, 50),
          fact(kOvercommitKbytes, 0),
          fact(kUserReserveKb, 131072),
          fact(kAdminReserveKb, 8192),
          fact(kMaxMapCount, 65530),
          fact(kVmSizeKb, 100000),
          fact(kVmDataKb, 50000),
          fact(kVmLckKb, 0),
          fact(kCapEff, 0),
          fact(kUserNsIdentity, 1),
          fact(kSeccomp, 0),
          fact(kUid, 1000),
          fact(kThreads, 4),
          fact(kTasksTotal, 300),
          fact(kThreadsMax, 60000),
          fact(kPidMax, 32768),
          fact(kSchedPolicy, 0),
          fact(kPidNs, 0xEFFFFFFC),
          fact(kPidForChildrenNs, 0xEFFFFFFC),
          fact(kMapsSource, 1),
          fact(kMmapMinAddr, 65536)};
}

void set(Event& event, FactKey key, uint64_t value) {
  const auto same = [&](const ovcshim::Fact& f) { return f.key == static_cast<uint32_t>(key); };
  const auto found = std::find_if(event.facts.begin(), event.facts.end(), same);
  if (found == event.facts.end()) event.facts.push_back(fact(key, value));
  else found->value = value;
}

struct Case {
  Evidence evidence;

  Case(Op op, uint16_t err, std::initializer_list<uint64_t> args = {}) {
    evidence.event = make_event(op);
    evidence.event.base.flags = ovcshim::kFailed;
    evidence.event.base.err = err;
    evidence.event.base.result = -1;
    set_args(evidence.event, args);
    evidence.snapshot = make_event(Op::kSnapshot);
    evidence.snapshot->facts = calm_facts();
    evidence.rules.kernel = {6, 18};
    evidence.rules.cpus = 2;
  }
  Case& with(FactKey key, uint64_t value) { return set(*evidence.snapshot, key, value), *this; }
  Case& baseline(FactKey key, uint64_t value) {
    if (!evidence.baseline) evidence.baseline = make_event(Op::kStart);
    set(*evidence.baseline, key, value);
    return *this;
  }
  Case& mappings(std::vector<ovcshim::MappingEntry> list) {
    evidence.mappings = std::move(list);
    evidence.mappings_complete = true;
    return *this;
  }
  Case& kernel(unsigned major, unsigned minor) { return evidence.rules.kernel = {major, minor}, *this; }
  Case& took(int64_t ns) { return evidence.duration_ns = ns, *this; }
  Case& flag(uint16_t flags) { return evidence.event.base.flags |= flags, *this; }
  Finding verdict() {
    if (evidence.snapshot) evidence.rules = with_facts(evidence.rules, evidence.snapshot->facts);
    return diagnose(evidence);
  }
  std::string_view cause() { return verdict().cause; }
};

ovcshim::MappingEntry mapping(uint64_t start, uint64_t kb, uint32_t flags) {
  return {start, start + kb * 1024, flags, 0, 0, 0};
}

Case mmap_case(uint64_t len, uint64_t prot = kRw, uint64_t flags = kPrivateAnon, uint16_t err = ENOMEM) {
  return {Op::kMmap, err, {0, len, prot, flags, UINT64_MAX, 0}};
}

bool has_text(const std::vector<std::string>& lines, std::string_view part) {
  return std::any_of(lines.begin(), lines.end(), [&](const std::string& line) { return line.find(part) != line.npos; });
}

Evidence worked_evidence() {
  Evidence evidence;
  evidence.event = worked_fork();
  evidence.snapshot = make_event(Op::kSnapshot);
  evidence.snapshot->facts = worked_facts();
  evidence.mappings = worked_mappings();
  evidence.mappings_complete = true;
  evidence.rules.kernel = {6, 18};
  evidence.rules.cpus = 2;
  evidence.rules = with_facts(evidence.rules, evidence.snapshot->facts);
  evidence.comm = "redis-server";
  return evidence;
}

}  // namespace

TEST_CASE("fork in mode 2: the worked example to the kB") {
  const Finding f = diagnose(worked_evidence());
  CHECK(f.cause == "commit-limit");
  REQUIRE(f.charge);
  CHECK(f.charge->kb == 1834180);
  CHECK(f.charge->mappings == 84);
  REQUIRE(f.charge->refused_at);
  CHECK(f.charge->refused_at->index == 71);
  CHECK(f.charge->refused_at->mapping.start == 0x7f09ee200000);
  CHECK(mapping_kind_text(f.charge->refused_at->mapping) == "anonymous");
  REQUIRE(f.mode2);
  CHECK(f.mode2->headroom_kb == 1473264);
  CHECK(f.short_by == 360920);
  CHECK(f.band == 96416);
  CHECK_FALSE(f.borderline);
  REQUIRE(f.would_pass);
  CHECK(f.would_pass->mode0 == true);
  CHECK(f.would_pass->mode1 == true);
  CHECK(f.would_pass->mode2 == false);
  CHECK(f.would_pass->mode2_with.ratio == 16);
  CHECK(f.would_pass->mode2_with.more_swap_mib == 353);
  REQUIRE_FALSE(f.advice.empty());
  CHECK(f.advice.front() ==
        "this service only: a maxmemory lower by 353 MiB; under mode 2 all of its data is charged again at each fork");
}

TEST_CASE("fork in mode 2 without the list of mappings: the totals are enough") {
  Evidence evidence = worked_evidence();
  evidence.mappings_complete = false;
  evidence.mappings.resize(10);
  set(*evidence.snapshot, FactKey::kMapsAcKb, 1834180);
  set(*evidence.snapshot, FactKey::kMapsAcCount, 84);
  set(*evidence.snapshot, FactKey::kMapsBiggestAcKb, 163840);
  const Finding f = diagnose(evidence);
  CHECK(f.cause == "commit-limit");
  CHECK(f.short_by == 360920);
  CHECK_FALSE(f.charge->refused_at);
}

TEST_CASE("fork in mode 2 without either is not guessed") {
  Evidence evidence = worked_evidence();
  evidence.mappings_complete = false;
  const Finding f = diagnose(evidence);
  CHECK(f.cause == "unknown");
  CHECK(has_text(f.notes, "the mappings"));
}

TEST_CASE("flags read from maps instead of smaps prove nothing") {
  Evidence evidence = worked_evidence();
  set(*evidence.snapshot, FactKey::kMapsSource, 2);
  CHECK(diagnose(evidence).cause == "unknown");
}

TEST_CASE("vfork and clone with shared memory are never refused by accounting") {
  Evidence evidence = worked_evidence();
  evidence.event.base.op = Op::kVfork;
  CHECK(diagnose(evidence).cause == "unknown");
  evidence.event.base.op = Op::kClone;
  evidence.event.base.args[0] = CLONE_VM;
  CHECK(diagnose(evidence).cause == "unknown");
  evidence.event.base.args[0] = CLONE_VFORK;
  CHECK(diagnose(evidence).cause == "commit-limit");
}

TEST_CASE("within the counter's error: borderline, but only if nothing else is proven") {
  Evidence evidence = worked_evidence();
  evidence.event.base.before.committed_kb = 1924320 - 360920;
  set(*evidence.snapshot, FactKey::kCommittedAsKb, 1924320 - 361000);
  Finding f = diagnose(evidence);
  CHECK(f.cause == "commit-limit");
  CHECK(f.borderline);
  CHECK(f.short_by == 0);
  set(*evidence.snapshot, FactKey::kPidForChildrenNs, 4026532000);
  set(*evidence.snapshot, FactKey::kPidNs, 4026532001);
  CHECK(diagnose(evidence).cause == "pidns-init-dead");
}

TEST_CASE("far from the limit mode 2 is not to blame") {
  Evidence evidence = worked_evidence();
  evidence.event.base.before.committed_kb = 1000000;
  set(*evidence.snapshot, FactKey::kCommittedAsKb, 1000000);
  const Finding f = diagnose(evidence);
  CHECK(f.cause == "unknown");
}

TEST_CASE("the reading that shows the refusal counts") {
  Evidence evidence = worked_evidence();
  evidence.event.base.before.committed_kb = 1000000;  // somebody else took the rest just then
  CHECK(diagnose(evidence).cause == "commit-limit");
  CHECK(diagnose(evidence).mode2->committed_kb == 1924324);
}

TEST_CASE("fork in mode 0: one mapping larger than the machine") {
  Case c(Op::kFork, ENOMEM);
  c.mappings({mapping(0x10000000, 4000000, kAnonAc), mapping(0x7f0000000000, 8000004, kAnonAc)});
  const Finding f = c.verdict();
  CHECK(f.cause == "single-request-over-ram-and-swap");
  CHECK(f.charge->refused_at->index == 2);
  CHECK(f.short_by == 4);
  CHECK(f.would_pass->mode0 == false);
  CHECK(f.would_pass->mode0_more_swap_mib == 1);
}

TEST_CASE("fork in mode 0: the sum does not matter") {
  Case c(Op::kFork, ENOMEM);
  c.mappings({mapping(0x10000000, 8000000, kAnonAc), mapping(0x7f0000000000, 8000000, kAnonAc)});
  CHECK(c.cause() == "unknown");
}

TEST_CASE("fork in mode 1 is never refused by accounting") {
  Case c(Op::kFork, ENOMEM);
  c.with(FactKey::kOvercommitMemory, 1).mappings({mapping(0x7f0000000000, 90000000, kAnonAc)});
  const Finding f = c.verdict();
  CHECK(f.cause == "unknown");
  CHECK(has_text(f.notes, "vm.overcommit_memory = 1"));
}

TEST_CASE("fork in mode 0 before 5.2: against the estimate of free memory") {
  using enum FactKey;
  Case c(Op::kFork, ENOMEM);
  c.kernel(4, 19)
      .with(kMemFreeKb, 500000)
      .with(kCachedKb, 300000)
      .with(kBuffersKb, 0)
      .with(kSwapCachedKb, 0)
      .with(kShmemKb, 1000);
  c.with(kSwapFreeKb, 0).with(kSReclaimableKb, 20000).mappings({mapping(0x10000000, 3000000, kAnonAc)});
  const Finding f = c.verdict();
  CHECK(f.cause == "single-request-over-ram-and-swap");
  CHECK(f.short_by == 3000000 - (819000 - 8192));
  c.mappings({mapping(0x10000000, 700000, kAnonAc)});
  CHECK(c.cause() == "unknown");
}

TEST_CASE("fork: a pid namespace without init") {
  Case c(Op::kFork, ENOMEM);
  c.mappings({}).with(FactKey::kPidForChildrenNs, 4026532222);
  CHECK(c.cause() == "pidns-init-dead");
  c.with(FactKey::kPidForChildrenNs, 0);  // no child yet: that state does not fail
  CHECK(c.cause() == "unknown");
}

TEST_CASE("fork: control group memory") {
  using enum FactKey;
  Case v2(Op::kFork, ENOMEM);
  v2.mappings({}).with(kMemcgVersion, 2).with(kMemcgFailcnt, 9).with(kMemcgOom, 4).with(kMemcgOomKill, 1);
  CHECK(v2.cause() == "unknown");  // no baseline: the counters may be old
  v2.baseline(kMemcgFailcnt, 5).baseline(kMemcgOom, 3).baseline(kMemcgOomKill, 1);
  CHECK(v2.cause() == "memcg");
  v2.baseline(kMemcgOomKill, 0);  // somebody was killed: then the call would have gone on
  CHECK(v2.cause() == "unknown");

  Case v1(Op::kVfork, ENOMEM);
  v1.with(kMemcgVersion, 1).with(kMemcgFailcnt, 9).baseline(kMemcgFailcnt, 5).with(kMemcgOomKillDisable, 1);
  CHECK(v1.cause() == "memcg");
  v1.with(kMemcgOomKillDisable, 0);
  CHECK(v1.cause() == "unknown");
}

TEST_CASE("fork: task limits") {
  using enum FactKey;
  Case pids(Op::kFork, EAGAIN);
  CHECK(pids.with(kPidsMax, 10).with(kPidsCurrent, 10).cause() == "pids-max");
  CHECK(pids.with(kPidsCurrent, 9).cause() == "unknown");
  CHECK(pids.with(kPidsEventsMax, 3).baseline(kPidsEventsMax, 2).cause() == "pids-max");
  CHECK(pids.baseline(kPidsEventsMax, 3).cause() == "unknown");
  CHECK(pids.with(kPidsMax, ovcshim::kInfinite).with(kPidsCurrent, 9).cause() == "unknown");

  Case threads(Op::kVfork, EAGAIN);
  CHECK(threads.with(kTasksTotal, 60000).cause() == "threads-max");
  Case pid(Op::kFork, EAGAIN);
  CHECK(pid.with(kTasksTotal, 32600).cause() == "pid-max");
  CHECK(pid.with(kPidNs, 4026532222).with(kPidForChildrenNs, 4026532222).cause() == "unknown");
}

TEST_CASE("fork: RLIMIT_NPROC by count, or when all else is excluded") {
  using enum FactKey;
  Case c(Op::kFork, EAGAIN);
  CHECK(c.with(kRlimitNproc, 4).cause() == "rlimit-nproc");
  c.with(kRlimitNproc, 100).took(20'000);
  CHECK(c.cause() == "rlimit-nproc");
  c.took(20'000'000);  // slow: the memory was copied first, so the refusal came later
  CHECK(c.cause() == "unknown");
  c.kernel(6, 1).with(kPidsEventsMax, 7).baseline(kPidsEventsMax, 7);  // counts refusals of ancestors too
  CHECK(c.cause() == "rlimit-nproc");
  c.kernel(6, 11);
  CHECK(c.cause() == "unknown");
  c.took(20'000).with(kSeccomp, 2);
  CHECK(c.cause() == "unknown");
  c.with(kSeccomp, 0).with(kTasksTotal, 99);  // fewer tasks on the whole host than the limit
  CHECK(c.cause() == "unknown");
  c.with(kTasksTotal, 300).with(kUid, 0);
  CHECK(c.cause() == "unknown");
}

TEST_CASE("mmap: larger than RAM and swap") {
  const Finding f = mmap_case(16 * kGib).verdict();
  CHECK(f.cause == "single-request-over-ram-and-swap");
  CHECK(f.charge->kb == 16 * kGib / 1024);
  CHECK(f.would_pass->mode1 == true);
  CHECK(mmap_case(8000000 * 1024ull).cause() == "unknown");
  CHECK(mmap_case(16 * kGib, PROT_READ).cause() == "unknown");
  CHECK(mmap_case(16 * kGib, kRw, kPrivateAnon | MAP_NORESERVE).cause() == "unknown");
  CHECK(mmap_case(16 * kGib, kRw, MAP_SHARED | MAP_ANONYMOUS).cause() == "single-request-over-ram-and-swap");
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
  CHECK(mmap_case(64 * kMib, kRw, kPrivateAnon | MAP_NORESERVE).with(kRlimitData, 96 * kMib).cause() == "rlimit-data");
  CHECK(mmap_case(64 * kMib, PROT_READ).with(kRlimitData, 96 * kMib).cause() == "unknown");

  CHECK(mmap_case(kMib, kRw, kPrivateAnon | MAP_LOCKED, EAGAIN).with(kRlimitMemlock, 65536).cause() == "rlimit-memlock");
  CHECK(mmap_case(kMib, kRw, kPrivateAnon | MAP_LOCKED, EPERM).with(kRlimitMemlock, 0).cause() == "rlimit-memlock");
  CHECK(mmap_case(kMib, kRw, kPrivateAnon | MAP_LOCKED, EAGAIN).with(kRlimitMemlock, 65536).with(kCapEff, 1 << 14).cause() ==
        "unknown");
}

TEST_CASE("mmap: number of mappings") {
  using enum FactKey;
  CHECK(mmap_case(4096).with(kMapsCount, 65532).cause() == "max-map-count");  // one of them is [vsyscall]
  CHECK(mmap_case(4096).with(kMapsCount, 65531).cause() == "unknown");
  std::vector<ovcshim::MappingEntry> list;
  for (uint64_t i = 0; i < 12; ++i) list.push_back(mapping(0x10000000 + i * 0x10000, 4, kAnonAc));
  list.push_back(mapping(0xffffffffff600000, 4, ovcshim::kMapSpecial));
  CHECK(mmap_case(4096).with(kMaxMapCount, 11).mappings(list).cause() == "max-map-count");
  CHECK(mmap_case(4096).with(kMaxMapCount, 12).mappings(list).cause() == "unknown");
}

TEST_CASE("munmap and mprotect that split a mapping") {
  const std::vector<ovcshim::MappingEntry> list = {mapping(0x10000000, 64, kAnonAc), mapping(0x20000000, 64, kAnonAc)};
  const auto munmap_at = [&](uint64_t at, uint64_t len) {
    return Case(Op::kMunmap, ENOMEM, {at, len}).with(FactKey::kMaxMapCount, 2).mappings(list).cause();
  };
  CHECK(munmap_at(0x10004000, 4096) == "max-map-count");
  CHECK(munmap_at(0x10000000, 65536) == "unknown");
}

TEST_CASE("address space") {
  CHECK(mmap_case(200 * kTib, PROT_NONE).cause() == "address-space");
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
  CHECK(Case(Op::kBrk, ENOMEM, {end + 8 * kMib}).mappings({heap, neighbour}).cause() == "address-space");
  CHECK(Case(Op::kSbrk, ENOMEM, {8 * kMib}).mappings({heap, neighbour}).cause() == "address-space");
  CHECK(Case(Op::kSbrk, ENOMEM, {kMib}).mappings({heap, neighbour}).cause() == "unknown");
  CHECK(Case(Op::kSbrk, ENOMEM, {kMib}).mappings({heap, neighbour}).with(FactKey::kRlimitData, 49 * kMib).cause() ==
        "rlimit-data");
  CHECK(Case(Op::kBrk, ENOMEM, {end + 16 * kGib}).mappings({heap}).cause() == "single-request-over-ram-and-swap");
  Case inside(Op::kBrk, ENOMEM, {0x10000000 + 16 * kGib});  // libc's own call returned the old break
  inside.evidence.event.base.result = 0x10000000;
  CHECK(inside.flag(ovcshim::kInsideLibc).cause() == "single-request-over-ram-and-swap");
  const auto locked = mapping(0x10000000, 132, kAnonAc | ovcshim::kMapHeap | ovcshim::kMapLo);
  CHECK(Case(Op::kSbrk, ENOMEM, {kMib}).mappings({locked}).with(FactKey::kRlimitMemlock, 65536).cause() == "rlimit-memlock");
}

TEST_CASE("mremap") {
  const auto old = mapping(0x10000000, 1024, kAnonAc);
  const auto next = mapping(0x10000000 + kMib, 4, kAnonAc);
  CHECK(Case(Op::kMremap, ENOMEM, {0x10000000, kMib, 2 * kMib, 0}).mappings({old, next}).cause() == "address-space");
  CHECK(Case(Op::kMremap, ENOMEM, {0x10000000, kMib, 2 * kMib, MREMAP_MAYMOVE}).mappings({old, next}).cause() == "unknown");
  CHECK(Case(Op::kMremap, ENOMEM, {0x10000000, kMib, 16 * kGib, MREMAP_MAYMOVE}).mappings({old}).cause() ==
        "single-request-over-ram-and-swap");
  CHECK(Case(Op::kMremap, EFAULT, {0x10000000, kMib, 2 * kMib, 0}).cause() == "bad-argument");
  Case move(Op::kMremap, ENOMEM, {0x10000000, kMib, kMib, MREMAP_MAYMOVE | MREMAP_FIXED, 0x20000000});
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
  CHECK(c.mappings({mapping(0x10000000, kMib, static_cast<uint32_t>(none))}).cause() == "bad-argument");  // a hole behind it
  c.evidence.mappings_complete = false;
  c.evidence.made_before = reserve;
  CHECK(c.cause() == "single-request-over-ram-and-swap");
  Case data(Op::kMprotect, ENOMEM, {0x10000000, 64 * kMib, kRw});
  CHECK(data.mappings({reserve}).with(FactKey::kRlimitData, 96 * kMib).cause() == "rlimit-data");
}

TEST_CASE("bad arguments") {
  CHECK(mmap_case(0, kRw, kPrivateAnon, EINVAL).verdict().summary == "the length is 0");
  CHECK(mmap_case(4096, kRw, MAP_PRIVATE, EBADF).cause() == "bad-argument");
  CHECK(mmap_case(4096, kRw, kPrivateAnon, EINVAL).with(FactKey::kSeccomp, 2).cause() == "unknown");
  CHECK(mmap_case(0, kRw, kPrivateAnon, EINVAL).with(FactKey::kSeccomp, 2).cause() == "bad-argument");
  Case low(Op::kMmap, EPERM, {4096, 4096, kRw, kPrivateAnon | MAP_FIXED, UINT64_MAX, 0});
  CHECK(low.cause() == "bad-argument");
  CHECK(Case(Op::kMunmap, EINVAL, {1, 4096}).verdict().summary == "the address is not at the start of a page");
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
  CHECK(Case(Op::kMalloc, ENOMEM, {64 * kMib}).with(FactKey::kRlimitAs, 128 * kMib).cause() == "rlimit-as");
  Case big(Op::kMalloc, ENOMEM, {16 * kGib});
  CHECK(big.cause() == "unknown");  // an allocator that maps MAP_NORESERVE would not have been refused for this
  big.evidence.libc_malloc = true;
  CHECK(big.cause() == "single-request-over-ram-and-swap");
  CHECK(Case(Op::kMalloc, ENOMEM, {16 * kGib}).with(FactKey::kOvercommitMemory, 2).cause() == "commit-limit");
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
  CHECK(blind.with(FactKey::kRlimitAs, 100 * kMib).with(FactKey::kRlimitStack, 8 * kMib).cause() == "rlimit-as");
}

TEST_CASE("redis is told when its start-up warning does not apply") {
  Case c(Op::kFork, EAGAIN);
  c.evidence.comm = "redis-server";
  c.with(FactKey::kPidsMax, 10).with(FactKey::kPidsCurrent, 10);
  CHECK(has_text(c.verdict().advice, "does not apply"));
  CHECK_FALSE(has_text(diagnose(worked_evidence()).advice, "does not apply"));
}

TEST_CASE("every row has an id that is promised, a meaning and a source") {
  constexpr std::string_view kIds[] = {"commit-limit",    "single-request-over-ram-and-swap",
                                       "rlimit-as",       "rlimit-data",
                                       "rlimit-memlock",  "max-map-count",
                                       "address-space",   "memcg",
                                       "pids-max",        "rlimit-nproc",
                                       "threads-max",     "pid-max",
                                       "pidns-init-dead", "bad-argument",
                                       "injected",        "rehearsed"};
  for (const auto rows : {common_causes(), fork_causes(), memory_causes(), malloc_causes()})
    for (const auto& row : rows) {
      CAPTURE(row.id);
      CHECK(std::find(std::begin(kIds), std::end(kIds), row.id) != std::end(kIds));
      CHECK_FALSE(row.meaning.empty());
      CHECK_FALSE(row.source.empty());
    }
}

TEST_CASE("hostile figures prove nothing and break nothing") {
  Case c(Op::kFork, ENOMEM);
  for (auto& f : c.evidence.snapshot->facts) f.value = UINT64_MAX - 2;
  c.evidence.event.base.before = {0, UINT64_MAX - 3, UINT64_MAX - 3, UINT64_MAX - 3, 1, 1};
  c.mappings({{UINT64_MAX - 4096, 4096, kAnonAc, 0, 0, 0}, {0, UINT64_MAX, kAnonAc, 0, 0, 0}});
  CHECK_FALSE(c.cause().empty());
  for (const Op op :
       {Op::kMmap, Op::kMremap, Op::kMprotect, Op::kBrk, Op::kSbrk, Op::kMunmap, Op::kMadvise, Op::kMalloc, Op::kCalloc}) {
    c.evidence.event.base.op = op;
    for (auto& arg : c.evidence.event.base.args) arg = UINT64_MAX - 1;
    CHECK_FALSE(c.cause().empty());
  }
}
