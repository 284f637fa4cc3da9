// SPDX-License-Identifier: MIT
//
// JSON in declarations: the library itself is compiled only where values are made (json.h).
#pragma once
#include <nlohmann/json_fwd.hpp>

namespace ovc {

using Json =
    nlohmann::ordered_json;  // keeps the order in which fields were given: same log, same bytes

}  // namespace ovc
