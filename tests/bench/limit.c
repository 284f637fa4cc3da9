// SPDX-License-Identifier: MIT
// The physical limit beside which the shim is measured: per pair, two stores of 16 bytes into a
// mapped file and one TSC read each.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static uint64_t ticks(void) {
#if defined(__x86_64__)
  uint32_t lo, hi;
  __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
  return (uint64_t)hi << 32 | lo;
#else
  uint64_t v;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(v));
  return v;
#endif
}

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char** argv) {
  const long pairs = argc > 1 ? atol(argv[1]) : 10000000;
  const size_t bytes = 64u << 20;
  char name[] = "/var/tmp/ovc-limit.XXXXXX";
  const int fd = mkstemp(name);
  if (fd < 0 || unlink(name) || posix_fallocate(fd, 0, (off_t)bytes)) return 2;
  volatile uint64_t* lane = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (lane == MAP_FAILED) return 2;
  const size_t words = bytes / sizeof *lane;
  size_t at = 0;
  const double start = now_ns();
  for (long i = 0; i < 2 * pairs; i++) {
    lane[at] = ticks();
    lane[at + 1] = (uint64_t)i;
    at = at + 2 == words ? 0 : at + 2;
  }
  printf("wall %.2f\n", (now_ns() - start) / (double)pairs);
  return 0;
}
