// SPDX-License-Identifier: MIT
//
// A program that was started as root and went on as another user has two logs: root's, and beside
// it (or in /var/tmp) that of the user who could not write to root's. They belong together where
// the logs prove it: same boot, and a process that both know, or a child of one that the first
// knows.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tools/log/log_reader.h"

namespace ovc {

struct Relative {
  std::unique_ptr<LogReader> log;
  uint32_t uid = 0;  // whose file it is
};

struct LogFamily {
  std::vector<Relative> others;  // by name; without the one that was asked for
  std::vector<std::string>
      notes;  // named like a relative, but not readable, or not proven to be one
};

LogFamily family_of(const LogReader& first);

// "log /vol/a.uid999.ovc, of uid 999, of the same run": a heading for each of several.
std::string heading(const LogReader& first);
std::string heading(const Relative& relative);

}  // namespace ovc
