// SPDX-License-Identifier: MIT
//
// The call lane's bytes as they are, read without LogReader: what it passes over in silence (holes, short chunks) is counted here.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "shim/log_format.h"

namespace kill_test {

class RawLane {
 public:
  RawLane(const std::string& path, const ovcshim::FileHeader& header);
  uint64_t records() const { return records_; }  // kReallocFrom too, time marks not
  uint64_t holes() const { return holes_; }

 private:
  void look_at(const std::vector<unsigned char>& chunk);
  uint64_t records_ = 0, holes_ = 0;
};

}  // namespace kill_test
