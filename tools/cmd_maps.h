// SPDX-License-Identifier: MIT
//
// `ovc maps`: the address space of a process at a moment, replayed, each mapping with its charge and the call that made it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace ovc {

struct MapsOptions {
  std::string log;
  std::string at;               // as `ovc show --since`; empty: the end of the log
  std::optional<uint32_t> pid;  // default: of those alive the one with the most accountable memory, else the log's first
  bool json = false;
};

// Prints the mappings on stdout; 0.
int maps(const MapsOptions& options);

}  // namespace ovc
