// SPDX-License-Identifier: MIT
//
// Will a save survive: groups of both versions, what of them counts as free, and what is not known.
#include "tools/outlook/save_outlook.h"

#include "tests/unit/catch.h"
#include "tests/unit/proc_tree.h"

using namespace ovc;
using namespace ovc::test;

namespace {

constexpr uint64_t kMib = 1 << 20;

// A process of 100 MiB private pages; the host has 4,000 MiB.
struct Server {
  LiveProcess process;
  SaveHost host;

  Server() {
    process.fork.mappings_complete = true;
    process.fork.rules.kernel = {6, 1};
    process.sums.anonymous_kb = 100 * 1024;
    process.page_tables_kb = 1024;
    host.available_kb = 4000 * 1024;
    host.swap_free_kb = 0;
  }
  GroupLimit& group(uint64_t limit_mib, uint64_t used_mib, uint64_t cache_mib = 0) {
    GroupLimit group;
    group.kind = GroupLimit::Kind::kMemory;
    group.version = 2;
    group.path = "/sys/fs/cgroup/a.service";
    group.limit = limit_mib * kMib;
    group.used = used_mib * kMib;
    group.cache = cache_mib * kMib;
    process.groups.limits.push_back(group);
    return process.groups.limits.back();
  }
  SaveOutlook outlook() const { return save_outlook(process, host); }
  SaveTexts texts() const { return save_texts(outlook(), process); }
};

}  // namespace

TEST_CASE("a save may copy all private pages once, and its page tables") {
  Server server;
  const SaveOutlook o = server.outlook();
  CHECK(o.most_kb == 103 * 1024);
  CHECK(o.answer == Survival::kSurely);
  CHECK_FALSE(o.group);
  CHECK(o.more_kb == (4000 - 103) * 1024 / 2);
  CHECK(server.texts().save.starts_with("survives: "));
  server.process.sums.swapped_kb = 50 * 1024;
  CHECK(server.outlook().most_kb == 153 * 1024);
  server.process.page_tables_kb.reset();
  CHECK(server.outlook().answer == Survival::kUnknown);
}

TEST_CASE("the tightest memory group decides, and its file cache is free") {
  Server server;
  server.group(1000, 100);
  CHECK(server.outlook().answer == Survival::kSurely);
  server.group(300, 250);
  SaveOutlook o = server.outlook();
  CHECK(o.answer == Survival::kNotSurely);
  CHECK(o.free_kb == 50 * 1024);
  CHECK(o.short_kb == 53 * 1024);
  CHECK(o.limit_kb == 353 * 1024);
  CHECK(o.less_kb == 53 * 1024 / 2);
  CHECK(server.texts().save.find("may be killed for memory") == 0);
  CHECK(server.texts().advice.size() == 2);
  server.process.groups.limits.back().cache = 60 * kMib;
  o = server.outlook();
  CHECK(o.answer == Survival::kSurely);
  CHECK(o.free_kb == 110 * 1024);
}

TEST_CASE("swap that the group may take is room for a save") {
  Server server;
  server.group(300, 250).swap_room = 1000 * kMib;
  CHECK(server.outlook().answer == Survival::kNotSurely);  // the host has none
  server.host.swap_free_kb = 60 * 1024;
  CHECK(server.outlook().free_kb == 110 * 1024);
  CHECK(server.outlook().answer == Survival::kSurely);
  server.process.groups.limits.back().swap_room = 10 * kMib;
  CHECK(server.outlook().answer == Survival::kNotSurely);
}

TEST_CASE("what cannot be seen decides nothing") {
  Server server;
  server.process.groups.all_visible = false;
  CHECK(server.outlook().answer == Survival::kUnknown);
  CHECK(server.texts().save.starts_with("as far as can be seen here it survives: "));
  server.group(1000, 100);  // its own group says enough, one above it need not
  CHECK(server.outlook().answer == Survival::kUnknown);
  CHECK(server.texts().save.find("a group above that one may leave less") != std::string::npos);
  server.host.available_kb = 10 * 1024;  // too little, whatever the groups say
  CHECK(server.outlook().answer == Survival::kNotSurely);
}

TEST_CASE("memory.high slows the copies down, it kills nobody") {
  Server server;
  GroupLimit& high = server.group(200, 150, 10);
  high.kind = GroupLimit::Kind::kThrottle;
  SaveOutlook o = server.outlook();
  CHECK(o.answer == Survival::kSurely);
  REQUIRE(o.slows);
  CHECK(o.slows_after_kb == 60 * 1024);
  REQUIRE(server.texts().notes.size() == 1);
  CHECK(server.texts().notes[0].starts_with("slow after 60 MiB: from memory.high of "));
  server.process.groups.limits.back().used = 300 * kMib;
  CHECK(server.texts().notes[0].starts_with("slow from the first copy: "));
  server.group(400, 100).kind = GroupLimit::Kind::kThrottle;  // above it, with room for all
  CHECK(server.outlook().slows->limit == 200 * kMib);
  server.process.groups.limits.erase(server.process.groups.limits.begin());
  CHECK_FALSE(server.outlook().slows);
}

