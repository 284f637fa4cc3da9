// SPDX-License-Identifier: MIT
//
// A thread of a process that stands where a function of the loader may be called in it.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tools/attach/safe_place.h"
#include "tools/attach/walker.h"

namespace ovc {

class ThreadChooser {
 public:
  explicit ThreadChooser(const ProcessFacts& facts);
  // Held by us, until it is let go. nullptr: none was found in time; why_none() says what was in
  // the way.
  std::unique_ptr<Tracee> choose(Deadline until);
  std::string why_none() const;
  int error() const { return error_; }  // of the call that the kernel refused

 private:
  std::unique_ptr<Tracee> try_waiting(uint32_t tid);
  std::unique_ptr<Tracee> try_next_calls(uint32_t tid, Deadline until);
  bool is_safe(uint32_t tid);

  const ProcessFacts& facts_;
  Memory memory_;
  Walker walker_;
  std::vector<MapLine> lines_;
  std::unique_ptr<Symbols> symbols_;
  std::vector<std::pair<uint32_t, std::string>> in_the_way_;
  std::map<uint32_t, std::unique_ptr<Tracee>> restless_;  // asked to stop, and have not yet
  int error_ = 0;
};

}  // namespace ovc
