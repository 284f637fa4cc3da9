// SPDX-License-Identifier: MIT
//
// The one line that the shim may say, on descriptor 2, when it cannot do what it was asked for.
// That descriptor is the program's and may be anything: saying it neither waits, nor ends or stops
// the program, nor gets into data; where one of these cannot be ruled out, nothing is said. Once in
// a tree of processes.
#pragma once
#include <cstdint>

namespace ovcshim {

class Complaint {
 public:
  enum class About : uint8_t { kLog, kRules };
  explicit Complaint(About about) : about_(about) {}
  Complaint& operator<<(const char* s) {
    while (*s && at_ < text_ + sizeof text_ - 1) *at_++ = *s++;
    return *this;
  }
  void say();

 private:
  About about_;
  char text_[1400];
  char* at_ = text_;
};

}  // namespace ovcshim
