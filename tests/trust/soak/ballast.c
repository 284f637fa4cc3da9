// SPDX-License-Identifier: MIT
//
// Loaded into a small server, makes its fork as expensive as that of a large one: 2 GiB that count
// in the commit limit and are never touched. In eight mappings with gaps between them, so that they
// stay eight.
#include <sys/mman.h>

enum { kMappings = 8, kGap = 4096 };
static const unsigned long kBytes = 256ul << 20;

__attribute__((constructor)) static void take_room(void) {
  for (int i = 0; i < kMappings; ++i) {
    char* at = mmap(0, kBytes + kGap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at != MAP_FAILED) munmap(at + kBytes, kGap);
  }
}
