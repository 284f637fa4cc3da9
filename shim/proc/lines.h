// SPDX-License-Identifier: MIT
//
// A file of /proc read line by line through a caller's buffer. Rules: as event_lane.cc.
#pragma once
#include "shim/proc/proc_file.h"

namespace ovcshim {

class Lines {
 public:
  Lines(const char* path, char* io, uint64_t room) : file_(path), io_(io), room_(room) {}
  bool ok() const { return file_.ok(); }

  // The next line, terminated, or nullptr at the end. A line longer than the buffer is cut into
  // pieces.
  char* next() {
    for (;;) {
      for (uint64_t i = at_; i < have_; ++i)
        if (io_[i] == '\n') return take(i);
      if (at_ == 0 && have_ == room_ - 1) return take(have_);
      if (!more()) return at_ < have_ ? take(have_) : nullptr;
    }
  }

 private:
  char* take(uint64_t end) {
    io_[end] = '\0';
    char* line = io_ + at_;
    at_ = end < have_ ? end + 1 : have_;
    return line;
  }
  bool more() {
    for (uint64_t i = at_; i < have_; ++i) io_[i - at_] = io_[i];
    have_ -= at_, at_ = 0;
    const long n = file_.read(io_ + have_, room_ - 1 - have_);
    if (n <= 0) return false;
    have_ += static_cast<uint64_t>(n);
    return true;
  }
  ProcFile file_;
  char* io_;
  uint64_t room_, at_ = 0, have_ = 0;
};

}  // namespace ovcshim
