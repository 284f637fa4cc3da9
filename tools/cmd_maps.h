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
  std::optional<uint32_t> pid;  // default: the log's only process, else the one with the most accountable memory
  bool json = false;
};

// Prints the mappings on stdout; 0.
int maps(const MapsOptions& options);

}  // namespace ovc
