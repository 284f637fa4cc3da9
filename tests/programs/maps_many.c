// SPDX-License-Identifier: MIT
// Maps and unmaps PAIRS times, of several sizes, and keeps each 4096th. Usage: maps_many PAIRS
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char** argv) {
  const long pairs = argc > 1 ? atol(argv[1]) : 1000;
  for (long i = 0; i < pairs; ++i) {
    const size_t size = (size_t)4096 << (i % 9);
    void* mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED) return 1;
    if (i % 4096 != 0 && munmap(mapping, size) != 0) return 1;
  }
  return 0;
}
