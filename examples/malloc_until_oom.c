// SPDX-License-Identifier: MIT
// Shows: a malloc of 1 TB that mode 1 grants, written to until the OOM killer strikes. Only ever
// run it in a memory cgroup of its own, as examples/oom.sh does; there also what the log says of a
// killed process.
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
