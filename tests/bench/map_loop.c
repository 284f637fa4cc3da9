// SPDX-License-Identifier: MIT
// map_loop COUNT: so many times mmap and munmap of two pages.
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  for (long i = atol(argv[1]); i > 0; i--) {
    void* at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED || munmap(at, 8192) != 0) return 1;
  }
  return 0;
}
