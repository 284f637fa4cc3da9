// SPDX-License-Identifier: MIT
//
// Scenarios of the two lanes, of a few slots and chunks. What must hold in every order, also when a
// writer is killed at any of its steps: a reader never accepts a record that is not one that was
// written, and each writer's in order; a record is there, was overwritten by the wrap, or is
// counted as lost; nobody writes into, or takes, a chunk of a thread that lives; nobody waits.
#pragma once
#include <vector>

#include "tests/trust/model/growth_scenarios.h"

namespace model {

inline constexpr uint64_t kSlots = 5, kChunks = 3;

// What the writers of one execution say they did.
struct Story {
  std::map<uint32_t, uint64_t> written;  // by writer: calls returned
  std::vector<uint64_t> positions;       // of events written, in any order
  uint64_t refused = 0;                  // write_event gave none
  std::string read;                      // what a reader found wrong
};
extern Story story;

std::vector<Scenario> lane_scenarios(const ovc::LogReader& log);

}  // namespace model
