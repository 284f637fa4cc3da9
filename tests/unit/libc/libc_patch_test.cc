// SPDX-License-Identifier: MIT
//
// patch_libc works on the process it runs in, so each check is a program of its own:
// tests/programs/libc_patch_*.cc, run through the loader. Here they are started and judged, and run
// on copies of libc that are not quite as known.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "shim/format/log_format.h"
#include "tests/unit/catch.h"

namespace {

using ovcshim::InternalsState;

#if defined(__x86_64__)
constexpr const char* kLoader = "/lib64/ld-linux-x86-64.so.2";
#else
constexpr const char* kLoader = "";
#endif
constexpr int kSkipped = 77;

struct Run {
  int status = -1;  // exit status; 256 + signal
  std::string output;
};

Run run(std::vector<std::string> command) {
  std::vector<char*> argv;
  for (std::string& word : command) argv.push_back(word.data());
  argv.push_back(nullptr);
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(ends[1], 1);
    dup2(ends[1], 2);
    unsetenv("LD_PRELOAD");
    execv(argv[0], argv.data());
    _exit(126);
  }
  close(ends[1]);
  Run result;
  char piece[4096];
  for (ssize_t n; (n = read(ends[0], piece, sizeof piece)) > 0;)
    result.output.append(piece, static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
  return result;
}

std::string program(const std::string& name) {
  return OVC_BINARY_DIR "/programs/libc_patch_" + name;
}

bool can_run() {
  if (std::filesystem::exists(kLoader) && std::filesystem::exists(program("outcome"))) return true;
  WARN("skipped: no x86-64 loader, or the test programs are not built");
  return false;
}

void judge(const Run& result) {
  INFO(result.output);
  if (result.status == kSkipped) WARN(result.output);
  CHECK((result.status == 0 || result.status == kSkipped));
}

// A directory with a copy of libc in which some system calls are made in another way that does the
// same.
class ChangedLibc {
 public:
  ChangedLibc() {
    char name[] = "/tmp/libc_patch_test.XXXXXX";
    REQUIRE(mkdtemp(name));
    directory_ = name;
    Run found = run({kLoader, "--list", program("outcome")});
    size_t start = found.output.find("libc.so.6 => ");
    REQUIRE(start != std::string::npos);
    std::string path = found.output.substr(start + 13, found.output.find(" (", start) - start - 13);
    std::ifstream file(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
  }
  ~ChangedLibc() { std::filesystem::remove_all(directory_); }
  ChangedLibc(const ChangedLibc&) = delete;
  ChangedLibc& operator=(const ChangedLibc&) = delete;

  // mov $nr,%eax becomes push $nr; pop %rax; nop; nop. Only for functions that keep nothing below
  // their stack pointer.
  void change(int nr) {
    const std::string known{'\xb8', static_cast<char>(nr), 0, 0, 0, 0x0f, 0x05};
    const std::string other{0x6a, static_cast<char>(nr), 0x58, '\x90', '\x90', 0x0f, 0x05};
    for (size_t at = 0; (at = bytes_.find(known, at)) != std::string::npos;)
      bytes_.replace(at, other.size(), other);
  }

  Run run_on(const std::string& check) {
    std::ofstream(directory_ + "/libc.so.6", std::ios::binary) << bytes_;
    return run({kLoader, "--library-path", directory_, program("outcome"), check});
  }

 private:
  std::string directory_;
  std::string bytes_;
};

int state_status(InternalsState state) { return 100 + static_cast<int>(state); }

TEST_CASE("patch_libc leaves libc alone where it must") {
  if (!can_run()) return;
  auto check = GENERATE("threaded", "no-proc", "no-write", "twice");
  CAPTURE(check);
  judge(run({kLoader, program("outcome"), check}));
}

TEST_CASE("patch_libc gives up when libc is out of reach") {
  if (can_run()) judge(run({program("outcome"), "far"}));
}

TEST_CASE("patch_libc asks for no new right and splits no mapping") {
  if (!can_run()) return;
  auto check = GENERATE("mappings", "write-xor-execute");
  CAPTURE(check);
  judge(run({kLoader, program("outcome"), check}));
}

TEST_CASE("the hook sees what malloc and fork ask of the kernel") {
  if (!can_run()) return;
  auto check = GENERATE("malloc", "arena", "refused-malloc", "fork", "refused-fork");
  CAPTURE(check);
  judge(run({kLoader, program("outcome"), check}));
}

TEST_CASE("a program cannot tell a patched libc from another") {
  if (!can_run()) return;
  judge(run({kLoader, program("outcome"), "errno"}));
  judge(run({kLoader, program("outcome"), "behind"}));
  auto check = GENERATE("registers", "unwind", "every-instruction", "signals", "threads", "cost");
  CAPTURE(check);
  judge(run({kLoader, program("transparency"), check}));
}

TEST_CASE("patch_libc takes only what it knows") {
  if (!can_run()) return;
  ChangedLibc libc;
  Run unchanged = libc.run_on("state");
  INFO(unchanged.output);
  if (unchanged.status != state_status(InternalsState::kOn)) {
    WARN("skipped: patch_libc does not know this libc as it is");
    return;
  }
  libc.change(11);  // munmap
  Run partly = libc.run_on("state");
  INFO(partly.output);
  CHECK(partly.status == state_status(InternalsState::kPartly));
  for (int nr : {9, 10, 12, 25, 28, 56}) libc.change(nr);
  Run unknown = libc.run_on("state");
  INFO(unknown.output);
  CHECK(unknown.status == state_status(InternalsState::kUnknownLibc));
}

}  // namespace
