// SPDX-License-Identifier: MIT
//
// Would a fork pass: recorded hosts of several kernels, one limit after the other, and what is not
// known.
#include "tools/outlook/fork_outlook.h"

#include "tests/unit/catch.h"
#include "tests/unit/proc_tree.h"

using namespace ovc;
using namespace ovc::test;

namespace {

ForkOutlook outlook(const ProcTree& tree, Depth depth = Depth::kExact) {
  const LiveHost host(tree.root());
  const LiveProcess process = read_process(host, 100, depth);
  REQUIRE((process.state == ReadState::kRead || process.state == ReadState::kForbidden));
  return fork_outlook(process);
}

const LimitCheck* limit_of(const ForkOutlook& outlook, std::string_view cause) {
  for (const LimitCheck& check : outlook.limits)
    if (check.cause == cause) return &check;
  return nullptr;
}

bool noted(const ForkOutlook& outlook, std::string_view part) {
  for (const auto& note : outlook.finding.notes)
    if (note.find(part) != note.npos) return true;
  return false;
}

}  // namespace

TEST_CASE("check: mode 2 to the page") {
  ProcTree tree;
  tree.put("sys/vm/overcommit_memory", "2");
  // allowed = 4,000,000 - 8,192 - min(400,000 / 32 = 12,500, 131,072); committed + request must be
  // less
  const uint64_t border = 4000000 - 8192 - 12500 - 1000000;
  const auto [more, passes] = GENERATE(table<int, bool>({{-4, true}, {0, false}, {4, false}}));
  tree.mappings(100, {{"ac", 1000000},
                      {"nr", 8000000},
                      {"ac dc", 500000},
                      {"ac", border - 1000000 + static_cast<uint64_t>(more + 4) - 4}});
  const ForkOutlook o = outlook(tree);
  CHECK(o.commit.charge.kb == border + static_cast<uint64_t>(more + 4) - 4);
  CHECK(o.commit.would_pass.mode2 == passes);
  CHECK(o.answer == Answer::kBorderline);  // nearer than the kernel's own counter is exact
  CHECK(o.finding.cause == "commit-limit");
}

TEST_CASE("check: mode 2 far from the border") {
  ProcTree tree;
  tree.put("sys/vm/overcommit_memory", "2");
  tree.mappings(100, {{"ac", 1000000}, {"nr", 800000}});
  const ForkOutlook passing = outlook(tree);
  CHECK(passing.answer == Answer::kPass);
  CHECK(passing.finding.cause.empty());
  CHECK(passing.commit.charge.kb == 1000000);
  CHECK(noted(passing, "800,000 kB were mapped MAP_NORESERVE in mode 0 or 1"));

  tree.mappings(100, {{"ac", 1000000}, {"ac", 2500000}});
  const ForkOutlook failing = outlook(tree);
  CHECK(failing.answer == Answer::kFail);
  CHECK(failing.finding.cause == "commit-limit");
  REQUIRE(failing.commit.charge.refused_at);
  CHECK(failing.commit.charge.refused_at->index == 2);
  CHECK(failing.finding.would_pass->mode0 == true);
  CHECK_FALSE(failing.finding.advice.empty());
}

TEST_CASE("check: the admin reserve is spared in the initial user namespace only") {
  ProcTree tree;
  tree.put("sys/vm/overcommit_memory", "2").mappings(100, {{"ac", 1000}});
  CHECK(outlook(tree).commit.mode2->admin_reserve_kb == 8192);
  tree.process(100, "server", "CapEff:\t000001ffffffffff\n");
  tree.put("100/status",
           "Uid:\t1000\t1\nVmSize:\t400000 kB\nThreads:\t4\nCapEff:\t000001ffffffffff\n");
  CHECK(outlook(tree).commit.mode2->admin_reserve_kb == 0);
  tree.link("100/ns/user", "user:[4026532000]");
  CHECK(outlook(tree).commit.mode2->admin_reserve_kb == 8192);
  tree.remove("100/ns/user").put("100/uid_map", "         0          0 4294967295\n");
  CHECK(outlook(tree).commit.mode2->admin_reserve_kb == 0);
  tree.put("100/uid_map", "         0       1000          1\n");
  CHECK(outlook(tree).commit.mode2->admin_reserve_kb == 8192);
}

