// SPDX-License-Identifier: MIT
//
// Names of logs: templates, the default places, and the index by which an exec'd descendant finds
// its tree's log.
#pragma once
#include <cstdint>

namespace ovcshim {

inline constexpr char kDefaultTemplate[] = "ovcshim.%c.%p.ovc";
inline constexpr char kFallbackDirectory[] = "/var/tmp/";
inline constexpr uint64_t kPathRoom = 1024;

// Text put together in a buffer, always terminated.
struct PathText {
  char* at;
  char* end;
  bool fits = true;
  void add(char c) {
    if (at < end - 1) *at++ = c;
    else fits = false;
    *at = '\0';
  }
  void add(const char* s) {
    while (*s) add(*s++);
  }
  void add_number(uint64_t v) {
    char digits[20];
    int n = 0;
    do digits[n++] = static_cast<char>('0' + v % 10);
    while (v /= 10);
    while (n) add(digits[--n]);
  }
};

// This process and those above it, nearest first, with pids above `last`.
struct Family {
  static constexpr unsigned kMost = 8;
  uint32_t pids[kMost];
  uint64_t starts[kMost];
  unsigned count = 0;
};
void read_family(Family& family, uint32_t last);

// %c: command, %p: pid. A '/' in the command becomes '_'. False if it does not fit.
bool expand_template(const char* pattern, char* to, uint64_t room);
bool has_placeholder(const char* pattern);

// The name of a log that this user may have beside `first`, which it cannot write: "a.ovc" gives
// "a.uid999.ovc".
bool second_log_name(const char* first, char* to, uint64_t room);

// Looks through the index for a live log that knows this process or an ancestor of it. True: `path`
// is it.
bool find_tree(char* path, uint64_t room);

// Enters a new log that does not lie in the fallback directory itself: a symbolic link there, named
// after the pid.
void index_tree(const char* path);

// Is this file a log of this boot that holds (pid, start time)? For find_tree and its test.
bool log_knows(const char* path, const uint32_t* pids, const uint64_t* start_ticks, unsigned count);

}  // namespace ovcshim
