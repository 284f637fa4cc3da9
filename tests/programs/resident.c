// SPDX-License-Identifier: MIT
//
// Holds memory in 4 kB pages and many mappings while threads map and unmap, each with a pause after
// it, and count how long the slowest pair took, and the longest time between two looks at the
// clock:
//   resident GIB MAPPINGS THREADS
// Each line of standard input is answered with both, in microseconds, and they begin anew.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static atomic_long slowest_pair, longest_gap;
static atomic_int ended;

static long now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
static void raise_to(atomic_long* most, long value) {
  long old = atomic_load(most);
  while (value > old && !atomic_compare_exchange_weak(most, &old, value)) {}
}

static void* work(void* nothing) {
  long last = now_us();
  while (!atomic_load(&ended)) {
    const long begin = now_us();
    raise_to(&longest_gap, begin - last);
    void* map = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || munmap(map, 65536) != 0) abort();
    last = now_us();
    raise_to(&slowest_pair, last - begin);
    usleep(200);
    last = now_us();
  }
  return nothing;
}

int main(int argc, char** argv) {
  const size_t bytes = (argc > 1 ? strtoul(argv[1], NULL, 10) : 1) << 30;
  const int mappings = argc > 2 ? atoi(argv[2]) : 0, threads = argc > 3 ? atoi(argv[3]) : 1;
  pthread_t ids[64];
  if (threads > 64) return 2;
  if (bytes) {
    char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 1;
    madvise(memory, bytes, MADV_NOHUGEPAGE);
    for (size_t at = 0; at < bytes; at += 4096) memory[at] = 1;
  }
  for (int i = 0; i < mappings; ++i)
    if (mmap(NULL, 4096, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
             -1, 0) == MAP_FAILED)
      return 1;
  for (int i = 0; i < threads; ++i) pthread_create(&ids[i], NULL, work, NULL);
  puts("ready");
  fflush(stdout);
  char line[16];
  while (fgets(line, sizeof line, stdin)) {
    printf("%ld %ld\n", atomic_exchange(&slowest_pair, 0), atomic_exchange(&longest_gap, 0));
    fflush(stdout);
  }
  atomic_store(&ended, 1);
  for (int i = 0; i < threads; ++i) pthread_join(ids[i], NULL);
  return 0;
}
