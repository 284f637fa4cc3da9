// SPDX-License-Identifier: MIT
//
// `ovc follow`: what happens in a log while it is written, until its processes have ended.
#pragma once
#include <cstddef>
#include <string>

namespace ovc {

struct FollowOptions {
  std::string log;
  bool json = false;
  bool wait = false;      // for a log that is not there yet
  double interval = 1.0;  // seconds between two looks
  size_t last = 10;       // of what happened before: this many lines first
};

// 0: nothing found wrong, 1: a call was refused or a process killed.
int follow(const FollowOptions& options);

}  // namespace ovc
