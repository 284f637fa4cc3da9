// SPDX-License-Identifier: MIT
//
// ovc as its users meet it: what stands on standard output, how messages begin, and the exit
// status.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "shim/format/version.h"
#include "tests/unit/catch.h"
#include "tests/unit/log_builder.h"

using namespace ovc;
using namespace ovc::test;
using namespace ovcshim;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

namespace {

struct Outcome {
  int status = -1;  // exit status; 128 + signal
  std::string out, err;
};

std::string content(int fd) {
  std::string text(static_cast<size_t>(lseek(fd, 0, SEEK_END)), '\0');
  const ssize_t n = pread(fd, text.data(), text.size(), 0);
  close(fd);
  return n == static_cast<ssize_t>(text.size()) ? text : "";
}

// A scratch directory to run in, so that "the newest log here" is known.
struct Place {
  std::string path;
  Place() {
    char name[] = "/tmp/ovc_cli_XXXXXX";
    path = mkdtemp(name);
  }
  ~Place() { std::filesystem::remove_all(path); }
};

Outcome tool_in(const std::string& directory, const std::vector<std::string>& arguments,
                int out = -1) {
  static const std::string program = OVC_BINARY_DIR "/ovc";
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  const int stdout_fd = memfd_create("out", 0), stderr_fd = memfd_create("err", 0);
  const pid_t pid = fork();
  if (pid == 0) {
    if (chdir(directory.c_str()) != 0) _exit(99);
    dup2(out >= 0 ? out : stdout_fd, 1);
    dup2(stderr_fd, 2);
    setenv("TZ", "UTC", 1);
    execv(argv[0], argv.data());
    _exit(98);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), content(stdout_fd),
          content(stderr_fd)};
}

Outcome tool(const std::vector<std::string>& arguments) { return tool_in("/", arguments); }

// One line, "ovc: " in front, nothing on standard output, status 2.
void check_refused(const Outcome& outcome, const std::string& part) {
  CHECK(outcome.status == 2);
  CHECK(outcome.out.empty());
  CHECK_THAT(outcome.err, StartsWith("ovc: "));
  CHECK_THAT(outcome.err, ContainsSubstring(part));
  CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
}

Event refused_mmap() {
  Event event = make_event(Op::kMmap, 2'000'000'000, 2'000'005'000);
  set_args(event, {0, 1099511631872, 3, 0x22, static_cast<uint64_t>(-1), 0});
  event.base.flags = kFailed;
  event.base.err = 12;
  event.base.result = -1;
  event.base.caller = 0x401234;
  event.base.call_seq = 2;
  event.base.before = {3'200'000, 62'620, 12'342'048, 1000, 500, 200};
  return event;
}

void fill(LogBuilder& b) {
  b.put(make_module(1, 0x400000, 0x500000, 0x400000, std::string(20, 'x'), "/opt/app"));
  b.put(refused_mmap());
  LaneChunk chunk;
  chunk.opened_tick = 1'500'000'000;
  chunk.records = {{Op::kMalloc, 0x5000, 24, 0x401000}, {Op::kFree, 0x5000}};
  b.put_chunk(0, chunk);
}

const std::vector<std::string> kReaders = {"show", "forks", "stats", "why"};

}  // namespace

TEST_CASE("ovc alone says what to do next, --version its version") {
  CHECK(tool({}).status == 0);
  CHECK_THAT(tool({}).out, ContainsSubstring("ovc run -- COMMAND"));
  CHECK(tool({"--version"}).out ==
        fmt::format("ovc {} (log format {})\n", ovcshim::kVersion, ovcshim::kFormatVersion));
  CHECK(tool({"show", "--help"}).status == 0);
}

TEST_CASE("what is not understood is refused") {
  check_refused(tool({"nonsense"}), "nonsense");
  check_refused(tool({"show", "--nonsense"}), "--nonsense");
  check_refused(tool({"run"}), "no command given");
}

TEST_CASE("show: a record per line, like strace") {
  LogBuilder b;
  fill(b);
  const Outcome shown = tool({"show", b.write()});
  CHECK(shown.status == 1);
  CHECK(shown.err.empty());
  CHECK(shown.out ==
        "22:13:21.499999~ 100/100 malloc(24) = 0x5000  <- app+0x1000\n"
        "22:13:21.499999~ 100/100 free(0x5000)\n"
        "22:13:21.999999  100/100 mmap(NULL, 1099511631872, PROT_READ|PROT_WRITE, "
        "MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = -1 ENOMEM"
        "  charge 1,073,741,828 kB  Committed_AS 62,620 of 12,342,048 kB (3.20 ms old)  <- "
        "app+0x1234\n");
}

