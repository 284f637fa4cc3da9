// SPDX-License-Identifier: MIT
#include "tools/host/guess_probe.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <cerrno>

namespace ovc {
namespace {

bool is_limited(__rlimit_resource_t resource) {
  rlimit limit{};
  return getrlimit(resource, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY;
}

}  // namespace

std::optional<bool> probe_simple_guess(uint64_t ram_and_swap_kb) {
  if (ram_and_swap_kb == 0 || is_limited(RLIMIT_AS) || is_limited(RLIMIT_DATA)) return std::nullopt;
  const size_t bytes = ram_and_swap_kb * 1024;
  void* all = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) return errno == ENOMEM ? std::optional(false) : std::nullopt;
  munmap(all, bytes);
  return true;
}

}  // namespace ovc