TEST_CASE("check: whether SELinux lets it use CAP_SYS_ADMIN widens the band") {
  constexpr const char* kRoot =
      "Uid:\t0\t0\nVmSize:\t400000 kB\nThreads:\t4\nCapEff:\t000001ffffffffff\n";
  ProcTree tree;
  tree.put("sys/vm/overcommit_memory", "2").mappings(100, {{"ac", 1000}});
  tree.put("100/status", kRoot).put_file("sys/fs/selinux/enforce", "1");
  const ForkOutlook free = outlook(tree);
  CHECK(free.commit.mode2->admin_reserve_kb == 0);
  tree.put("100/attr/current", "system_u:system_r:server_t:s0");
  const ForkOutlook labelled = outlook(tree);  // no policy here that could be asked
  CHECK(labelled.commit.mode2->admin_reserve_kb == 8192);
  CHECK(labelled.commit.mode2->band_kb == free.commit.mode2->band_kb + 8192);
  CHECK(noted(labelled, "SELinux"));
  REQUIRE(limit_of(labelled, "security-module"));
  CHECK(limit_of(labelled, "security-module")->answer == Answer::kUnknown);
  CHECK(labelled.answer == Answer::kPass);
  tree.put_file("sys/fs/selinux/enforce", "0");
  CHECK(outlook(tree).commit.mode2->admin_reserve_kb == 0);
  CHECK_FALSE(limit_of(outlook(tree), "security-module"));
  tree.put("100/attr/current", "/usr/sbin/mysqld (enforce)\n");  // has no say in it
  CHECK(outlook(tree).commit.mode2->admin_reserve_kb == 0);
}

TEST_CASE("check: children that SELinux's policy denies") {
  ProcTree tree;
  tree.mappings(100, {{"ac", 1000}});
  LiveProcess process = read_process(LiveHost(tree.root()), 100, Depth::kExact);
  process.label = "system_u:system_r:no_fork_t:s0", process.denied_children = true;
  const ForkOutlook denied = fork_outlook(process);
  CHECK(denied.answer == Answer::kFail);
  CHECK(denied.finding.cause == "security-module");
  CHECK(denied.finding.summary.find("no_fork_t") != std::string::npos);
  CHECK_FALSE(denied.finding.advice.empty());
  // RLIMIT_NPROC and threads-max are asked before it, memory behind it.
  tree.put("sys/kernel/threads-max", "300\n");
  LiveProcess full = read_process(LiveHost(tree.root()), 100, Depth::kExact);
  full.label = process.label, full.denied_children = true;
  CHECK(fork_outlook(full).finding.cause == "threads-max");
}

TEST_CASE("check: mode 0 on other kernels") {
  ProcTree tree;
  const auto [release, kb, answer] = GENERATE(table<const char*, uint64_t, Answer>({
      {"5.10.0-30-amd64", 8000000, Answer::kPass},
      {"5.10.0-30-amd64", 8000004, Answer::kFail},
      {"6.1.0-18-amd64", 8000000, Answer::kPass},
      {"6.1.0-18-amd64", 8000004, Answer::kFail},
      {"4.18.0-513.el8.x86_64", 400000,
       Answer::kUnknown},  // a vendor's tree: which rule it has is not known
      {"4.18.0-513.el8.x86_64", 8000004, Answer::kFail},  // by either
      {"4.19.0-26-amd64", 400000,
       Answer::kUnknown},  // the old estimate needs what user space cannot read
      {"4.19.0-26-amd64", 8000004, Answer::kFail},  // more than its upper bound
  }));
  tree.put("sys/kernel/osrelease", release)
      .mappings(100, {{"ac", 1000}, {"ac", kb}, {"nr", 9000000}});
  INFO(release << " " << kb);
  const ForkOutlook o = outlook(tree);
  CHECK(o.answer == answer);
  if (answer == Answer::kFail) CHECK(o.finding.cause == "single-request-over-ram-and-swap");
  if (answer == Answer::kUnknown) CHECK_FALSE(o.reason.empty());
}

TEST_CASE("check: mode 1 refuses nothing") {
  ProcTree tree;
  tree.put("sys/vm/overcommit_memory", "1")
      .put("sys/kernel/osrelease", "3.10.0")
      .mappings(100, {{"ac", 90000000}});
  CHECK(outlook(tree).answer == Answer::kPass);
}

TEST_CASE("check: huge pages lower the limit that the ratio makes") {
  ProcTree tree;
  tree.meminfo(8000000, 0, 3000000, 1000000, 2000000).mappings(100, {{"ac", 1000}});
  CHECK(noted(outlook(tree), "huge page pool, 2,000,000 kB, lowers CommitLimit by 1,000,000 kB"));
}

