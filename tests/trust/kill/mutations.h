// SPDX-License-Identifier: MIT
//
// Can the check fail? Victims are killed until their logs pass, then each log is damaged in one way
// at a time: every way must bring a complaint.
#pragma once
#include <cstdint>

#include "tests/trust/kill/victim_run.h"

namespace kill_test {

int run_mutations(const Place& place, uint64_t seed);  // 0: all are noticed

}  // namespace kill_test