TEST_CASE("show: filters") {
  LogBuilder b;
  fill(b);
  const std::string& log = b.write();
  const auto lines = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"show", log});
    const std::string out = tool(arguments).out;
    return std::count(out.begin(), out.end(), '\n');
  };
  CHECK(lines({"--no-calls"}) == 1);
  CHECK(lines({"--op", "malloc,mmap"}) == 2);
  CHECK(lines({"--op", "%malloc"}) == 2);
  CHECK(lines({"--op", "module"}) == 1);
  CHECK(lines({"--failed"}) == 1);
  CHECK(lines({"--pid", "100"}) == 3);
  CHECK(lines({"--pid", "101"}) == 0);
  CHECK(lines({"--tid", "7,100"}) == 3);
  CHECK(lines({"--since", "+1.9"}) == 1);
  CHECK(lines({"--until", "+1.9"}) == 2);
  CHECK(lines({"--since", "22:13:21.6"}) == 1);
  CHECK(lines({"--until", "2023-11-14 22:13:21.6"}) == 2);
  CHECK(lines({"--min-size", "20"}) == 2);
  CHECK(lines({"--min-size", "1G"}) == 1);
  CHECK(tool({"show", log, "--op", "malloc"}).status == 0);
  check_refused(tool({"show", log, "--op", "nonsense"}), "no call or family");
  check_refused(tool({"show", log, "--since", "noon"}), "cannot read the time");
}

TEST_CASE("show --json: one object per line") {
  LogBuilder b;
  fill(b);
  const Outcome shown = tool({"show", "--json", "--no-calls", b.write()});
  const auto object = nlohmann::json::parse(shown.out);
  CHECK(object["op"] == "mmap");
  CHECK(object["errno"] == "ENOMEM");
  CHECK(object["args"]["len"] == 1099511631872u);
  CHECK(object["charge_kb"] == 1073741828u);
  CHECK(object["caller"]["module"] == "app");
}

TEST_CASE("forks: who, how long, and what became of the child") {
  LogBuilder b;
  Event fork = make_event(Op::kFork, 2'000'000, 3'000'000);
  fork.base.result = 200;
  fork.base.before.committed_kb = 1000;
  fork.base.args[5] = 1500;
  b.put(fork);
  Event reaped = make_event(Op::kWaitpid, 4'000'000, 5'000'000);
  reaped.base.result = 200;
  set_args(reaped, {static_cast<uint64_t>(-1), 0, 9});
  b.put(reaped);
  const std::string& log = b.write();
  const Outcome text = tool({"forks", log});
  CHECK(text.status == 0);
  CHECK_THAT(text.out,
             ContainsSubstring("fork  1.00 ms  ~500 kB    200  3.00 ms  killed by SIGKILL"));
  const auto json = nlohmann::json::parse(tool({"forks", "--json", log}).out);
  CHECK(json["forks"][0]["child"]["end"] == "killed by SIGKILL");
  CHECK(json["forks"][0]["committed_as_change_kb"] == 500);
}

TEST_CASE("forks: a refused one is something found") {
  LogBuilder b;
  Event fork = make_event(Op::kFork);
  fork.base.flags = kFailed;
  fork.base.err = 12;
  fork.base.result = -1;
  const uint64_t position = b.put(fork);
  Event snapshot = make_event(Op::kSnapshot, 1005, 1006);
  set_args(snapshot, {position});
  snapshot.facts = {{static_cast<uint32_t>(FactKey::kMapsAcKb), 0, 1'834'180}};
  b.put(snapshot);
  const Outcome text = tool({"forks", b.write()});
  CHECK(text.status == 1);
  CHECK_THAT(text.out, ContainsSubstring("1,834,180 kB  ENOMEM"));
}

TEST_CASE("stats: exact totals") {
  LogBuilder b;
  fill(b);
  b.process(0).use = static_cast<uint32_t>(SlotUse::kLive);
  b.process(0).pid = 100, b.process(0).serial = 1;
  b.stripe(1).process_serial = 1, b.stripe(1).fold_id = 1;
  b.stripe(1).calls[static_cast<size_t>(Op::kMalloc)] = 1'234'567;
  b.stripe(1).sizes[5] = 1'234'567;
  const std::string& log = b.write();
  const Outcome text = tool({"stats", log});
  CHECK(text.status == 0);
  CHECK_THAT(text.out, ContainsSubstring("malloc  1,234,567"));
  CHECK_THAT(text.out, ContainsSubstring("< 32 B  1,234,567  ########"));
  const auto json = nlohmann::json::parse(tool({"stats", "--json", log}).out);
  CHECK(json["processes"][0]["totals"]["calls"]["malloc"]["calls"] == 1234567);
}

