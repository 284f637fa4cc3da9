// SPDX-License-Identifier: MIT
// Fills the call lane of a log: four threads that do nothing but malloc and free. For
// tests/e2e/bounded_memory.sh. Usage: fills_calls PAIRS (of each thread)
#include <pthread.h>
#include <stdlib.h>

static long pairs;

static void* work(void* unused) {
  for (long i = 0; i < pairs; i++) {
    void* volatile block = malloc(16 + (size_t)(i & 255));
    free(block);
  }
  return unused;
}

int main(int argc, char** argv) {
  pairs = argc > 1 ? atol(argv[1]) : 1000;
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    if (pthread_create(&threads[i], NULL, work, NULL) != 0) return 1;
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  return 0;
}
