// SPDX-License-Identifier: MIT
//
// Texts cut and folded for a terminal, and the line of progress on one. What a whole command draws:
// tests/e2e/terminal_views.sh.
#include <fcntl.h>
#include <pty.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

#include "tests/unit/catch.h"
#include "tools/follow/follow_view.h"
#include "tools/text/progress.h"
#include "tools/text/terminal_view.h"

using namespace ovc;
using namespace std::chrono_literals;

TEST_CASE("cells of a text") {
  CHECK(cells("") == 0);
  CHECK(cells("abc") == 3);
  CHECK(cells("\x1b[31mabc\x1b[0m") == 3);
  CHECK(cells("f\xc3\xbcr") == 3);
  CHECK(cells("\xe6\x97\xa5\xe6\x9c\xac") == 4);
}

TEST_CASE("a text is cut between characters, and its colour ended") {
  CHECK(clipped("abc", 3) == "abc");
  CHECK(clipped("abc", 2) == "ab");
  CHECK(clipped("\xe6\x97\xa5\xe6\x9c\xac", 3) == "\xe6\x97\xa5");
  CHECK(clipped("\x1b[31mabc\x1b[0m", 2) == "\x1b[31mab\x1b[0m");
  CHECK(clipped("\xe6", 1).empty());  // not whole: takes two
}

TEST_CASE("a text is folded at spaces, else anywhere") {
  CHECK(folded("", 20) == "");
  CHECK(folded("a line that fits", 20) == "a line that fits");
  CHECK(folded("a line that does not fit", 18) == "a line that does\n    not fit");
  CHECK(folded("abcdefghij", 4) == "abcd\nefgh\nij");
  for (size_t width = 1; width < 40; ++width) {
    const std::string text =
        folded("12:00:00.000  server 100  fork refused with ENOMEM: commit limit reached", width);
    size_t begin = 0;
    for (size_t end = 0; end != std::string::npos; begin = end + 1) {
      end = text.find('\n', begin);
      CHECK(cells(std::string_view(text).substr(begin, end - begin)) <= width);
    }
    std::string letters = text;
    std::erase_if(letters, [](char c) { return c == ' ' || c == '\n'; });
    CHECK(letters == "12:00:00.000server100forkrefusedwithENOMEM:commitlimitreached");
  }
}

TEST_CASE("a bar") {
  CHECK(bar(0, 12) == "[----------]");
  CHECK(bar(0.5, 12) == "[#####-----]");
  CHECK(bar(1.7, 12) == "[##########]");
}

namespace {

// What is written to standard error meanwhile, if it is a terminal.
template <typename Work>
std::string on_terminal(const Work& work) {
  int master = -1, slave = -1;
  REQUIRE(openpty(&master, &slave, nullptr, nullptr, nullptr) == 0);
  const int before = dup(STDERR_FILENO);
  dup2(slave, STDERR_FILENO);
  setenv("TERM", "xterm", 1);
  work();
  dup2(before, STDERR_FILENO);
  REQUIRE(write(slave, "end", 3) == 3);
  close(before);
  std::string text;
  char bytes[256];
  while (!text.ends_with("end")) {
    const ssize_t n = read(master, bytes, sizeof bytes);
    REQUIRE(n > 0);
    text.append(bytes, static_cast<size_t>(n));
  }
  close(slave);
  close(master);
  return text.substr(0, text.size() - 3);
}

}  // namespace

TEST_CASE("progress is told after a second, and taken away") {
  const int probe = posix_openpt(O_RDWR | O_NOCTTY);
  if (probe < 0) return;  // a machine without terminals
  close(probe);
  CHECK(on_terminal([] {
          const LogProgress progress;
          note_read(1 << 20);
        }).empty());
  CHECK(on_terminal([] {
          const LogProgress progress;
          std::this_thread::sleep_for(1100ms);
          note_read(3 << 20);
        }) == "\r\x1b[Kovc: reading, 1 s, 3 MiB\r\x1b[K");
  CHECK(on_terminal([] { note_read(1 << 20); }).empty());
  {
    const LogProgress progress;  // no terminal: nothing to see, and nothing breaks
    note_read(1 << 20);
  }
}
