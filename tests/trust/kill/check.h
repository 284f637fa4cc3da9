// SPDX-License-Identifier: MIT
//
// Compares a dead victim's journal with its log. What must hold is listed in check.cc; anything
// else is a complaint.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tests/trust/kill/journal.h"

namespace kill_test {

struct Verdict {
  std::vector<std::string> wrong;
  uint64_t calls = 0, events = 0;  // journalled calls found in the call lane, in the event lane
  uint64_t in_flight = 0;          // calls found in the log that had not returned to the victim
  uint64_t overwritten = 0;        // call records that the wrap took
  uint64_t processes = 0;
  uint64_t may_miss = 0;   // calls and events that the log counts as not kept or lost
  bool too_early = false;  // killed before the log was ready, and nothing was journalled
};

Verdict check(const std::string& log_path, const Journal& journal);

}  // namespace kill_test
