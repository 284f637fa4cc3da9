// SPDX-License-Identifier: MIT
//
// Figures that are not the kernel's decide nothing: a mounted /proc/meminfo, settings and loadavg
// of somebody else, a kernel that is none; and sysinfo(2) where it can be trusted.
#include "tools/rules/host_figures.h"

#include "tests/unit/catch.h"
#include "tests/unit/cause_case.h"

using namespace ovc;
using namespace ovc::test;

namespace {

constexpr uint64_t kFuse = 0x65735546;

// The calm host as a container of 2 GB sees it through lxcfs: 8 GB and CommitLimit are the
// kernel's.
Case in_lxcfs(Case c) {
  c.with(FactKey::kMemTotalKb, 2000000).with(FactKey::kForeignFiles, ovcshim::kFileMeminfo);
  c.with(FactKey::kForeignFsType, kFuse);
  return c.with(FactKey::kSysinfoRamKb, 8000000).with(FactKey::kSysinfoSwapKb, 0);
}

Case big_mmap(uint64_t kb) { return mmap_case(kb * 1024); }

}  // namespace

TEST_CASE("lxcfs: a request larger than the faked RAM is not refused for that") {
  Case c = in_lxcfs(big_mmap(3000000));
  const Finding f = c.verdict();
  CHECK(f.cause == "unknown");
  CHECK(has_text(f.notes, "/proc/meminfo is not the kernel's (mounted over: fuse"));
  CHECK(has_text(f.notes, "sysinfo(2)"));
}

TEST_CASE("lxcfs: larger than the real RAM is, with the right figure") {
  Case c = in_lxcfs(big_mmap(9000000));
  const Finding f = c.verdict();
  CHECK(f.cause == "single-request-over-ram-and-swap");
  CHECK(f.short_by == 1000000);
  CHECK(has_text(f.notes, "not the kernel's"));
}

TEST_CASE("lxcfs in mode 2: the ratio is reckoned from the kernel's RAM") {
  Case c = in_lxcfs(big_mmap(4000000));
  c.with(FactKey::kOvercommitMemory, 2).evidence.rules.committed_kb =
      999000;  // as the header had it
  const Finding f = c.verdict();
  REQUIRE(f.cause == "commit-limit");
  REQUIRE(f.would_pass);
  CHECK(f.would_pass->mode2_with.ratio == 63);
  CHECK(f.band == 31248);
}

TEST_CASE("a copy of /proc/meminfo: its Committed_AS stands still and proves nothing") {
  Case c = in_lxcfs(big_mmap(4000000));
  c.with(FactKey::kOvercommitMemory, 2).evidence.rules.committed_kb = 1000000;
  const Finding f = c.verdict();
  CHECK(f.cause == "unknown");
  CHECK(has_text(f.notes, "its Committed_AS proves nothing"));
  REQUIRE_FALSE(f.suspects.empty());
  CHECK(f.suspects.front().cause == "commit-limit");
}

TEST_CASE("sysinfo that a filter hands on says what the faked file says: nothing holds") {
  Case c = in_lxcfs(big_mmap(9000000));
  c.with(FactKey::kSysinfoRamKb, 2000000).with(FactKey::kSeccomp, 2);
  const Finding f = c.verdict();
  CHECK(f.cause == "unknown");
  CHECK(has_text(f.notes, "do not fit together"));
}

TEST_CASE("older logs: CommitLimit that does not fit MemTotal gives the fake away") {
  Case c = big_mmap(3000000);
  c.with(FactKey::kMemTotalKb, 2000000);
  CHECK(c.cause() == "unknown");
  CHECK(has_text(c.verdict().notes, "CommitLimit does not fit MemTotal"));
  c.with(FactKey::kMemTotalKb, 2000000).with(FactKey::kOvercommitRatio, 200);
  CHECK(c.cause() == "single-request-over-ram-and-swap");  // it fits
}

TEST_CASE("where the file is the kernel's, its figures hold however they look") {
  Case c = big_mmap(3000000);
  c.with(FactKey::kMemTotalKb, 2000000).with(FactKey::kForeignFiles, 0);
  CHECK(c.cause() == "single-request-over-ram-and-swap");
  CHECK(c.verdict().notes.empty());
}

TEST_CASE("a kernel whose meminfo has no CommitLimit is not Linux") {
  HostRules rules;
  rules = with_facts(
      rules, std::vector{fact(FactKey::kMemTotalKb, 2000000), fact(FactKey::kSwapTotalKb, 0),
                         fact(FactKey::kForeignFiles, 0)});
  CHECK_FALSE(rules.ram_kb);
  CHECK(figure_notes(rules).size() == 1);
}

TEST_CASE("settings of somebody else are not used") {
  Case c = big_mmap(9000000);
  c.with(FactKey::kForeignFiles, ovcshim::kFileOvercommitMemory | ovcshim::kFileMaxMapCount);
  const Finding f = c.verdict();
  CHECK(f.cause == "unknown");
  CHECK(has_text(f.notes, "/proc/sys/vm/overcommit_memory, /proc/sys/vm/max_map_count"));
  CHECK_FALSE(c.evidence.fact(FactKey::kMaxMapCount));
}

TEST_CASE("tasks counted by somebody else's loadavg exclude nothing") {
  Case c(Op::kFork, EAGAIN);
  c.with(FactKey::kPidsMax, 10).with(FactKey::kPidsCurrent, 10).with(FactKey::kRlimitNproc, 301);
  CHECK(c.cause() == "pids-max");
  c.with(FactKey::kForeignFiles, ovcshim::kFileLoadavg);
  const Finding f = c.verdict();
  CHECK(f.cause == "unknown");
  CHECK(f.suspects.size() >= 2);
  CHECK(has_text(f.notes, "/proc/loadavg"));
}