TEST_CASE("check: limits on tasks") {
  ProcTree tree;
  tree.mappings(100, {{"ac", 1000}});
  SECTION("none reached") {
    const ForkOutlook o = outlook(tree);
    CHECK(o.answer == Answer::kPass);
    CHECK(limit_of(o, "pid-max")->answer == Answer::kPass);
    CHECK(limit_of(o, "pids-max") == nullptr);
  }
  SECTION("of the control group above") {
    tree.put_group("pids/a/b/pids.max", "max\n")
        .put_group("pids/a/pids.max", "20\n")
        .put_group("pids/a/pids.current", "20\n");
    const ForkOutlook o = outlook(tree);
    CHECK(o.answer == Answer::kFail);
    CHECK(o.finding.cause == "pids-max");
    CHECK(limit_of(o, "pids-max")->what == "pids.max of /cg/pids/a");
    tree.put_group("pids/a/pids.current", "19\n");
    CHECK(outlook(tree).answer == Answer::kPass);
  }
  SECTION("of version 2") {
    tree.put("100/cgroup", "0::/x.slice\n")
        .put_group("unified/x.slice/pids.max", "7\n")
        .put_group("unified/x.slice/pids.current", "7\n");
    CHECK(outlook(tree).finding.cause == "pids-max");
  }
  SECTION("of the user") {
    tree.put("100/limits", "Max processes             9     9   processes\n");
    tree.process(101, "other");
    CHECK(outlook(tree).answer == Answer::kPass);  // 8 threads of this user
    tree.process(102, "third");
    CHECK(outlook(tree).finding.cause == "rlimit-nproc");
    tree.put("100/status",
             "Uid:\t0\t0\nVmSize:\t400000 kB\nThreads:\t4\nCapEff:\t0000000000000000\n");
    CHECK(outlook(tree).answer == Answer::kPass);  // root
  }
  SECTION("of the user, others hidden") {
    tree.put("100/limits", "Max processes             90     90   processes\n");
    tree.put("self/mountinfo", "22 1 0:20 / /proc rw - proc proc rw,hidepid=invisible\n");
    const ForkOutlook o = outlook(tree);
    CHECK(limit_of(o, "rlimit-nproc")->answer == Answer::kUnknown);
  }
  SECTION("of the host") {
    tree.put("loadavg", "0.1 0.2 0.3 2/190000 4000\n");
    CHECK(outlook(tree).finding.cause == "threads-max");
    tree.put("loadavg", "0.1 0.2 0.3 2/32767 4000\n");
    CHECK(outlook(tree).finding.cause == "pid-max");
    tree.put("loadavg", "0.1 0.2 0.3 2/30000 4000\n");
    CHECK(limit_of(outlook(tree), "pid-max")->answer == Answer::kUnknown);
  }
  SECTION("a pid namespace for children") {
    tree.link("100/ns/pid_for_children", "pid:[4026532999]");
    const ForkOutlook dead = outlook(tree);
    CHECK(dead.answer == Answer::kFail);
    CHECK(dead.finding.cause == "pidns-init-dead");
    tree.process(103, "init").put("103/status", "NSpid:\t103\t1\nUid:\t0\nVmSize: 4 kB\n");
    tree.link("103/ns/pid", "pid:[4026532999]");
    CHECK(outlook(tree).answer == Answer::kPass);
    tree.remove("100/ns/pid_for_children");
    CHECK(outlook(tree).answer == Answer::kPass);  // made and not used yet: the link cannot be read
  }
  SECTION("a full memory group is told, and proves nothing") {
    tree.put_group("memory/a/memory.limit_in_bytes", "1048576\n")
        .put_group("memory/a/memory.usage_in_bytes", "1048576\n");
    const ForkOutlook o = outlook(tree);
    CHECK(o.answer == Answer::kPass);
    CHECK(limit_of(o, "memcg")->limit == 1024);
  }
}

TEST_CASE("check: an estimate says pass only if the highest charge would pass") {
  ProcTree tree;
  tree.put("sys/vm/overcommit_memory", "2");
  tree.mappings(100, {{"ac", 1000}, {"nr", 600000}, {"ac dc", 1000}});
  const ForkOutlook low = outlook(tree, Depth::kEstimate);
  CHECK(low.estimated);
  CHECK(low.commit.charge.kb == 602000);
  CHECK(low.answer == Answer::kPass);
  tree.meminfo(8000000, 0, 1500000, 1000000, 0).put("sys/vm/overcommit_kbytes", "1500000");
  const ForkOutlook high = outlook(tree, Depth::kEstimate);
  CHECK(high.answer == Answer::kUnknown);
  CHECK(high.reason ==
        "the charge is between 0 and 602,000 kB; without --estimate it is read exactly");
  CHECK(outlook(tree).answer == Answer::kPass);  // 1,000 kB in truth
  tree.meminfo(8000000, 0, 9500000, 300000, 0).put("sys/vm/overcommit_kbytes", "9500000");
  CHECK(outlook(tree, Depth::kEstimate).commit.charge.kb ==
        300000);  // no more than all that was promised to anybody
}

TEST_CASE("check: who cannot be read or is not there") {
  ProcTree tree;
  const LiveHost host(tree.root());
  CHECK(read_process(host, 4711, Depth::kExact).state == ReadState::kGone);
  tree.mappings(100, {{"ac", 1000}}).remove("100/smaps");
  CHECK(outlook(tree).answer == Answer::kUnknown);
  CHECK_FALSE(outlook(tree).reason.empty());
  tree.put("100/smaps", "10000000-20000000 rw-p 00000000 00:00 0 \nSize: 4 kB\n");
  CHECK(outlook(tree).reason == "smaps has no VmFlags on this kernel");
  tree.put("100/stat", "100 (a) b) Z 1 1\n");
  CHECK(read_process(host, 100, Depth::kExact).state == ReadState::kZombie);
  tree.put("100/stat", "100 (kworker) S 1 1\n").put("100/status", "Uid:\t0\nThreads:\t1\n");
  CHECK(read_process(host, 100, Depth::kExact).state == ReadState::kKernel);
}
