// SPDX-License-Identifier: MIT
//
// Scenarios of what is never overwritten: stacks, totals by stack, owners (growth_format.h), in
// tables of a few places. What must hold in every order, also when a writer is killed at any of its
// steps: nobody reads a stack that nobody entered; a number that was given is that stack's; each
// call counted is in a row; the pages of a tree are those of the calls that returned.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/trust/model/scheduler.h"
#include "tools/log/log_reader.h"

namespace model {

inline constexpr uint32_t kA = 101, kB = 102, kC = 103, kReader = 190;

struct Scenario {
  const char* name;
  std::function<void()> prepare;
  std::vector<Fiber> fibers;
  std::function<std::string()> judge;
};

// What the writers of one execution say they did.
struct GrowthStory {
  std::map<uint32_t, uint32_t> stacks;   // number given for a stack, by its first frame
  uint64_t counted = 0;                  // adds to rows that have returned
  std::map<uint32_t, bool> owners_done;  // by writer
  std::vector<uint64_t> readings;        // kept, by tick
  std::vector<uint64_t> calls;           // positions of memory calls, in any order
  std::string read;                      // what a reader found wrong
};
extern GrowthStory growth_story;

// The area with room for 8 stacks and rows, 9 tables.
void shrink_growth(ovcshim::FileHeader& header);
std::vector<Scenario> growth_scenarios(const ovc::LogReader& log);

}  // namespace model
