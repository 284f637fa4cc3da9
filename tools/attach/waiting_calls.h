// SPDX-License-Identifier: MIT
//
// The system calls that a thread may be found waiting in.
#pragma once
#include <string>

namespace ovc {

std::string call_name(long nr);  // "epoll_wait", "system call 400"

// Does a thread wait here for work, holding nothing that the loader or malloc want? Where locks are
// waited for, or memory is asked for, is not such a place.
bool waits_for_work(long nr);

}  // namespace ovc
