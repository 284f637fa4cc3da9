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

}  // namespace ovc
