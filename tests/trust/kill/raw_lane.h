// SPDX-License-Identifier: MIT
//
// The call lane's bytes as they are, read without LogReader: what it passes over in silence (holes,
// short chunks) is counted here.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "shim/format/log_format.h"

namespace kill_test {

class RawLane {
 public:
  RawLane(const std::string& path, const ovcshim::FileHeader& header);
  uint64_t records() const { return records_; }  // kReallocFrom too, time marks not
  uint64_t holes() const { return holes_; }
  // Whether the ring has gone past this thread's newest chunk and left it: whoever claimed its
  // place was killed before it took it.
  bool has_outlived(uint32_t pid, uint32_t tid) const;

 private:
  void look_at(const std::vector<unsigned char>& chunk);
  uint64_t records_ = 0, holes_ = 0;
  uint64_t oldest_claim_ = 0;  // of the chunks that would be there if each claim had been taken
  std::map<std::pair<uint32_t, uint32_t>, uint64_t> newest_claim_;  // by pid and tid
};

}  // namespace kill_test
