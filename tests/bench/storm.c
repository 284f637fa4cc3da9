// SPDX-License-Identifier: MIT
// Times refused memory calls: storm CALLS MAPPINGS. CALLS mmap are refused by RLIMIT_AS in a
// process with MAPPINGS small mappings. Prints "first US", "rest US", mean of the calls after it,
// "slowest US" of those, and "smaps US", reading the list of mappings once, in CPU time of the
// thread.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "read_smaps.h"

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double smaps_us(void) {
  const double start = now_us();
  read_smaps();
  return now_us() - start;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const long calls = atol(argv[1]);
  const size_t mappings = (size_t)atol(argv[2]);
  if (mappings) {
    char* at =
        mmap(NULL, mappings * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return 2;
    for (size_t i = 0; i < mappings; i += 2)
      if (mprotect(at + i * 4096, 4096, PROT_READ) != 0) return 2;
  }
  const struct rlimit limit = {(rlim_t)2 << 30, (rlim_t)2 << 30};
  if (setrlimit(RLIMIT_AS, &limit) != 0) return 2;
  double first = 0, rest = 0, slowest = 0;
  for (long i = 0; i < calls; i++) {
    const double start = now_us();
    if (mmap(NULL, (size_t)3 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
        MAP_FAILED)
      return 2;
    const double took = now_us() - start;
    if (i == 0) first = took;
    else rest += took;
    if (i > 0 && took > slowest) slowest = took;
  }
  printf("first %.1f\nrest %.2f\nslowest %.1f\nsmaps %.1f\n", first, rest / (double)(calls - 1),
         slowest, smaps_us());
  return 0;
}
