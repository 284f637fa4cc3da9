// SPDX-License-Identifier: MIT
//
// Scenarios of the memory ring (memory_format.h), of a few units. What must hold in every order,
// also when a writer is killed at any of its steps: nobody reads a call that nobody made, nor one
// with another's context; each thread's calls are in order; a call whose position was given is
// there, or was overwritten by the wrap; nobody waits.
#pragma once
#include <vector>

#include "tests/trust/model/growth_scenarios.h"

namespace model {

// The ring with 16 units.
void shrink_memory(ovcshim::FileHeader& header);
uint64_t small_memory_bytes();
std::vector<Scenario> memory_scenarios(const ovc::LogReader& log);

}  // namespace model
