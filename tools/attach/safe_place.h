// SPDX-License-Identifier: MIT
//
// May a function of the loader be called in this thread, here? Only where it waits for work: in a
// system call such as epoll_wait, called by the program through libc's own small function of that
// name, with nothing of libc, of the loader, of an allocator or of a signal handler beneath it.
// Such a thread holds no lock that dlopen wants. Every doubt is a no.
#pragma once
#include <string>
#include <vector>

#include "tools/attach/named_stack.h"

namespace ovc {

struct Place {
  bool safe = false;
  std::string why_not;  // "in malloc", "its stack cannot be followed"
};

Place judge_place(const ThreadState& state, const Walk& walk, const std::vector<Frame>& innermost,
                  const std::vector<MapLine>& lines);

}  // namespace ovc
