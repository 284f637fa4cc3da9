// SPDX-License-Identifier: MIT
// Times fork: forks FORKS MIB MAPPINGS [refused], one line "fork US" (the call in the parent) and
// "all US" (until the child is waited for) per fork, of a process with MIB resident in 4 kB pages
// and MAPPINGS small mappings more. `refused`: RLIMIT_NPROC is 0; then also "smaps US".
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "read_smaps.h"

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static char* map(size_t bytes) {
  char* at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED || madvise(at, bytes, MADV_NOHUGEPAGE) != 0) exit(2);
  memset(at, 1, bytes);
  return at;
}

// The limit does not hold for root: become nobody, but go on as one who may read the own /proc.
static void let_no_more_be_born(void) {
  const struct rlimit none = {0, 0};
  if (setrlimit(RLIMIT_NPROC, &none) != 0) exit(2);
  if (geteuid() == 0 &&
      (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0))
    exit(2);
  prctl(PR_SET_DUMPABLE, 1);
}

// Reading the list of mappings once.
static double smaps_us(void) {
  const double start = now_us();
  read_smaps();
  return now_us() - start;
}

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5) return 2;
  const int forks = atoi(argv[1]);
  const size_t mib = (size_t)atol(argv[2]), mappings = (size_t)atol(argv[3]);
  if (mib) map(mib << 20);
  if (mappings) {  // every second page is read-only: none can be merged with its neighbour
    char* at = map(mappings * 4096);
    for (size_t i = 0; i < mappings; i += 2)
      if (mprotect(at + i * 4096, 4096, PROT_READ) != 0) return 2;
  }
  const int refused = argc == 5;
  if (refused) let_no_more_be_born();
  for (int i = 0; i < forks; i++) {
    const double start = now_us();
    const pid_t child = fork();
    if (child == 0) _exit(0);
    const double forked = now_us();
    if ((child < 0) != refused) return 2;
    if (child > 0) waitpid(child, NULL, 0);
    printf("fork %.1f\nall %.1f\n", forked - start, now_us() - start);
  }
  if (refused) printf("smaps %.1f\n", smaps_us());
  return 0;
}
