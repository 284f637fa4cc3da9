// SPDX-License-Identifier: MIT
//
// Which child did popen, system, wordexp or pidfd_spawn make? libc keeps its pid to itself; but the
// child's first record names its parent, and often only one call can have made it.
#pragma once
#include <cstdint>
#include <map>
#include <vector>

namespace ovc {

struct ShellCall {
  uint64_t position;
  uint32_t pid;  // of the caller
  uint64_t begin_tick, end_tick;
  bool waits;  // system: its child lives within the call. The others return while it lives
};
struct ShellChild {
  uint32_t pid, parent_pid;
  uint64_t start_tick;  // its first record
};

// Position of the call -> pid of its child, where the two can only belong together: a child comes
// after its call began, a call has one child, and no other pairing is left.
std::map<uint64_t, uint32_t> match_shell_children(std::vector<ShellCall> calls,
                                                  std::vector<ShellChild> children);

}  // namespace ovc
