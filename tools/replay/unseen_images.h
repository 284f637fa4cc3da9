// SPDX-License-Identifier: MIT
//
// Programs that recorded processes started and that left no records of their own; and the reason,
// as far as the record of the call or the program's file on this machine gives it.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "tools/log/log_reader.h"

namespace ovc {

struct UnseenImage {
  uint32_t pid = 0;
  uint64_t tick = 0;    // of the call that made it
  std::string program;  // raw, as the call named it
  std::string why;      // raw
};

std::vector<UnseenImage> unseen_images(const LogReader& log);  // by time

// The same program, unseen for the same reason, however often it was started.
struct UnseenProgram {
  std::string program, why;  // raw
  uint32_t pid = 0;          // of the first
  uint64_t count = 0;
  std::string text()
      const;  // "/bin/x (pid 5 and 3 more) left no records: it is a static binary"; escaped
};
// Pids of images that a log of the same tree has.
using SeenElsewhere = std::set<uint32_t>;
std::vector<UnseenProgram> unseen_programs(const LogReader& log, const SeenElsewhere& seen = {});

}  // namespace ovc
