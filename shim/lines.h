// SPDX-License-Identifier: MIT
//
// A file of /proc read line by line through a caller's buffer. Rules: as event_lane.cc.
#pragma once
#include <fcntl.h>

#include "shim/sys.h"

namespace ovcshim {

class Lines {
 public:
  Lines(const char* path, char* io, uint64_t room)
      : fd_(sys::call(__NR_openat, AT_FDCWD, reinterpret_cast<long>(path), O_RDONLY | O_CLOEXEC)), io_(io), room_(room) {}
  ~Lines() {
    if (ok()) sys::call(__NR_close, fd_);
  }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;
  bool ok() const { return !sys::failed(fd_); }

  // The next line, terminated, or nullptr at the end. A line longer than the buffer is cut into pieces.
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
    const long n = sys::call(__NR_read, fd_, reinterpret_cast<long>(io_ + have_), static_cast<long>(room_ - 1 - have_));
    if (n <= 0) return false;
    have_ += static_cast<uint64_t>(n);
    return true;
  }
  long fd_;
  char* io_;
  uint64_t room_, at_ = 0, have_ = 0;
};

}  // namespace ovcshim
