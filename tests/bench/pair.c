// SPDX-License-Identifier: MIT
// Times malloc+free pairs: pair THREADS PAIRS. Prints ns a pair (wall time * threads that can run / pairs of one thread).
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long pairs;

static void* run(void* unused) {
  void* volatile block;  // volatile: the pair must not be optimised away
  for (long i = 0; i < pairs; i++) {
    block = malloc(64 + (size_t)(i & 63));
    free(block);
  }
  return unused;
}

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char** argv) {
  const int threads = argc > 1 ? atoi(argv[1]) : 1;
  pairs = argc > 2 ? atol(argv[2]) : 10000000;
  pthread_t ids[256];
  if (threads < 1 || threads > 256) return 2;
  const double start = now_ns();
  for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, run, NULL);
  for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  printf("%.2f\n", (now_ns() - start) / (double)pairs);
  return 0;
}
