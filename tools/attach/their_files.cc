// SPDX-License-Identifier: MIT
#include "tools/attach/their_files.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tools/host/proc_files.h"

namespace ovc {
namespace {

namespace fs = std::filesystem;

bool is_same(const std::string& a, const std::string& b) {
  struct stat one {
  }, other{};
  return stat(a.c_str(), &one) == 0 && stat(b.c_str(), &other) == 0 && one.st_dev == other.st_dev &&
         one.st_ino == other.st_ino;
}

}  // namespace

bool sees_file(uint32_t pid, const std::string& path) {
  return is_same(path, fmt::format("/proc/{}/root{}", pid, path));
}

bool sees_our_root(uint32_t pid) {
  const auto theirs = namespace_inode(fmt::format("/proc/{}/ns/mnt", pid));
  if (!theirs) return true;  // not to be looked into at all: something else is said of it
  return theirs == namespace_inode("/proc/self/ns/mnt") &&
         is_same("/", fmt::format("/proc/{}/root/", pid));
}

std::vector<int64_t> descriptors_on(uint32_t pid, const std::string& name) {
  std::vector<int64_t> found;
  std::error_code error;
  for (fs::directory_iterator at(fmt::format("/proc/{}/fd", pid), error), end; !error && at != end;
       at.increment(error)) {
    std::error_code gone;
    const auto fd = first_number(at->path().filename().string());
    if (fd && fs::read_symlink(at->path(), gone) == name)
      found.push_back(static_cast<int64_t>(*fd));
  }
  return found;
}

bool copy_file(const std::string& from, const std::string& to) {
  std::ifstream source(from, std::ios::binary);
  std::ofstream target(to, std::ios::binary);
  target << source.rdbuf();
  target.flush();
  return source.good() && target.good();
}

}  // namespace ovc
