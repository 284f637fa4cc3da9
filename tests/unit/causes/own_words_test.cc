// SPDX-License-Identifier: MIT
//
// Advice in the service's own words: each only where the recorded facts say that it is this service
// and that it runs there.
#include <cerrno>

#include "tests/unit/catch.h"
#include "tests/unit/cause_case.h"

using namespace ovc;
using namespace ovc::test;

namespace {

const std::string kId(64, 'a');

struct PlaceCase {
  const char* path;
  Place place;
  const char* unit;
};

std::vector<std::string> advice_of(Case c) { return c.verdict().advice; }

Case full_of_tasks() {
  return Case(Op::kFork, EAGAIN).with(FactKey::kPidsMax, 10).with(FactKey::kPidsCurrent, 10);
}
Case over_rlimit_as() { return mmap_case(kGib).with(FactKey::kRlimitAs, 200 * kMib); }

bool says_none(const std::vector<std::string>& lines, std::initializer_list<const char*> words) {
  return std::none_of(words.begin(), words.end(),
                      [&](const char* word) { return has_text(lines, word); });
}

}  // namespace

TEST_CASE("where a process runs, by the path of its control group") {
  const std::string docker = "/sys/fs/cgroup/pids/docker/" + kId,
                    scope = "/system.slice/docker-" + kId + ".scope";
  const std::string pod =
      "/kubepods.slice/kubepods-burstable.slice/cri-containerd-" + kId + ".scope";
  const std::string podman = "/machine.slice/libpod-" + kId + ".scope";
  const PlaceCase kCases[] = {
      {"/sys/fs/cgroup/pids", Place::kUnknown, ""},
      {"/", Place::kUnknown, ""},
      {"", Place::kUnknown, ""},
      {"/sys/fs/cgroup/system.slice/redis-server.service", Place::kUnit, "redis-server.service"},
      {"/system.slice/redis.service/below", Place::kUnit, "redis.service"},
      {"/user.slice/user-0.slice/session-3.scope", Place::kUnit, "session-3.scope"},
      {"/system.slice/re\033[31mdis.service", Place::kUnknown, ""},  // no name of a unit
      {"/docker/short", Place::kUnknown, ""},
      {docker.c_str(), Place::kDocker, ""},
      {scope.c_str(), Place::kDocker, ""},
      {podman.c_str(), Place::kPodman, ""},
      {pod.c_str(), Place::kKubernetes, nullptr},
  };
  for (const PlaceCase& c : kCases) {
    CAPTURE(c.path);
    Setting setting;
    setting.groups = {c.path};
    std::string unit;
    CHECK(place_of(setting, &unit) == c.place);
    if (c.unit) CHECK(unit == c.unit);
  }
  Setting setting;
  setting.place_files = ovcshim::kPlaceDocker | ovcshim::kPlaceKubernetes;
  CHECK(place_of(setting) == Place::kKubernetes);
  setting.groups = {"/system.slice/a.service"};  // systemd in a container
  CHECK(place_of(setting) == Place::kUnit);
  setting.groups.clear();
  setting.place_files = 0;
  CHECK(place_of(setting) == Place::kUnknown);
}

TEST_CASE("a limit is named as those name it who set it, and by nobody else's name") {
  Case tasks = full_of_tasks();
  CHECK(says_none(advice_of(tasks), {"TasksMax", "docker", "podman", "kubelet"}));
  tasks.evidence.setting.groups = {"/system.slice/a.service"};
  CHECK(has_text(advice_of(tasks), "(TasksMax= in a.service)"));
  CHECK(says_none(advice_of(tasks), {"docker", "podman", "kubelet"}));
  tasks.evidence.setting.groups = {"/docker/" + kId};
  CHECK(has_text(advice_of(tasks), "(docker run --pids-limit)"));
  CHECK(says_none(advice_of(tasks), {"TasksMax"}));
  tasks.evidence.setting.groups = {"/kubepods/besteffort/pod1/" + kId};
  CHECK(has_text(advice_of(tasks), "podPidsLimit"));

  Case space = over_rlimit_as();
  CHECK(has_text(advice_of(space), "(ulimit -v where it is started)"));
  CHECK(says_none(advice_of(space), {"LimitAS"}));
  space.evidence.setting.groups = {"/system.slice/a.service"};
  CHECK(has_text(advice_of(space), "(LimitAS= in a.service)"));
  CHECK(says_none(advice_of(space), {"ulimit"}));
}

