// SPDX-License-Identifier: MIT
//
// An object as it lies in a running process: what it exports, and its build id. Its file may have
// been replaced or removed, or be seen by that process alone.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/attach/process_facts.h"
#include "tools/attach/stopped.h"

namespace ovc {

// The address of a function that it exports; 0 if the object is not there, or has no such function.
uint64_t exported_function(const Memory& memory, const std::vector<MapLine>& lines,
                           std::string_view object, std::string_view function);

// Its bytes, of the object whose first line this is; empty: it has none.
std::string build_id_in_memory(const Memory& memory, const MapLine& first);

}  // namespace ovc
