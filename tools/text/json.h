// SPDX-License-Identifier: MIT
//
// JSON as ovc writes it.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "tools/text/json_fwd.h"

namespace ovc {

// ASCII only, invalid UTF-8 replaced; indent < 0 gives one line.
std::string json_text(const Json& value, int indent = -1);
Json json_figure(uint64_t value);  // number; null for kUnknown; "unlimited" for kInfinite

}  // namespace ovc
