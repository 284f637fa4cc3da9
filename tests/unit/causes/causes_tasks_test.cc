// SPDX-License-Identifier: MIT
//
// EAGAIN of a new task: the clones tried after it, groups above its own, and who is named a suspect
// where nothing is proven.
#include <cerrno>

#include "tests/unit/catch.h"
#include "tests/unit/cause_case.h"
#include "tools/causes/groups.h"

using namespace ovc;
using namespace ovc::test;

namespace {

// A user with a finite limit that the host's tasks do not exclude, in a full group.
Case both_possible() {
  using enum FactKey;
  Case c(Op::kFork, EAGAIN);
  c.with(kPidsMax, 3).with(kPidsCurrent, 3).with(kPidsEventsMax, 1).baseline(kPidsEventsMax, 0);
  return c.with(kRlimitNproc, 105).with(kPidsVersion, 1);
}

}  // namespace

TEST_CASE("a full group beside a finite RLIMIT_NPROC: the clone tried afterwards tells") {
  CHECK(both_possible().cause() == "unknown");
  CHECK(both_possible().with(FactKey::kForkProbe, EFAULT).cause() == "pids-max");
  CHECK(both_possible().with(FactKey::kForkProbeEarly, EPERM).cause() == "pids-max");
  CHECK(both_possible().with(FactKey::kForkProbeEarly, EAGAIN).cause() == "rlimit-nproc");
  CHECK(both_possible().with(FactKey::kForkProbe, EAGAIN).cause() == "rlimit-nproc");
}

TEST_CASE("unknown names both, the full group first, none of them as proven") {
  const Finding f = both_possible().verdict();
  REQUIRE(f.suspects.size() == 2);
  CHECK(f.suspects[0].cause == "pids-max");
  CHECK(f.suspects[0].text ==
        "pids.max: 3 of 3 tasks in the control group, and it counted 1 refusal");
  CHECK(f.suspects[1].cause == "rlimit-nproc");
}

TEST_CASE("a clone3 without arguments tells whether a filter answers it") {
  Case spawn(Op::kPosixSpawn, EPERM), popen(Op::kPopen, ENOMEM);
  for (Case* c : {&spawn, &popen}) {
    c->with(FactKey::kSeccomp, 2);
    CHECK(Case(*c).cause() == "unknown");
    CHECK(Case(*c).with(FactKey::kClone3Answer, EINVAL).cause() == "unknown");  // the kernel's own
    CHECK(Case(*c).with(FactKey::kClone3Answer, EPERM).cause() == "seccomp");
  }
  // It was refused for something else: the filter answers another errno.
  CHECK(spawn.with(FactKey::kClone3Answer, EACCES).cause() == "unknown");
}

TEST_CASE("a clone that the kernel rejects tells whether a filter answers it") {
  for (const int err : {EAGAIN, ENOMEM}) {
    Case fork(Op::kFork, static_cast<uint16_t>(err));
    fork.with(FactKey::kSeccomp, 2).with(FactKey::kForkProbeEarly, static_cast<uint64_t>(err));
    CHECK(Case(fork).with(FactKey::kCloneAnswer, EINVAL).cause() == "unknown");
    CHECK(Case(fork)
              .with(FactKey::kRlimitNproc, 33)
              .with(FactKey::kCloneAnswer, static_cast<uint64_t>(err))
              .cause() == "seccomp");
    CHECK(Case(fork).with(FactKey::kCloneAnswer, EACCES).cause() == "unknown");
  }
}

TEST_CASE("in the root of the pids hierarchy no group can have refused") {
  Case c(Op::kFork, EAGAIN);
  c.with(FactKey::kRlimitNproc, 33);
  CHECK(c.cause() == "unknown");
  CHECK(c.with(FactKey::kPidsGroup, 2).cause() == "rlimit-nproc");
}

TEST_CASE("a counter of another group excludes nothing") {
  using enum FactKey;
  Case c(Op::kFork, EAGAIN);
  c.with(kRlimitNproc, 33).with(kPidsEventsMax, 0).baseline(kPidsEventsMax, 0);
  c.with(kPidsVersion, 1);
  CHECK(c.cause() == "rlimit-nproc");
  CHECK(Case(c).with(kPidsGroup, 0).cause() == "unknown");
  CHECK(c.with(kPidsGroupId, 7).baseline(kPidsGroupId, 8).cause() == "unknown");  // moved since
}

TEST_CASE("process numbers are not blamed while RLIMIT_NPROC may have refused before them") {
  using enum FactKey;
  Case c(Op::kFork, EAGAIN);
  c.with(kTasksTotal, 32600).with(kRlimitNproc, 100);
  CHECK(c.cause() == "unknown");
  CHECK(Case(c).with(kForkProbeEarly, EPERM).with(kForkProbe, EAGAIN).cause() == "pid-max");
}

TEST_CASE("the group above that is full is named with its path and limit") {
  Case c(Op::kFork, EAGAIN);
  c.evidence.snapshot->text =
      "pids 2 0 max 2 0 /sys/fs/cgroup/pod1/app\npids 2 1 20 20 1\npids 2 2 - - -\n";
  const Finding f = c.verdict();
  CHECK(f.cause == "pids-max");
  CHECK(f.summary == "task limit of a control group above its own reached (pids.max)");
  CHECK(has_text(f.notes, "/sys/fs/cgroup/pod1"));
  CHECK(f.short_by == 1);
}

TEST_CASE("a filter that granted the same call before did not refuse it now") {
  Case c(Op::kFork, EAGAIN);
  c.with(FactKey::kRlimitNproc, 33).with(FactKey::kPidsGroup, 2).with(FactKey::kSeccomp, 2);
  CHECK(c.cause() == "unknown");
  c.evidence.granted_before = true;
  CHECK(c.cause() == "rlimit-nproc");
}

TEST_CASE("the text of groups: paths by level, words of no meaning passed over") {
  Event snapshot = make_event(Op::kSnapshot);
  snapshot.text = "memory 1 0 9223372036854771712 5 0 0 /m/a b\nmemory 1 1 400 399 2 1\nx\npids\n";
  const auto groups = groups_of(snapshot, "memory");
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].path == "/m/a b");
  CHECK_FALSE(groups[0].limits());
  CHECK(groups[1].path == "/m");
  CHECK(groups[1].kills == 1u);
  CHECK(groups_of(snapshot, "pids").empty());
}

TEST_CASE("mprotect at vm.max_map_count in a list that was cut") {
  Case c(Op::kMprotect, ENOMEM, {0x10001000, 4096, 0});
  c.with(FactKey::kMapsCount, 65530).with(FactKey::kMapsOutsideCount, 0);
  CHECK(c.cause() == "unknown");
  c.evidence.range = {mapping(0x10000000, 64, kAnonAc)};
  c.evidence.range_known = true;
  CHECK(c.cause() == "max-map-count");
  CHECK(c.with(FactKey::kMapsOutsideCount, 1).cause() == "unknown");
  c.evidence.range.clear();
  CHECK(c.with(FactKey::kMapsOutsideCount, 0).cause() == "bad-argument");  // a hole
}
