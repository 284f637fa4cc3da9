// SPDX-License-Identifier: MIT
#include "shim/libc/near_page.h"

#include "shim/proc/lines.h"
#include "shim/proc/proc_files.h"
#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

constexpr uint64_t kReach = (uint64_t{1} << 31) - (uint64_t{1} << 24);
constexpr uint64_t kForTheStack = uint64_t{64} << 20;  // what a stack above the hole may grow by
constexpr long kFixedNoReplace = 0x100000;             // since Linux 4.17; a mere wish before

uint64_t hex(const char*& at) {
  uint64_t value = 0;
  for (;; ++at) {
    const char c = *at;
    if (c >= '0' && c <= '9') value = value << 4 | static_cast<uint64_t>(c - '0');
    else if (c >= 'a' && c <= 'f') value = value << 4 | static_cast<uint64_t>(c - 'a' + 10);
    else return value;
  }
}

uint64_t map_at(uint64_t address) {
  const long at = sys::call(__NR_mmap, static_cast<long>(address), kPageBytes, 5 /* RX */,
                            0x22 /* PRIVATE, ANONYMOUS */ | kFixedNoReplace, -1, 0);
  if (sys::failed(at)) return 0;
  if (static_cast<uint64_t>(at) == address) return address;
  sys::call(__NR_munmap, at, kPageBytes);
  return 0;
}

}  // namespace

// The lowest page of each hole: what lies above one may be a stack, which grows down into it.
uint64_t map_near(uint64_t start, uint64_t end) {
  char io[2048];
  Lines lines("/proc/self/maps", io, sizeof io);
  const uint64_t lowest = end > kReach ? end - kReach : 0, highest = start + kReach;
  uint64_t hole = 0;
  while (const char* line = lines.ok() ? lines.next() : nullptr) {
    const uint64_t from = hex(line);
    if (hole && hole >= lowest && hole < highest && from > hole && from - hole > kForTheStack)
      if (const uint64_t page = map_at(hole)) return page;
    hole = *line == '-' ? hex(++line) : 0;
  }
  return 0;
}

}  // namespace ovcshim
