// SPDX-License-Identifier: MIT
//
// What /proc says of this process, read with system calls and a buffer of its own: asking changes
// no mapping.
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace ovc::test {

inline std::string_view read_proc(const char* path) {
  static char text[1 << 22];  // made with the program, not while something is measured
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  size_t have = 0;
  for (ssize_t n = 1; fd >= 0 && n > 0 && have < sizeof text;
       have += static_cast<size_t>(n > 0 ? n : 0))
    n = read(fd, text + have, sizeof text - have < 65536 ? sizeof text - have : 65536);
  if (fd >= 0) close(fd);
  return {text, have};
}

inline uint64_t overcommit_mode() {
  return std::strtoull(std::string(read_proc("/proc/sys/vm/overcommit_memory")).c_str(), nullptr,
                       10);
}

// Calls each(start, end, VmFlags) for every mapping.
template <typename Each>
void for_each_vma(Each each) {
  std::string_view text = read_proc("/proc/self/smaps");
  uint64_t start = 0, end = 0;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.substr(0, 8) == "VmFlags:") {
      each(start, end, line.substr(8));
    } else if (const size_t dash = line.find('-'); dash != line.npos && line.find(':') > dash) {
      char* rest = nullptr;
      start = std::strtoull(line.data(), &rest, 16);
      if (*rest == '-') end = std::strtoull(rest + 1, nullptr, 16);
    }
  }
}

// Sum of the mappings with VM_ACCOUNT, kB.
inline uint64_t accounted_kb() {
  uint64_t kb = 0;
  for_each_vma([&](uint64_t start, uint64_t end, std::string_view flags) {
    if (flags.find(" ac") != flags.npos) kb += (end - start) / 1024;
  });
  return kb;
}

// VmFlags of the mapping that holds an address; empty if there is none.
inline std::string vm_flags_at(const void* address) {
  std::string found;
  for_each_vma([&](uint64_t start, uint64_t end, std::string_view flags) {
    if (start <= reinterpret_cast<uint64_t>(address) && reinterpret_cast<uint64_t>(address) < end)
      found = flags;
  });
  return found;
}

}  // namespace ovc::test
