// SPDX-License-Identifier: MIT
//
// The block of lines that `ovc follow` keeps at the bottom of a terminal: who runs, what is
// promised of the commit limit, how much happens. Counts what it is told of.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "tools/follow/follow_story.h"
#include "tools/host/live_host.h"
#include "tools/log/log_reader.h"

namespace ovc {

class FollowView {
 public:
  explicit FollowView(const LogReader& log);

  void count(const Happening& line);
  // Lines that fit into `width` cells; reads the machine and the counters of the log.
  std::vector<std::string> block(const Story& story, const HostNow& now, int64_t posix_ns,
                                 size_t width);
  // What was counted: all that the log still had in the beginning, and what came then.
  std::string summary() const;

 private:
  std::string commit_line(size_t width) const;
  std::string rates_line();
  std::string counts() const;

  const LogReader& log_;
  LiveHost host_;
  uint64_t refused_ = 0, forks_ = 0, lost_ = 0, calls_ = 0;
  double calls_per_second_ = 0;
  std::chrono::steady_clock::time_point begun_, counted_;
};

// A bar of `width` cells for a share between 0 and 1: "[####------]".
std::string bar(double share, size_t width);

}  // namespace ovc
