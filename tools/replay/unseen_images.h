// SPDX-License-Identifier: MIT
//
// Programs that recorded processes became or started and that left no record of their own; and why,
// as far as it is a fact: told by the record of the call, or by the program's file as it lies on
// this machine.
#pragma once
#include <cstdint>
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
      const;  // "what /bin/x did (pid 5 and 3 more): it is linked statically"; escaped
};
std::vector<UnseenProgram> unseen_programs(const LogReader& log);

}  // namespace ovc
