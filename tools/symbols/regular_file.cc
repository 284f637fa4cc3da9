// SPDX-License-Identifier: MIT
#include "tools/symbols/regular_file.h"

#include <fcntl.h>
#include <unistd.h>

namespace ovc {
namespace {

constexpr off_t kLargestFile = off_t{4} << 30;

}  // namespace

// Looks before opening: opening a device or a FIFO can do anything.
int open_regular(const std::string& path, struct stat& info) {
  if (!path.starts_with('/') || stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return -1;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size <= kLargestFile)
    return fd;
  if (fd >= 0) close(fd);
  return -1;
}

}  // namespace ovc
