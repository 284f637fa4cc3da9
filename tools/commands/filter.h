// SPDX-License-Identifier: MIT
//
// Which records `ovc show` shows.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "tools/commands/commands.h"
#include "tools/log/log_reader.h"

namespace ovc {

class Filter {
 public:
  // Throws Error for a name or time it does not understand.
  Filter(const ShowOptions& options, const LogReader& log);
  bool accepts(const Event& event) const;
  bool accepts(const Call& call, uint64_t tick) const;
  // False if no record of the call lane can pass.
  bool wants_calls() const { return calls_; }

 private:
  bool accepts_who(uint32_t pid, uint32_t tid) const;
  bool accepts_time(uint64_t tick) const;

  const ShowOptions& options_;
  const LogReader& log_;
  std::array<bool, 256> ops_{};
  bool calls_;
  int64_t since_ns_ = INT64_MIN, until_ns_ = INT64_MAX;
};

// "14:23:33[.5]" (of the day the log begins, or the day after), "2026-11-22 14:23:33[.5]", "+1.5"
// (seconds after the log's beginning) -> ns since 1970, given the log's beginning. Throws Error.
int64_t parse_moment(const std::string& text, int64_t start_ns);

}  // namespace ovc
