// SPDX-License-Identifier: MIT
//
// The files of a process that may see others than ovc does: a container, a mount namespace or a
// root of its own.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace ovc {

// Is this file the same one there?
bool sees_file(uint32_t pid, const std::string& path);
// Does "/" mean the same there?
bool sees_our_root(uint32_t pid);
// Its open descriptors on what /proc names so.
std::vector<int64_t> descriptors_on(uint32_t pid, const std::string& name);
// False: not all of it.
bool copy_file(const std::string& from, const std::string& to);

}  // namespace ovc
