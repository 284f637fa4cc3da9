// SPDX-License-Identifier: MIT
//
// Addresses of functions that an object of a running process exports.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tools/attach/process_facts.h"

namespace ovc {

// 0 if the object is not there, its file cannot be opened, or it exports no such function.
uint64_t exported_function(uint32_t pid, const std::vector<MapLine>& lines, std::string_view object,
                           std::string_view function);

}  // namespace ovc
