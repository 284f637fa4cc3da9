// SPDX-License-Identifier: MIT
//
// Children that are copies of the process that forked them and run no program of their own: saves,
// workers, backends. Those of one process that were asked for in one place are siblings, and say
// of each other how long such a child lives, how it ends and what it copies.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/verdict/fork_list.h"

namespace ovc {

struct Copy {
  uint32_t pid = 0;
  uint64_t tick = 0, position = 0;  // of its fork
  std::optional<ProcessEnd> end;
  int64_t lived_ns = 0;  // if it has ended
  // Page faults while it lived: each is at most one page copied, or one taken anew. Of the parent's
  // only up to the wait that was told of the end.
  std::optional<uint64_t> own_faults, parent_faults;

  bool failed() const;  // exited with a status other than 0, and not because it was told to
};

struct Siblings {
  std::string comm, purpose;                               // raw
  uint32_t parent_pid = 0, parent = 0, parent_serial = 0;  // its place in the process table
  std::vector<std::string> functions;                      // who asked, innermost first
  bool saves = false;                                      // they are there to write the data down
  std::vector<Copy> copies;                                // by time

  uint64_t ended() const;
  int64_t longest_ns() const;  // of those that ended; 0: none
};

std::vector<Siblings> siblings_of(const LogReader& log, const ForkList& forks);

}  // namespace ovc
