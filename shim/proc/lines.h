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
      const uint64_t end = end_of_line();
      if (end < have_) return take(end);
      if (at_ == 0 && have_ == room_ - 1) return take(have_);
      if (!more()) return at_ < have_ ? take(have_) : nullptr;
    }
  }

  // What follows the line taken last, at least `bytes` of it; nullptr if there is less, or no room.
  const char* ahead(uint64_t bytes) {
    while (have_ - at_ < bytes)
      if (bytes >= room_ || !more()) return nullptr;
    return io_ + at_;
  }
  void skip(uint64_t bytes) { at_ += bytes; }  // of those

 private:
  // have_ if there is none. Eight bytes at a time: of a list of 65,000 mappings this is most of the
  // time that is ours.
  uint64_t end_of_line() const {
    constexpr uint64_t kOnes = 0x0101010101010101, kHighs = kOnes << 7, kNewlines = kOnes * '\n';
    uint64_t i = at_;
    for (uint64_t word; i + sizeof word <= have_; i += sizeof word) {
      __builtin_memcpy(&word, io_ + i, sizeof word);
      word ^= kNewlines;
      const uint64_t zeros = (word - kOnes) & ~word & kHighs;  // the lowest is exact
      if (zeros) return i + static_cast<unsigned>(__builtin_ctzl(zeros)) / 8;
    }
    while (i < have_ && io_[i] != '\n') ++i;
    return i;
  }
  char* take(uint64_t end) {
    io_[end] = '\0';
    char* line = io_ + at_;
    at_ = end < have_ ? end + 1 : have_;
    return line;
  }
  bool more() {
    for (uint64_t i = at_; i < have_; ++i) io_[i - at_] = io_[i];
    have_ -= at_, at_ = 0;
    const long n = file_.read_list(io_ + have_, room_ - 1 - have_);
    if (n <= 0) return false;
    have_ += static_cast<uint64_t>(n);
    return true;
  }
  ProcFile file_;
  char* io_;
  uint64_t room_, at_ = 0, have_ = 0;
};

}  // namespace ovcshim
