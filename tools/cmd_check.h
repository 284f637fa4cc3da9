// SPDX-License-Identifier: MIT
//
// `ovc check`: would a fork of a running process pass now.
#pragma once
#include <string>

namespace ovc {

struct CheckOptions {
  std::string target;  // a process number, or a command name as in /proc/PID/comm; empty with `all`
  bool all = false, json = false, openmetrics = false, estimate = false;
  double watch_seconds = 0;  // 0: once
};

// 0: a fork of each process that could be judged would pass. 1: one would be refused, or is borderline. Throws Error if there
// is no such process, or nothing could be judged.
int check(const CheckOptions& options);

}  // namespace ovc
