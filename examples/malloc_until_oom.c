// SPDX-License-Identifier: MIT
// Shows: malloc's promise of 1 TB in mode 1, called in by memset until the OOM killer strikes. Only
// ever run it in a memory
//   cgroup of its own, as examples/oom.sh does. What the log says of a killed process stands there
//   too.
// Run: examples/oom.sh
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
  const size_t total = (size_t)1 << 40, step = (size_t)1 << 20;
  char* block = malloc(total);
  if (block == NULL) {
    perror("malloc(1 TB)");
    return 1;
  }
  for (size_t done = 0; done < total; done += step) memset(block + done, 1, step);
  puts("a machine with 1 TB");
  return 0;
}
