// SPDX-License-Identifier: MIT
//
// `ovc plan`: what a fork would need under other settings.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace ovc {

struct PlanOptions {
  std::string target;  // a process number, else a log; empty: the newest log
  std::optional<uint32_t> pid;
  std::optional<uint64_t> mode, ratio, kbytes, swap_bytes, ram_bytes, grow_bytes;  // in place of the host's
  size_t limit = 5;                                                                // largest mappings listed
  bool json = false;
};

// 0: the fork would pass under these settings, 1: it would be refused or is borderline. Throws Error if that is not known.
int plan(const PlanOptions& options);

}  // namespace ovc
