// SPDX-License-Identifier: MIT
#pragma once
#include <sys/stat.h>

#include <string>

namespace ovc {

// Opens a regular file to read it; -1: there is none at `path`, or one too large to be an object.
// `root`: what stands for "/" in the path and in every symbolic link on it; empty: our own.
int open_regular(const std::string& path, struct stat& info, const std::string& root = {});

}  // namespace ovc
