// SPDX-License-Identifier: MIT
//
// Where else the files may lie that a log names by path: a log written in a container, or below a
// chroot, has the paths as the program saw them.
#pragma once
#include <string>
#include <vector>

#include "tools/log/log_reader.h"

namespace ovc {

// "/proc/N/root" of a log that was named through it, then that of each root folder, other than
// ours, which a recorded process has that still lives.
std::vector<std::string> other_roots(const LogReader& log);

}  // namespace ovc
