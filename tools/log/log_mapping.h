// SPDX-License-Identifier: MIT
//
// The log as a read-only mapping that keeps few pages resident: what was read is given back to the
// page cache after every kResident bytes, so a reader's memory does not grow with its log. Survives
// a truncation of the file. Tells where the file is a hole: a sparse file can claim any size, and
// reading it should take no longer than its contents.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ovc {

class LogMapping {
 public:
  LogMapping() = default;
  ~LogMapping();
  LogMapping(const LogMapping&) = delete;
  LogMapping& operator=(const LogMapping&) = delete;

  bool map(int fd, uint64_t bytes);  // false: errno says why
  // Bytes that are about to be read. What was cut off the file in the meantime reads as zeros
  // ("never written").
  const unsigned char* at(uint64_t offset, uint64_t bytes) const {
    touch(offset / kWindow);
    touch((offset + bytes - 1) / kWindow);
    return start_ + offset;
  }
  // The first place from `offset` on where something can have been written; the mapping's end if
  // there is none.
  uint64_t next_data(uint64_t offset) const {
    return offset >= data_start_ && offset < data_end_ ? offset : seek_data(offset);
  }

 private:
  static constexpr uint64_t kWindow =
      64 << 10;  // a page fault may bring so much at once (fault_around_bytes)
  static constexpr uint64_t kResident = 16u << 20;  // of the mapping at most
  void touch(uint64_t window) const {
    if (!touched_[window]) give_back(window);
  }
  void give_back(uint64_t window) const;
  uint64_t seek_data(uint64_t offset) const;

  unsigned char* start_ = nullptr;
  uint64_t bytes_ = 0;
  int fd_ = -1;
  mutable uint64_t data_start_ = 0,
                   data_end_ = 0;      // known to be no hole; a live log fills holes and makes none
  mutable std::vector<bool> touched_;  // windows read since the pages were given back last
  mutable uint64_t count_ = 0;
};

}  // namespace ovc
