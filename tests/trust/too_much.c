// SPDX-License-Identifier: MIT
// too_much [MIB]: allocates and touches so much memory, if given, then asks for more address space
// than there is.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int main(int argc, char** argv) {
  const size_t bytes = argc > 1 ? strtoul(argv[1], NULL, 10) << 20 : 0;
  char* p = bytes ? malloc(bytes) : NULL;
  if (bytes && !p) return 2;
  if (p) memset(p, 1, bytes);
  for (int i = 0; i < 100000; ++i) free(malloc(100));
  void* all =
      mmap(NULL, (size_t)1 << 47, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  free(p);
  return all != MAP_FAILED;
}
