// SPDX-License-Identifier: MIT
//
// The part of `ovc stats --stacks` that is estimated: who asked malloc for small blocks.
#pragma once
#include <cstddef>
#include <string>

#include "tools/log/log_reader.h"
#include "tools/text/json_fwd.h"

namespace ovc {

// Empty if no sample was taken.
std::string small_requests_text(const LogReader& log, size_t limit);
// null if no sample was taken.
Json small_requests_json(const LogReader& log);

}  // namespace ovc
