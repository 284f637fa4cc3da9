// SPDX-License-Identifier: MIT
// Shows: MAP_NORESERVE keeps a mapping out of the charge in modes 0 and 1; mode 2 ignores the flag.
// Run and expect (tests/fixtures/promise.sh checks it; `...` stands for anything):
//   $ overcommit.sh 0 -- ovc run -- noreserve_mode2
//   $ ovc show --op mmap --min-size 64M
//   ... mmap(NULL, 67108864, ...|MAP_NORESERVE, -1, 0) = 0x... charge 0 kB ...
//   $ overcommit.sh 2 +2G -- ovc run -- noreserve_mode2
//   $ ovc show --op mmap --min-size 64M
//   ... mmap(NULL, 67108864, ...|MAP_NORESERVE, -1, 0) = 0x... charge 65,536 kB ...
#include <stddef.h>
#include <sys/mman.h>

int main(void) {
  const size_t len = (size_t)64 << 20;
  void* memory =
      mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED;
}
