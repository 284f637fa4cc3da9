// SPDX-License-Identifier: MIT
//
// `ovc stats --stacks`: who made the processes grow, flat and as a tree.
#pragma once
#include <cstddef>
#include <string>

#include "tools/log/log_reader.h"
#include "tools/text/json_fwd.h"

namespace ovc {

std::string stacks_text(const LogReader& log, size_t limit);
Json stacks_json(const LogReader& log);

}  // namespace ovc
