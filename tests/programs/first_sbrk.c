// SPDX-License-Identifier: MIT
// The program's first heap is made by sbrk, by nothing of libc's own; then two mappings, and it
// waits. For tests/e2e/maps_sbrk.sh.
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

int main(void) {
  const int anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
  if (sbrk(112 << 10) == (void*)-1) return 1;
  if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, anonymous, -1, 0) == MAP_FAILED) return 1;
  if (mmap(NULL, 40960, PROT_READ, anonymous, -1, 0) == MAP_FAILED) return 1;
  if (write(STDOUT_FILENO, "ready\n", 6) != 6) return 1;
  for (;;) pause();
}