TEST_CASE("programs are known by their file, else by their name") {
  const auto service = [](const char* exe, const char* comm) {
    Setting setting;
    setting.exe = exe;
    return service_of(setting, comm);
  };
  CHECK(service("/usr/bin/redis-server", "anything") == Service::kRedis);
  CHECK(service("/opt/valkey-server (deleted)", "x") == Service::kRedis);
  CHECK(service("", "valkey-server") == Service::kRedis);
  CHECK(service("/usr/bin/redis-check-rdb", "redis-server") == Service::kRedis);
  CHECK(service("/usr/bin/redis-check-rdb", "redis-check-rdb") == Service::kNone);
  CHECK(service("/usr/bin/redis-cli", "redis-server") == Service::kNone);
  CHECK(service("/usr/lib/postgresql/15/bin/postgres", "postgres") == Service::kPostgres);
  CHECK(service("/usr/sbin/php-fpm8.2", "php-fpm8.2") == Service::kPhpFpm);
  CHECK(service("/usr/bin/php8.2", "php-fpm") == Service::kNone);
  CHECK(service("/usr/bin/node", "MainThread") == Service::kNode);
  CHECK(service("/usr/bin/nodejs", "node") == Service::kNode);
  CHECK(service("/usr/lib/jvm/bin/java", "java") == Service::kJava);
  CHECK(service("/usr/bin/javac", "java") == Service::kNone);
}

TEST_CASE("what the service itself can do, in its own words") {
  Case redis(Op::kFork, EAGAIN);
  redis.with(FactKey::kPidsMax, 10).with(FactKey::kPidsCurrent, 10);
  CHECK(says_none(advice_of(redis), {"stop-writes-on-bgsave-error", "max_connections"}));
  redis.evidence.comm = "redis-server";
  CHECK(has_text(advice_of(redis), "stop-writes-on-bgsave-error no"));
  CHECK(has_text(advice_of(redis), "appendonly yes"));
  Case postgres = full_of_tasks();
  postgres.evidence.setting.exe = "/usr/lib/postgresql/15/bin/postgres";
  CHECK(has_text(advice_of(postgres), "max_connections"));
  Case fpm = full_of_tasks();
  fpm.evidence.setting.exe = "/usr/sbin/php-fpm8.2";
  CHECK(has_text(advice_of(fpm), "pm.max_children"));
  Case java = over_rlimit_as();
  java.evidence.setting.exe = "/usr/lib/jvm/bin/java";
  CHECK(has_text(advice_of(java), "-Xmx"));
  Case node = over_rlimit_as();
  node.evidence.setting.exe = "/usr/bin/node";
  CHECK(has_text(advice_of(node), "no RLIMIT_AS for node"));
}

TEST_CASE("PostgreSQL's shared memory is named with its size") {
  Case c(Op::kFork, ENOMEM);
  c.evidence.setting.exe = "/usr/bin/postgres";
  c.evidence.event.base.before.committed_kb = 3990000;
  c.with(FactKey::kOvercommitMemory, 2);
  const uint32_t shared =
      ovcshim::kMapRead | ovcshim::kMapWrite | ovcshim::kMapShared | ovcshim::kMapFlagsKnown;
  c.mappings({mapping(1 << 20, 102400, kAnonAc), mapping(1 << 30, 144 * 1024, shared)});
  const Finding f = c.verdict();
  REQUIRE(f.cause == "commit-limit");
  CHECK(has_text(f.advice, "shared_buffers: 144 MiB of Committed_AS"));
}

TEST_CASE("a child that only runs a program need not be a copy") {
  Case c(Op::kFork, ENOMEM);
  c.evidence.event.base.before.committed_kb = 3990000;
  c.with(FactKey::kOvercommitMemory, 2);
  c.mappings({mapping(1 << 20, 102400, kAnonAc)});
  CHECK(says_none(advice_of(c), {"posix_spawn"}));
  c.evidence.setting.ran_programs = 3;
  CHECK(has_text(advice_of(c), "its forks from here, 3 of them, all ran one"));
  c.evidence.setting.runs_program = true;
  CHECK(has_text(advice_of(c), "start programs with posix_spawn or vfork: they copy no memory"));
  CHECK(says_none(advice_of(c), {"3 of them"}));
}

TEST_CASE("jemalloc under mode 2: the mode, not vm.max_map_count") {
  Case c = mmap_case(4096).with(FactKey::kMaxMapCount, 11);
  std::vector<ovcshim::MappingEntry> list;
  for (uint64_t i = 0; i < 12; ++i) list.push_back(mapping((i + 1) << 20, 4, kAnonAc));
  c.mappings(list);
  CHECK(has_text(advice_of(c), "a larger vm.max_map_count"));
  c.evidence.setting.jemalloc = true;
  c.evidence.setting.mode_then = 0;
  CHECK(has_text(advice_of(c), "a larger vm.max_map_count"));
  c.evidence.setting.mode_then = 2;
  CHECK(has_text(advice_of(c), "under vm.overcommit_memory = 0 or 1"));
  CHECK(says_none(advice_of(c), {"a larger vm.max_map_count"}));
}
