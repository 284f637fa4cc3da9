// SPDX-License-Identifier: MIT
// Shows: address space is free, writable memory is not. PROT_NONE is charged nothing; mprotect to
// writable charges it, and taking the right to write back does not give the charge back once the
// memory was written to.
// Run and expect (tests/fixtures/promise.sh checks it; `...` stands for anything):
//   $ ovc run -- reserve_then_use
//   $ ovc show --op mmap,mprotect,munmap --min-size 64M
//   ... mmap(NULL, 268435456, PROT_NONE, ..., -1, 0) = 0x... <- main+... (reserve_then_use)
//   ... mprotect(0x..., 67108864, PROT_READ|PROT_WRITE) = 0 ...
//   ... mprotect(0x..., 67108864, PROT_NONE) = 0 ...
//   ... munmap(0x..., 268435456) = 0 ...
#include <string.h>
#include <sys/mman.h>

int main(void) {
  const size_t reserved = (size_t)256 << 20, used = (size_t)64 << 20;
  char* memory = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, used, PROT_READ | PROT_WRITE) != 0) return 1;
  memset(memory, 1, 4096);
  mprotect(memory, used, PROT_NONE);
  munmap(memory, reserved);
  return 0;
}