TEST_CASE("memory.oom.group counts up to the group that is full") {
  Server server;
  server.group(250, 200).path = "/cg/a/b";
  server.process.groups.killed_together = {"/cg/a"};  // above the one that is full
  CHECK(server.outlook().killed_together.empty());
  server.process.groups.killed_together = {"/cg/a/b/own", "/cg/a/b", "/cg/a"};
  CHECK(server.outlook().killed_together == "/cg/a/b");
  CHECK(
      server.texts().notes[0].starts_with("not the child alone: memory.oom.group = 1 in /cg/a/b"));
  server.process.groups.limits.clear();
  server.host.available_kb = 10 * 1024;  // the whole host is short
  CHECK(server.outlook().killed_together == "/cg/a");
}

TEST_CASE("where the OOM killer is off nobody is killed") {
  Server server;
  server.group(250, 200).killer_disabled = true;
  CHECK(server.texts().save.starts_with("may stand still for memory: "));
}

TEST_CASE("huge pages are named with their factor") {
  Server server;
  CHECK(server.texts().notes.empty());
  server.host.thp_always = true;
  REQUIRE(server.texts().notes.size() == 1);
  CHECK(server.texts().notes[0].find("since Linux 5.8 a write copies 4 kB") != std::string::npos);
  server.process.fork.rules.kernel = {5, 4};
  CHECK(server.texts().notes[0].find("copies 2 MiB, 512 times") != std::string::npos);
  server.process.thp_allowed = false;  // prctl(PR_SET_THP_DISABLE), as redis does
  CHECK(server.texts().notes.empty());
}

TEST_CASE("the figures of a group are read for both versions") {
  ProcTree tree;
  tree.put("100/cgroup", "5:memory:/a\n");
  tree.put_group("memory/a/memory.limit_in_bytes", "314572800\n")
      .put_group("memory/a/memory.usage_in_bytes", "209715200\n")
      .put_group("memory/a/memory.max_usage_in_bytes", "300000000\n")
      .put_group("memory/a/memory.stat",
                 "cache 1\ntotal_inactive_file 4096\ntotal_active_file 8192\n");
  GroupLimits groups = read_group_limits(tree.root(), 100);
  REQUIRE(groups.limits.size() == 1);
  CHECK(groups.limits[0].cache == 12288);
  CHECK(groups.limits[0].most == 300000000);
  CHECK_FALSE(groups.limits[0].swap_room);
  tree.put("100/cgroup", "0::/b\n");
  tree.put_group("unified/b/memory.max", "314572800\n")
      .put_group("unified/b/memory.current", "209715200\n")
      .put_group("unified/b/memory.swap.max", "max\n")
      .put_group("unified/b/memory.stat", "anon 5\ninactive_file 4096\nactive_file 4096\n");
  groups = read_group_limits(tree.root(), 100);
  REQUIRE(groups.limits.size() == 1);
  CHECK(groups.limits[0].cache == 8192);
  CHECK(groups.limits[0].swap_room == ovcshim::kInfinite);
}

TEST_CASE("swap counts at each group up to the top") {
  ProcTree tree;
  tree.put("100/cgroup", "0::/a/b\n");
  tree.put_group("unified/a/b/memory.swap.max", "1048576\n")
      .put_group("unified/a/b/memory.swap.current", "0\n")
      .put_group("unified/a/b/memory.oom.group", "1\n")
      .put_group("unified/a/b/memory.max", "max\n")
      .put_group("unified/a/b/memory.high", "104857600\n")
      .put_group("unified/a/b/memory.current", "52428800\n")
      .put_group("unified/a/memory.max", "314572800\n")
      .put_group("unified/a/memory.current", "209715200\n")
      .put_group("unified/a/memory.swap.max", "max\n");
  const GroupLimits groups = read_group_limits(tree.root(), 100);
  REQUIRE(groups.limits.size() == 2);
  CHECK(groups.limits[0].kind == GroupLimit::Kind::kMemory);
  CHECK(groups.limits[0].swap_room == 1048576);  // its own limit, though not that group's
  CHECK(groups.limits[1].kind == GroupLimit::Kind::kThrottle);
  CHECK(groups.limits[1].limit == 104857600);
  REQUIRE(groups.killed_together.size() == 1);
  CHECK(groups.killed_together[0].ends_with("/a/b"));
}

TEST_CASE("version 1: the limit of memory and swap is no room beside that of memory") {
  ProcTree tree;
  tree.put("100/cgroup", "5:memory:/a\n");
  tree.put_group("memory/a/memory.limit_in_bytes", "314572800\n")
      .put_group("memory/a/memory.usage_in_bytes", "209715200\n")
      .put_group("memory/a/memory.memsw.limit_in_bytes", "314572800\n")
      .put_group("memory/a/memory.memsw.usage_in_bytes", "209715200\n");
  CHECK(read_group_limits(tree.root(), 100).limits.at(0).swap_room == 0);
  tree.put_group("memory/a/memory.memsw.limit_in_bytes", "324572800\n");
  CHECK(read_group_limits(tree.root(), 100).limits.at(0).swap_room == 10000000);
}
