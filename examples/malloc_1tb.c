// SPDX-License-Identifier: MIT
// Shows: malloc of 1 TB, refused in mode 0 and granted in mode 1, and what malloc tries inside before it gives up: the
//   mapping asked for; a 128 MB arena to take it from (address space only: MAP_NORESERVE); the mapping once more.
//   The rule of mode 0 since Linux 5.2: one request must not be over RAM + swap. Nothing else is looked at.
// Run and expect (tests/fixtures/promise.sh checks it; `...` stands for anything):
//   $ overcommit.sh 0 -- ovc run -- malloc_1tb
//   malloc(1 TB): Cannot allocate memory
//   $ ovc show --op malloc,mmap --failed
//   $ overcommit.sh 1 -- ovc run -- malloc_1tb
//   malloc(1 TB): granted
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  char* block = malloc((size_t)1 << 40);
  if (block == NULL) {
    perror("malloc(1 TB)");
    return 1;
  }
  puts("malloc(1 TB): granted");
  free(block);
  return 0;
}
