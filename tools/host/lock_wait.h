// SPDX-License-Identifier: MIT
//
// A process that waits for a lock which nobody can give back: it has one thread, and waits without
// an end for a futex that only threads of its own could wake (futex(2), FUTEX_PRIVATE_FLAG). That
// is what becomes of a forked child whose parent's other thread held a lock at that moment. Proven
// or not there: who may not read /proc/PID/syscall learns nothing.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/host/proc_files.h"

namespace ovc {

struct LockWait {
  uint64_t futex = 0;  // its address in the process
};
std::optional<LockWait> lock_wait(const SystemRoot& root, uint32_t pid);

// A child of a process that has the same program and waits like that.
struct StuckChild {
  uint32_t pid = 0, parent = 0;
  double alive_seconds = 0;
  LockWait wait;
};
// Of all processes that can be seen.
std::vector<StuckChild> stuck_children(const SystemRoot& root, const std::vector<uint32_t>& pids);

}  // namespace ovc
