// SPDX-License-Identifier: MIT
//
// Which control group the shim takes for the process's own, on made-up trees of both versions.
#include "shim/proc/cgroups.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "shim/proc/group_memo.h"
#include "shim/proc/group_room.h"
#include "tests/unit/catch.h"

using namespace ovcshim;

namespace {

class Tree {
 public:
  Tree() {
    char name[] = "/tmp/ovc_groups_XXXXXX";
    top_ = mkdtemp(name);
    cgroup_ = top_ + "/cgroup", mounts_ = top_ + "/mounts", ns_ = top_ + "/ns";
    put("cgroup", "");
    std::filesystem::create_symlink("cgroup:[4026532000]", top_ + "/ns");
  }
  ~Tree() { std::filesystem::remove_all(top_); }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  Tree& put(const std::string& path, const std::string& text) {
    const std::string full = top_ + "/" + path;
    std::filesystem::create_directories(std::filesystem::path(full).parent_path());
    std::ofstream(full) << text;
    return *this;
  }
  Tree& pids(const std::string& group, const std::string& limit, const std::string& used) {
    put(group + "/pids.max", limit + "\n").put(group + "/pids.current", used + "\n");
    return put(group + "/pids.events", "max 5\n");
  }
  Tree& hugetlb(const std::string& group, const std::string& limit) {
    put(group + "/hugetlb.2MB.rsvd.max", limit + "\n");
    return put(group + "/hugetlb.2MB.rsvd.current", "2097152\n");
  }
  // Reads; the facts and the text stay until the next call.
  Tree& read() {
    return read([this](GroupText& text) { add_cgroups(facts_, io_, sizeof io_, &text, files()); });
  }
  Tree& read_huge(uint64_t kb) {
    return read(
        [&](GroupText& text) { add_huge_group(facts_, kb, io_, sizeof io_, &text, files()); });
  }
  // As a program does that starts at this tick, of which there are 1,000 in a millisecond.
  Tree& start(GroupMemo& memo, uint64_t tick, uint64_t host_kills) {
    return read([&](GroupText&) {
      add_cgroups_by_memo(facts_, io_, sizeof io_, memo, {tick, 1000, host_kills}, files());
    });
  }
  void lead_to(const std::string& link, const std::string& target) {
    std::filesystem::remove(top_ + "/" + link);
    std::filesystem::create_symlink(target, top_ + "/" + link);
  }
  void make_again(const std::string& folder) {
    std::filesystem::rename(top_ + "/" + folder, top_ + "/old");
    std::filesystem::copy(top_ + "/old", top_ + "/" + folder,
                          std::filesystem::copy_options::recursive);
  }
  uint64_t memory_room() const { return memory_group_room(files()); }
  uint64_t fact(FactKey key) const {
    for (uint32_t i = 0; i < facts_.count; ++i)
      if (list_[i].key == static_cast<uint32_t>(key)) return list_[i].value;
    return kUnknown;
  }
  std::string text() const { return text_; }

 private:
  GroupFiles files() const {
    return {cgroup_.c_str(), mounts_.c_str(), ns_.c_str(), top_.c_str(), false};
  }
  template <class F>
  Tree& read(F add) {
    facts_.count = 0;
    GroupText text{text_, sizeof text_};
    add(text);
    text_[text.length] = '\0';
    return *this;
  }
  std::string top_, cgroup_, mounts_, ns_;
  Fact list_[64]{};
  Facts facts_{list_, 64};
  char io_[8192]{}, text_[2048]{};
};

}  // namespace

TEST_CASE("version 1: the mount's root is taken off the path") {
  Tree tree;
  tree.put("cgroup", "8:pids:/docker/abc/app.service\n");
  tree.put("mounts", "40 30 0:36 /docker/abc /cg/pids rw - cgroup cgroup rw,pids\n");
  tree.pids("cg/pids/app.service", "3", "3").pids("cg/pids", "20", "9").read();
  CHECK(tree.fact(FactKey::kPidsGroup) == 1);
  CHECK(tree.fact(FactKey::kPidsMax) == 3);
  CHECK(tree.fact(FactKey::kPidsGroupsSeen) == kUnknown);  // there may be more above
  CHECK(tree.text() == "pids 1 0 3 3 5 /cg/pids/app.service\npids 1 1 20 9 5\n");
}

