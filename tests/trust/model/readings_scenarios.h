// SPDX-License-Identifier: MIT
//
// Scenarios of the readings that stay (readings_format.h), in an area of a few cells. What must
// hold in every order, also when a writer is killed at any of its steps: nobody sees a reading made
// of two, or half of one; the extremes are those of all that were kept.
#pragma once
#include <vector>

#include "tests/trust/model/growth_scenarios.h"

namespace model {

// The area with two cells of the first length, and one of each longer one.
void shrink_readings(ovcshim::FileHeader& header);
uint64_t small_readings_bytes();
std::vector<Scenario> readings_scenarios(const ovc::LogReader& log);

}  // namespace model
