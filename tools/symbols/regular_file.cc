// SPDX-License-Identifier: MIT
#include "tools/symbols/regular_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace ovc {
namespace {

constexpr off_t kLargestFile = off_t{4} << 30;

// The place alone, not the file: opened it is by its number.
int place_below(const std::string& root, const std::string& path) {
  const int folder = open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return -1;
  struct open_how how {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const long place = syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how);
  close(folder);
  return static_cast<int>(place);
}

int open_regular_below(const std::string& root, const std::string& path, struct stat& info) {
  const int place = place_below(root, path);
  if (place < 0) return -1;
  const int fd = open_regular(fmt::format("/proc/self/fd/{}", place), info);
  close(place);
  return fd;
}

}  // namespace

// Looks before opening: opening a device or a FIFO can do anything.
int open_regular(const std::string& path, struct stat& info, const std::string& root) {
  if (!root.empty()) return open_regular_below(root, path, info);
  if (!path.starts_with('/') || stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return -1;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size <= kLargestFile)
    return fd;
  if (fd >= 0) close(fd);
  return -1;
}

}  // namespace ovc