TEST_CASE("a group that the mount does not hold is not replaced by the mount's root") {
  Tree tree;
  tree.put("cgroup", "8:pids:/host/x\n");
  tree.put("mounts", "40 30 0:36 /docker/abc /cg/pids rw - cgroup cgroup rw,pids\n");
  tree.pids("cg/pids", "20", "9").read();
  CHECK(tree.fact(FactKey::kPidsMax) == kUnknown);
  CHECK(tree.fact(FactKey::kPidsGroup) == kUnknown);
  tree.put("cg/pids/cgroup.procs", "1\n" + std::to_string(getpid()) + "\n").read();
  CHECK(tree.fact(FactKey::kPidsMax) == 20);  // it holds this process
}

TEST_CASE("the root of a hierarchy has no limit") {
  Tree tree;
  tree.put("cgroup", "8:pids:/\n");
  tree.put("mounts", "40 30 0:36 / /cg/pids rw - cgroup cgroup rw,pids\n");
  tree.put("cg/pids/release_agent", "").put("cg/pids/cgroup.procs", "").read();
  CHECK(tree.fact(FactKey::kPidsGroup) == 2);
  CHECK(tree.fact(FactKey::kPidsGroupsSeen) == 1);
}

TEST_CASE("version 2: the nearest group that has the controller, and all above it") {
  Tree tree;
  tree.put("cgroup", "0::/kube/pod/app\n");
  tree.put("mounts", "40 30 0:36 / /cg rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
  tree.put("cg/kube/pod/app/cgroup.type", "domain\n").pids("cg/kube/pod", "20", "20");
  tree.pids("cg/kube", "max", "31").put("cg/cgroup.procs", "").read();
  CHECK(tree.fact(FactKey::kPidsMax) == 20);
  CHECK(tree.fact(FactKey::kPidsVersion) == 2);
  CHECK(tree.fact(FactKey::kPidsGroupsSeen) == 1);
  CHECK(tree.text() == "pids 2 1 20 20 5 /cg/kube/pod\npids 2 2 max 31 5\npids 2 3 - - -\n");
}

TEST_CASE("two mounts that both could hold the group decide nothing") {
  Tree tree;
  tree.put("cgroup", "8:pids:/a\n");
  tree.put("mounts",
           "40 30 0:36 / /one rw - cgroup cgroup rw,pids\n"
           "41 30 0:36 /a /two rw - cgroup cgroup rw,pids\n");
  tree.pids("one/a", "3", "1").pids("two", "4", "1").read();
  CHECK(tree.fact(FactKey::kPidsMax) == kUnknown);
}

TEST_CASE("paths too long for the buffers, and cut lines, are not known") {
  Tree tree;
  tree.put("cgroup", "8:pids:/" + std::string(600, 'x') + "\n");
  tree.put("mounts", "40 30 0:36 / /cg rw - cgroup cgroup\n40 30\n\n").read();
  CHECK(tree.fact(FactKey::kPidsGroup) == kUnknown);
}

TEST_CASE("huge pages: the files of their size, of the own group and those above") {
  Tree tree;
  tree.put("cgroup", "0::/pod/app\n");
  tree.put("mounts", "40 30 0:36 / /cg rw - cgroup2 cgroup2 rw\n");
  tree.hugetlb("cg/pod/app", "max").hugetlb("cg/pod", "4194304").put("cg/cgroup.procs", "");
  tree.read_huge(2048);
  CHECK(tree.fact(FactKey::kHugeGroup) == 1);
  CHECK(tree.fact(FactKey::kHugeGroupMax) == kInfinite);
  CHECK(tree.fact(FactKey::kHugeGroupUsage) == 2097152);
  CHECK(tree.text() ==
        "hugetlb 2 0 max 2097152 /cg/pod/app\nhugetlb 2 1 4194304 2097152\nhugetlb 2 2 - -\n");
  CHECK(tree.read_huge(1 << 20).text().empty());  // no group has files of that size
}

TEST_CASE("how much memory is left in the groups: where only a part of the tree is mounted") {
  Tree tree;
  tree.put("cgroup", "4:memory:/docker/abc/app\n");
  tree.put("mounts", "40 30 0:36 /docker/abc /cg rw - cgroup cgroup rw,memory\n");
  tree.put("cg/app/memory.limit_in_bytes", "9223372036854771712\n");
  tree.put("cg/memory.limit_in_bytes", "50000000\n");
  tree.put("cg/memory.usage_in_bytes", "30000000\n");
  const std::string rest(3000, 'x');  // longer than one read
  tree.put("cg/memory.stat", rest + " 1\ntotal_inactive_file 9000000\ntotal_active_file 1000000\n");
  CHECK(tree.memory_room() == 30000000);
  tree.put("cgroup", "4:memory:/elsewhere\n");
  CHECK(tree.memory_room() == kUnknown);  // not its own
  tree.put("cg/cgroup.procs", std::to_string(getpid()) + "\n");
  CHECK(tree.memory_room() == 30000000);
}

TEST_CASE("how much memory is left in the groups of version 2") {
  Tree tree;
  tree.put("cgroup", "0::/a\n");
  tree.put("mounts", "40 30 0:36 / /cg rw - cgroup2 cgroup2 rw\n");
  tree.put("cg/a/memory.max", "max\n").put("cg/a/memory.high", "8000\n");
  tree.put("cg/a/memory.current", "9000\n").put("cg/a/memory.stat", "inactive_file 4000\n");
  CHECK(tree.memory_room() == 3000);
}

namespace {

constexpr uint64_t kNow = 9'000'000'000, kHostKills = 4;

// Groups of version 1 as a container has them; `limit` of the memory.
Tree& put_groups(Tree& tree, const std::string& limit) {
  tree.put("cgroup", "9:memory:/app\n8:pids:/app\n");
  tree.put("mounts",
           "40 30 0:36 / /cg/pids rw - cgroup cgroup rw,pids\n"
           "41 30 0:37 / /cg/memory rw - cgroup cgroup rw,memory\n");
  tree.put("cg/memory/app/memory.limit_in_bytes", limit + "\n");
  tree.put("cg/memory/app/memory.usage_in_bytes", "1000\n");
  tree.put("cg/memory/app/memory.failcnt", "7\n");
  tree.put("cg/memory/app/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
  return tree.pids("cg/pids/app", "20", "9");
}

// Everything has changed that another program's reading does not tell.
void change_figures(Tree& tree) {
  tree.put("cg/memory/app/memory.usage_in_bytes", "2000\n");
  tree.put("cg/memory/app/memory.failcnt", "8\n");
  tree.put("cg/memory/app/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n");
  tree.pids("cg/pids/app", "20", "10").put("cg/pids/app/pids.events", "max 6\n");
}

}  // namespace

TEST_CASE("a second program in the same groups reads the counters, and copies the rest") {
  Tree tree;
  GroupMemo memo{};
  put_groups(tree, "4096000").start(memo, kNow, kHostKills);
  CHECK(tree.fact(FactKey::kMemcgUsage) == 1000);
  CHECK(tree.fact(FactKey::kGroupFiguresAgeNs) == kUnknown);
  change_figures(tree);
  tree.start(memo, kNow + 500'000, kHostKills);
  CHECK(tree.fact(FactKey::kMemcgGroup) == 1);
  CHECK(tree.fact(FactKey::kMemcgVersion) == 1);
  CHECK(tree.fact(FactKey::kMemcgLimit) == 4096000);
  CHECK(tree.fact(FactKey::kMemcgUsage) == 1000);
  CHECK(tree.fact(FactKey::kMemcgFailcnt) == 8);
  CHECK(tree.fact(FactKey::kMemcgOomKill) == 5);
  CHECK(tree.fact(FactKey::kPidsGroup) == 1);
  CHECK(tree.fact(FactKey::kPidsMax) == 20);
  CHECK(tree.fact(FactKey::kPidsCurrent) == 9);
  CHECK(tree.fact(FactKey::kPidsEventsMax) == 6);
  const uint64_t age_ns = tree.fact(FactKey::kGroupFiguresAgeNs);
  CHECK(age_ns > 200'000'000);
  CHECK(age_ns <= 500'000'000);
}

TEST_CASE("without a limit of its own a group of version 1 counts what the host counts") {
  Tree tree;
  GroupMemo memo{};
  put_groups(tree, "9223372036854771712").start(memo, kNow, kHostKills);
  change_figures(tree);
  tree.start(memo, kNow + 1000, kHostKills);
  CHECK(tree.fact(FactKey::kMemcgOomKill) == 3);
  CHECK(tree.fact(FactKey::kMemcgFailcnt) == 7);
  CHECK(tree.fact(FactKey::kPidsEventsMax) == 6);
  tree.start(memo, kNow + 2000, kHostKills + 1);  // one more on the host: it is looked at again
  CHECK(tree.fact(FactKey::kMemcgOomKill) == 5);
  CHECK(tree.fact(FactKey::kMemcgUsage) == 2000);
}

TEST_CASE("figures of version 2 groups are copied, their counters are not") {
  Tree tree;
  GroupMemo memo{};
  tree.put("cgroup", "0::/app\n");
  tree.put("mounts", "40 30 0:36 / /cg rw - cgroup2 cgroup2 rw\n").pids("cg/app", "max", "3");
  tree.put("cg/app/memory.max", "max\n").put("cg/app/memory.current", "1000\n");
  tree.put("cg/app/memory.events", "low 0\nmax 1\noom 2\noom_kill 3\n");
  tree.start(memo, kNow, kHostKills);
  tree.put("cg/app/memory.events", "low 0\nmax 4\noom 5\noom_kill 6\n");
  tree.put("cg/app/memory.current", "2000\n").put("cg/app/pids.events", "max 7\n");
  tree.start(memo, kNow + 1000, kHostKills);
  CHECK(tree.fact(FactKey::kMemcgUsage) == 1000);
  CHECK(tree.fact(FactKey::kMemcgFailcnt) == 4);
  CHECK(tree.fact(FactKey::kMemcgOom) == 5);
  CHECK(tree.fact(FactKey::kMemcgOomKill) == 6);
  CHECK(tree.fact(FactKey::kPidsEventsMax) == 7);
}

TEST_CASE("nothing is copied from another group, another namespace, another time") {
  Tree tree;
  GroupMemo memo{};
  put_groups(tree, "4096000").start(memo, kNow, kHostKills);
  change_figures(tree);
  const std::string other =
      GENERATE("group", "namespace", "folder", "time", "clock", "torn", "kills not known");
  INFO(other);
  uint64_t tick = kNow + 1000, kills = kHostKills;
  if (other == "group") {
    tree.put("cgroup", "9:memory:/app\n8:pids:/other\n").pids("cg/pids/other", "20", "9");
  }
  if (other == "namespace") tree.lead_to("ns", "cgroup:[4026532001]");
  if (other == "folder") tree.make_again("cg/memory/app");
  if (other == "time") tick = kNow + 2'000'000;
  if (other == "clock") tick = kNow - 1;
  if (other == "torn") ++memo.sequence;
  if (other == "kills not known") kills = kUnknown;
  tree.start(memo, tick, kills);
  CHECK(tree.fact(FactKey::kMemcgUsage) == 2000);
  CHECK(tree.fact(FactKey::kGroupFiguresAgeNs) == kUnknown);
}

TEST_CASE("a group that is this process's only by its list is nobody else's") {
  Tree tree;
  GroupMemo memo{};
  put_groups(tree, "4096000");
  tree.put("cgroup", "9:memory:/host/x\n8:pids:/app\n");
  tree.put("mounts",
           "40 30 0:36 / /cg/pids rw - cgroup cgroup rw,pids\n"
           "41 30 0:37 /app /cg/memory/app rw - cgroup cgroup rw,memory\n");
  tree.put("cg/memory/app/cgroup.procs", std::to_string(getpid()) + "\n");
  tree.start(memo, kNow, kHostKills);
  REQUIRE(tree.fact(FactKey::kMemcgUsage) == 1000);
  CHECK(memo.sequence == 0);
}
