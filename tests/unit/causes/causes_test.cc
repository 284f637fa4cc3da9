// SPDX-License-Identifier: MIT
//
// Causes of refused forks from synthetic evidence: each id once where it is proven, and next to it
// where it is not. Memory calls: causes_memory_test.cc.
#include <sched.h>
#include <signal.h>

#include "tests/unit/catch.h"
#include "tests/unit/cause_case.h"

using namespace ovc;
using namespace ovc::test;

namespace {

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
        "this service only: 177 MiB less data (maxmemory); it counts twice, in Committed_AS and "
        "again at the fork");
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
  c.with(kSwapFreeKb, 0)
      .with(kSReclaimableKb, 20000)
      .mappings({mapping(0x10000000, 3000000, kAnonAc)});
  const Finding f = c.verdict();
  CHECK(f.cause == "single-request-over-ram-and-swap");
  CHECK(f.short_by == 3000000 - (819000 - 8192));
  c.mappings({mapping(0x10000000, 700000, kAnonAc)});
  CHECK(c.cause() == "unknown");
}

TEST_CASE("fork in mode 0 on a kernel that may have either check: what both refuse") {
  Case c(Op::kFork, ENOMEM);
  c.kernel(4, 18).mappings({mapping(0x10000000, 8000004, kAnonAc)});
  c.evidence.rules.vendor_kernel = true;
  CHECK(c.cause() == "single-request-over-ram-and-swap");
  CHECK(c.verdict().short_by == 4);
  c.mappings({mapping(0x10000000, 7000000, kAnonAc)});
  CHECK(c.cause() == "unknown");
  CHECK(c.verdict().suspects.front().cause == "single-request-over-ram-and-swap");
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
  v2.mappings({})
      .with(kMemcgVersion, 2)
      .with(kMemcgFailcnt, 9)
      .with(kMemcgOom, 4)
      .with(kMemcgOomKill, 1);
  CHECK(v2.cause() == "unknown");  // no baseline: the counters may be old
  v2.baseline(kMemcgFailcnt, 5).baseline(kMemcgOom, 3).baseline(kMemcgOomKill, 1);
  CHECK(v2.cause() == "memcg");
  v2.baseline(kMemcgOomKill, 0);  // somebody was killed: then the call would have gone on
  CHECK(v2.cause() == "unknown");

  Case v1(Op::kVfork, ENOMEM);
  v1.with(kMemcgVersion, 1)
      .with(kMemcgFailcnt, 9)
      .baseline(kMemcgFailcnt, 5)
      .with(kMemcgOomKillDisable, 1);
  CHECK(v1.cause() == "memcg");
  v1.with(kMemcgOomKillDisable, 0);
  CHECK(v1.cause() == "unknown");
}

TEST_CASE("fork: pids.max of its own group, or by exclusion of one above") {
  using enum FactKey;
  Case pids(Op::kFork, EAGAIN);
  CHECK(pids.with(kPidsMax, 10).with(kPidsCurrent, 10).cause() == "pids-max");
  CHECK(pids.with(kSeccomp, 2).cause() == "pids-max");
  CHECK(pids.with(kPidsCurrent, 9).cause() == "unknown");  // it may have been the filter
  CHECK(has_text(pids.with(kSeccomp, 0).verdict().notes, "exclusion"));
  CHECK(pids.with(kPidsEventsMax, 3).baseline(kPidsEventsMax, 2).cause() == "pids-max");
  CHECK(pids.baseline(kPidsEventsMax, 3).cause() ==
        "pids-max");  // since 6.11 a group above counts its own
  CHECK(pids.with(kMemcgVersion, 1).cause() == "unknown");  // version 1 counts where the task is
  CHECK(pids.with(kPidsCurrent, 10).cause() == "unknown");
}

