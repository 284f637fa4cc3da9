// SPDX-License-Identifier: MIT
// Many processes at once: children COUNT PAIRS. All children live before the first malloc+free
// pair; then each makes PAIRS of them. Prints "fork US", mean of the fork calls, and "cpu NS", CPU
// time of all children / pairs, without what a child with no pair takes.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}
static double children_ns(void) {
  struct rusage u;
  getrusage(RUSAGE_CHILDREN, &u);
  return ((double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec) * 1e9 +
         ((double)u.ru_utime.tv_usec + (double)u.ru_stime.tv_usec) * 1e3;
}

static void child(int gate, long pairs) {
  char byte;
  if (read(gate, &byte, 1) != 0) _exit(2);  // end of file: the parent has all its children
  for (long i = 0; i < pairs; i++) {
    void* volatile block = malloc(64 + (size_t)(i & 63));
    free(block);
  }
  _exit(0);
}

// One generation; returns the mean time of a fork in us.
static double generation(int count, long pairs) {
  int gate[2];
  if (pipe(gate) != 0) exit(2);
  double spent = 0;
  for (int i = 0; i < count; i++) {
    const double start = now_us();
    const pid_t pid = fork();
    if (pid < 0) exit(2);
    if (pid == 0) {
      close(gate[1]);
      child(gate[0], pairs);
    }
    spent += now_us() - start;
  }
  close(gate[0]);
  close(gate[1]);
  for (int i = 0, status; i < count; i++)
    if (wait(&status) < 0 || status != 0) exit(2);
  return spent / count;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int count = atoi(argv[1]);
  const long pairs = atol(argv[2]);
  printf("fork %.1f\n", generation(count, 0));
  const double empty = children_ns();
  generation(count, pairs);
  printf("cpu %.2f\n", (children_ns() - 2 * empty) / ((double)count * (double)pairs));
  return 0;
}
