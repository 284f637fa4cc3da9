// SPDX-License-Identifier: MIT
// Shows: malloc of 1 TB, refused in mode 0 and granted in mode 1, and what malloc tries inside
// before it gives up: the mapping asked for; with more than one thread also a 128 MB arena to take
// it from (address space only: PROT_NONE, made out of one of 64 MB), and there the mapping again.
// The rule of mode 0 since Linux 5.2: a single request must not exceed RAM + swap; nothing else is
// looked at.
// Run and expect (tests/fixtures/promise.sh checks it; `...` stands for anything):
//   $ overcommit.sh 0 -- ovc run -- malloc_1tb
//   malloc(1 TB): Cannot allocate memory
//   malloc of 1,099,511,627,776 bytes refused with ENOMEM at ... in malloc_1tb (pid ...)
//     asked by main <- ...
//     cause one request larger than RAM and swap together (vm.overcommit_memory = 0)
//     charge 1,073,741,82... kB
//     would pass mode 0: no mode 1: yes ...
//   $ ovc show --op malloc,mmap --min-size 1M
//   ... malloc(1099511627776) = NULL ENOMEM ... <- main+... (malloc_1tb)
//   ... libc: mmap(NULL, 1099511631872, ...) = -1 ENOMEM charge 1,073,741,828 kB Committed_AS ...
//   ... libc: mmap(NULL, 134217728, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS..., -1, 0) = 0x...
//   ... libc: mmap(NULL, 1099511631872, ...) = -1 ENOMEM charge 1,073,741,828 kB Committed_AS ...
//   $ overcommit.sh 1 -- ovc run -- malloc_1tb
//   malloc(1 TB): granted
//   $ ovc why
//   nothing was refused and nobody was killed in what was seen: ...
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void* idle(void* nothing) {
  pause();
  return nothing;
}

int main(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, idle, NULL) != 0) return 2;
  char* block = malloc((size_t)1 << 40);
  if (block == NULL) {
    perror("malloc(1 TB)");
    return 1;
  }
  puts("malloc(1 TB): granted");
  free(block);
  return 0;
}
