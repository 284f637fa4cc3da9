// SPDX-License-Identifier: MIT
//
// The rows of commit_rules.h against the running kernel: make the mapping, then ask
// /proc/self/smaps (VmFlags) and Committed_AS. Rows of other modes are for whoever runs this under
// another vm.overcommit_memory.
#include <fcntl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

#include "tests/unit/catch.h"
#include "tests/unit/smaps_sum.h"
#include "tools/host/guess_probe.h"
#include "tools/rules/commit_rules.h"

using namespace ovc;

namespace {

constexpr int kRw = PROT_READ | PROT_WRITE;
constexpr int kPrivateAnon = MAP_PRIVATE | MAP_ANONYMOUS;
constexpr int kSharedAnon = MAP_SHARED | MAP_ANONYMOUS;
constexpr uint64_t kMib = 1 << 20;

std::string line_of(const char* path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (key.empty() || line.substr(0, key.size()) == key) return line.substr(key.size());
  return {};
}

HostRules this_host() {
  HostRules rules;
  utsname name{};
  uname(&name);
  rules.kernel = parse_kernel_release(name.release);
  rules.mode = std::stoul(line_of("/proc/sys/vm/overcommit_memory", ""));
  return rules;
}

int64_t committed_now_kb() { return std::stol(line_of("/proc/meminfo", "Committed_AS:")); }

// VmFlags of the mapping that holds an address, empty if the kernel does not tell.
std::string vm_flags_at(const void* address) {
  std::ifstream smaps("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(smaps, line);) {
    uint64_t start = 0, end = 0;
    char dash = 0;
    std::istringstream head(line);
    if (line.find("kB") == line.npos && head >> std::hex >> start >> dash >> end && dash == '-')
      here =
          start <= reinterpret_cast<uint64_t>(address) && reinterpret_cast<uint64_t>(address) < end;
    else if (here && line.starts_with("VmFlags:")) return line.substr(8);
  }
  return {};
}

bool accounted(const void* address) {
  return vm_flags_at(address).find(" ac") != std::string::npos;
}

struct Mapped {
  Mapped(size_t bytes, int prot, int flags, int fd = -1)
      : size(bytes), at(static_cast<char*>(mmap(nullptr, bytes, prot, flags, fd, 0))) {
    REQUIRE(at != MAP_FAILED);
  }
  ~Mapped() { munmap(at, size); }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  size_t size;
  char* at;
};

// Others commit and release meanwhile: a few tries, and slack of an eighth.
template <typename Action>
bool committed_grows_by(int64_t expected_kb, Action action) {
  for (int tries = 0; tries < 10; ++tries) {
    const int64_t grown_kb = action();
    if (std::abs(grown_kb - expected_kb) <= std::max<int64_t>(expected_kb / 8, 16384)) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("this kernel: which new mappings are accounted", "[kernel]") {
  if (vm_flags_at(&kMib).empty()) WARN("skipped: no VmFlags in /proc/self/smaps");
  else {
    const HostRules rules = this_host();
    const int flags = GENERATE(0, MAP_NORESERVE, MAP_STACK, MAP_GROWSDOWN);
    const int prot = GENERATE(PROT_NONE, PROT_READ, PROT_WRITE, kRw);
    CAPTURE(prot, flags, *rules.mode);
    const Mapped mapped(8 * kMib, prot, kPrivateAnon | flags);
    const MappingRow* row = mapping_row(
        mapping_kind(static_cast<uint64_t>(prot), static_cast<uint64_t>(kPrivateAnon | flags)),
        rules);
    REQUIRE(row);
    CHECK(accounted(mapped.at) == (row->cost == Cost::kLength));
  }
}

TEST_CASE("this kernel: file mappings", "[kernel]") {
  if (vm_flags_at(&kMib).empty()) WARN("skipped: no VmFlags in /proc/self/smaps");
  else {
    const int fd = memfd_create("rules", 0);
    REQUIRE(ftruncate(fd, 8 * kMib) == 0);
    const int type = GENERATE(MAP_PRIVATE, MAP_SHARED);
    const int prot = GENERATE(PROT_READ, kRw);
    CAPTURE(type, prot);
    const Mapped mapped(8 * kMib, prot, type, fd);
    close(fd);
    const MappingRow* row = mapping_row(
        mapping_kind(static_cast<uint64_t>(prot), static_cast<uint64_t>(type)), this_host());
    CHECK(accounted(mapped.at) == (row->cost == Cost::kLength));
  }
}

TEST_CASE("this kernel: shared anonymous memory is charged at once and as a whole", "[kernel]") {
  const HostRules rules = this_host();
  const int prot = GENERATE(PROT_NONE, kRw);
  const int flags = GENERATE(0, MAP_NORESERVE);
  const MappingRow* row = mapping_row(
      mapping_kind(static_cast<uint64_t>(prot), static_cast<uint64_t>(kSharedAnon | flags)), rules);
  CAPTURE(prot, flags, *rules.mode);
  CHECK(committed_grows_by(row->cost == Cost::kLength ? 256 * 1024 : 0, [&] {
    const int64_t before = committed_now_kb();
    const Mapped mapped(256 * kMib, prot, kSharedAnon | flags);
    return committed_now_kb() - before;
  }));
}

TEST_CASE("this kernel: shared memory objects", "[kernel]") {
  const HostRules rules = this_host();
  const bool noreserve = GENERATE(false, true);
  const SharedRow* row = shared_row(SharedObject::kSysV, noreserve, rules);
  REQUIRE(row);
  CAPTURE(noreserve, *rules.mode);
  CHECK(committed_grows_by(row->cost == Cost::kLength ? 256 * 1024 : 0, [&] {
    const int64_t before = committed_now_kb();
    const int id = shmget(IPC_PRIVATE, 256 * kMib, 0600 | (noreserve ? SHM_NORESERVE : 0));
    REQUIRE(id >= 0);
    const int64_t grown = committed_now_kb() - before;
    shmctl(id, IPC_RMID, nullptr);
    return grown;
  }));
}

TEST_CASE("this kernel: a memfd is charged page by page", "[kernel]") {
  REQUIRE(shared_row(SharedObject::kFile, false, this_host())->cost == Cost::kTouched);
  const bool written = GENERATE(false, true);
  CHECK(committed_grows_by(written ? 128 * 1024 : 0, [&] {
    const int64_t before = committed_now_kb();
    const int fd = memfd_create("rules", 0);
    REQUIRE(ftruncate(fd, 256 * kMib) == 0);
    if (written) REQUIRE(fallocate(fd, 0, 0, 128 * kMib) == 0);
    const int64_t grown = committed_now_kb() - before;
    close(fd);
    return grown;
  }));
}

TEST_CASE("this kernel: the era of the mode-0 check is told by trying it", "[kernel]") {
  const HostRules rules = this_host();
  const int64_t all_kb = std::stol(line_of("/proc/meminfo", "MemTotal:")) +
                         std::stol(line_of("/proc/meminfo", "SwapTotal:"));
  if (rules.mode != kModeGuess) WARN("skipped: vm.overcommit_memory is not 0");
  else CHECK(probe_simple_guess(static_cast<uint64_t>(all_kb)) == guess_is_simple(rules));
}

TEST_CASE("this kernel: a fork is charged what the rules say", "[kernel]") {
  const bool exclude = GENERATE(false, true);
  const Mapped mapped(256 * kMib, kRw, kPrivateAnon);
  const Mapped barrier(4096, PROT_NONE,
                       kPrivateAnon);  // keeps what comes later from merging with it
  if (exclude) REQUIRE(madvise(mapped.at, mapped.size, MADV_DONTFORK) == 0);
  const ChangeRow* row =
      change_row(Change::kFork, {.accounted = true, .dont_copy = exclude}, this_host());
  // The rest of this program is copied, too.
  const auto others_kb = static_cast<int64_t>(ovc::test::accounted_kb()) - 256 * 1024;
  CHECK(committed_grows_by(others_kb + (row->effect == Effect::kCharge ? 256 * 1024 : 0), [&] {
    int go[2];
    REQUIRE(pipe(go) == 0);
    const int64_t before = committed_now_kb();
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      char byte;
      close(go[1]);
      _exit(read(go[0], &byte, 1) == 0 ? 0 : 1);
    }
    const int64_t grown = committed_now_kb() - before;
    close(go[0]);
    close(go[1]);
    waitpid(child, nullptr, 0);
    return grown;
  }));
}
