// SPDX-License-Identifier: MIT
//
// Reads the event lane of a log that is being written, each record once: remembers how far it came
// in each ring, comes back to records that were not complete and to calls that had not returned,
// and counts what was overwritten before it was read. Memory: two bounded lists of positions.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "tools/log/log_reader.h"

namespace ovc {

class LaneTail {
 public:
  explicit LaneTail(const LogReader& log) : log_(log) {}

  using Each = std::function<void(const Event&)>;
  // Gives what is new: the vitals first, each ring in claim order. The first time that is all the
  // log still has.
  void read(const LogReader::Wants& wants, const Each& each);
  // This record is an intent: to be given again once its call has returned.
  void expect(uint64_t position);
  // Waiting for no writer any longer: what is not done now counts as torn.
  void give_up();

  uint64_t overwritten() const { return overwritten_; }  // slots, before they were read
  uint64_t torn() const { return torn_; }  // slots whose writer did not finish, for a few looks
  uint64_t forgotten() const {
    return forgotten_;
  }  // calls that have not returned, pushed out by newer ones
  // Share of a ring that came in at the last reading, the fuller one: 1 and more, and something was
  // overwritten.
  double share_read() const { return share_read_; }

 private:
  struct Gap {
    uint64_t position;
    unsigned looks;
    bool old;  // it was there before the first reading: not a loss of ours
  };
  struct Ring {
    uint64_t mark, next;
    bool begun;
  };
  void read_open(const Each& each);
  void read_gaps(const LogReader::Wants& wants, const Each& each);
  void read_ring(Ring& ring, const LogReader::Wants& wants, const Each& each);
  uint64_t slots(const Ring& ring) const;
  uint64_t end(const Ring& ring) const;
  void skip_to_oldest(Ring& ring);
  void hold_back_at_end(Ring& ring, size_t gaps_before);

  const LogReader& log_;
  Ring vitals_{ovcshim::kVitalBit, 0, false}, events_{0, 0, false},
      memory_{ovcshim::kMemoryBit, 0, false};
  std::vector<Gap> gaps_;
  std::vector<uint64_t> open_;
  uint64_t overwritten_ = 0, torn_ = 0, forgotten_ = 0;
  double share_read_ = 0;
};

}  // namespace ovc