TEST_CASE("each reader refuses what it cannot read, in one line") {
  const std::string command = GENERATE(from_range(kReaders));
  LogBuilder b;
  Place place;
  check_refused(tool({command, "/nonexistent.ovc"}), "No such file");
  check_refused(tool({command, place.path}), "is a directory");
  SECTION("empty") {
    b.truncate(0);
    check_refused(tool({command, b.write()}), "is empty");
  }
  SECTION("foreign") {
    b.bytes()[3] = 'x';
    check_refused(tool({command, b.write()}), "is not an ovcshim log");
  }
  SECTION("newer") {
    b.header().incompatible_flags = ~kKnownIncompatibleFlags;
    check_refused(tool({command, b.write()}), "needs a newer ovc");
  }
  SECTION("other architecture") {
    b.header().machine = 8;
    check_refused(tool({command, b.write()}), "another architecture");
  }
  SECTION("truncated") {
    b.truncate(b.bytes().size() / 2);
    check_refused(tool({command, b.write()}), "is cut off");
  }
  SECTION("half-written") {
    b.header().ready = 0;
    check_refused(tool({command, b.write()}), "is half-written");
  }
  SECTION("FIFO") {
    const std::string fifo = place.path + "/x.ovc";
    REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
    check_refused(tool({command, fifo}), "is not a regular file");
  }
  SECTION("unreadable") {
    if (geteuid() == 0) return;  // root reads everything
    const std::string file = place.path + "/x.ovc";
    close(open(file.c_str(), O_CREAT | O_WRONLY, 0));
    check_refused(tool({command, file}), "Permission denied");
  }
}

TEST_CASE("without a name the newest log here is taken") {
  Place place;
  LogBuilder b;
  fill(b);
  std::filesystem::copy_file(b.write(), place.path + "/ovcshim.app.100.ovc");
  CHECK(tool_in(place.path, {"show", "--no-calls"}).status == 1);
}

TEST_CASE("hostile names do not reach the terminal") {
  LogBuilder b;
  Event exec = make_event(Op::kExecve);
  exec.base.flags = kFailed;
  exec.text = "/bin/\x1b]0;owned\x07";
  b.put(exec);
  b.put(make_module(1, 0x400000, 0x500000, 0x400000, "", "/bin/\x1b[2J"));
  b.process(0).use = static_cast<uint32_t>(SlotUse::kLive);
  b.process(0).pid = 100;
  std::strcpy(b.process(0).comm, "\x1b[31m");
  const std::string& log = b.write();
  for (const std::string& command : kReaders)
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{command, log}, {command, "--json", log}}) {
      const Outcome outcome = tool(arguments);
      CHECK(outcome.status <= 1);
      CHECK(outcome.out.find('\x1b') == std::string::npos);
      CHECK(outcome.out.find('\x07') == std::string::npos);
    }
}

TEST_CASE("a closed pipe is a normal end, a full disk is not") {
  LogBuilder b;
  fill(b);
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  close(ends[0]);
  CHECK(tool_in("/", {"show", b.write()}, ends[1]).status == 0);
  close(ends[1]);
  const int full = open("/dev/full", O_WRONLY);
  const Outcome outcome = tool_in("/", {"show", b.write()}, full);
  close(full);
  CHECK(outcome.status == 2);
  CHECK_THAT(outcome.err, StartsWith("ovc: cannot write to standard output"));
}

TEST_CASE("the same log gives the same bytes") {
  LogBuilder b;
  fill(b);
  const std::string& log = b.write();
  for (const std::string& command : kReaders)
    CHECK(tool({command, "--json", log}).out == tool({command, "--json", log}).out);
}

TEST_CASE("run exits as the command does") {
  Place place;
  CHECK(tool_in(place.path, {"run", "--", "/bin/sh", "-c", "exit 7"}).status == 7);
  CHECK(tool_in(place.path, {"run", "--", "/bin/sh", "-c", "kill -9 $$"}).status == 137);
  const Outcome missing = tool_in(place.path, {"run", "--", "/nonexistent"});
  check_refused(missing, "cannot start /nonexistent");
  const Outcome echo = tool_in(place.path, {"run", "-o", "%c.ovc", "echo", "-n", "--", "x"});
  CHECK(echo.status == 0);
  CHECK(echo.out == "-- x");
  CHECK_THAT(echo.err, ContainsSubstring("ovc: "));
}
