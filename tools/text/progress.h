// SPDX-License-Identifier: MIT
//
// One line on a terminal's standard error while a log is read for longer than a second. It is gone
// before anything else is printed.
#pragma once
#include <cstdint>

namespace ovc {

// While one lives, reading is told about; where standard error is no terminal, it does nothing.
class LogProgress {
 public:
  LogProgress();
  ~LogProgress();
  LogProgress(const LogProgress&) = delete;
  LogProgress& operator=(const LogProgress&) = delete;
};

void note_read(uint64_t bytes);  // called for each window of a log
void hide_progress();            // something else is about to be written

}  // namespace ovc