TEST_CASE("fork: a full group is not to blame if RLIMIT_NPROC may have refused first") {
  using enum FactKey;
  Case c(Op::kVfork, EAGAIN);
  c.with(kPidsMax, 10).with(kPidsCurrent, 10).with(kPidsEventsMax, 3).baseline(kPidsEventsMax, 2);
  CHECK(c.with(kRlimitNproc, 4).cause() == "rlimit-nproc");
  CHECK(c.with(kRlimitNproc, 100).cause() == "unknown");
  CHECK(c.with(kUid, 0).cause() == "pids-max");  // root is exempt
  CHECK(c.with(kUserNsIdentity, 0).cause() ==
        "unknown");  // root of another user namespace need not be
  CHECK(c.with(kRlimitNproc, 301).cause() == "pids-max");  // more than there are tasks
}

TEST_CASE("fork: limits of the host and of process numbers") {
  using enum FactKey;
  Case threads(Op::kVfork, EAGAIN);
  CHECK(threads.with(kTasksTotal, 60000).cause() == "threads-max");
  Case pid(Op::kFork, EAGAIN);
  CHECK(pid.with(kTasksTotal, 32600).cause() == "pid-max");
  pid.with(kPidNs, 4026532222)
      .with(kPidForChildrenNs, 4026532222)
      .with(kPidMax, 301)
      .with(kTasksTotal, 140);
  CHECK(pid.cause() == "unknown");
  pid.with(kMemcgVersion, 1).with(kPidsEventsMax, 3).baseline(kPidsEventsMax, 3);
  CHECK(pid.cause() == "pid-max");
}

TEST_CASE("a thread or posix_spawn: what clone refused is told from what the stack met") {
  using enum FactKey;
  for (const Op op : {Op::kPthreadCreate, Op::kPosixSpawn}) {
    Case c(op, EAGAIN);
    c.with(kRlimitNproc, 100)
        .with(kMemcgVersion, 1)
        .with(kPidsEventsMax, 3)
        .baseline(kPidsEventsMax, 3);
    CHECK(c.cause() == "unknown");  // the stack cannot be excluded
    c.evidence.sees_libc = true;
    CHECK(c.cause() == "rlimit-nproc");
    c.evidence.inner.push_back(mmap_case(8 * kMib, PROT_NONE).evidence);
    CHECK(c.cause() == "unknown");  // the stack was refused, whatever for
  }
}

TEST_CASE("clone: namespaces need CAP_SYS_ADMIN") {
  Case c(Op::kClone, EPERM, {CLONE_NEWNET | SIGCHLD});
  CHECK(c.cause() == "bad-argument");
  CHECK(c.with(FactKey::kCapEff, 1 << 21).cause() == "unknown");
  CHECK(Case(Op::kClone, EPERM, {CLONE_NEWUSER | CLONE_NEWNET | SIGCHLD}).cause() == "unknown");
}

TEST_CASE("fork: RLIMIT_NPROC by count, or when all else is excluded") {
  using enum FactKey;
  Case c(Op::kFork, EAGAIN);
  CHECK(c.with(kRlimitNproc, 4).cause() == "rlimit-nproc");
  c.with(kRlimitNproc, 100).took(20'000);
  CHECK(c.cause() == "rlimit-nproc");
  c.took(20'000'000);  // slow: the memory was copied first, so the refusal came later
  CHECK(c.cause() == "unknown");
  c.kernel(6, 1)
      .with(kPidsEventsMax, 7)
      .baseline(kPidsEventsMax, 7);  // counts refusals of ancestors too
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
                                       "injected",        "rehearsed",
                                       "huge-page-pool",  "huge-page-group",
                                       "seccomp"};
  for (const auto rows : {common_causes(), fork_causes(), memory_causes(), shared_causes(),
                          exec_causes(), malloc_causes()})
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
  for (const Op op : {Op::kMmap, Op::kMremap, Op::kMprotect, Op::kBrk, Op::kSbrk, Op::kMunmap,
                      Op::kMadvise, Op::kMalloc, Op::kCalloc}) {
    c.evidence.event.base.op = op;
    for (auto& arg : c.evidence.event.base.args) arg = UINT64_MAX - 1;
    CHECK_FALSE(c.cause().empty());
  }
}
