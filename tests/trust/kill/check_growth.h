// SPDX-License-Identifier: MIT
//
// A dead victim's totals by stack: each memory call that had returned is in them; stacks and trees
// of owners are whole.
#pragma once
#include <string>
#include <vector>

#include "tests/trust/kill/journal.h"
#include "tools/log/log_reader.h"

namespace kill_test {

std::vector<std::string> check_growth(const ovc::LogReader& log, const Journal& journal);

}  // namespace kill_test
