// SPDX-License-Identifier: MIT
// Two threads that live side by side make malloc+free pairs one after the other, for
// shared_lines.sh. Prints the address of `phase`: it is 1 while the first makes its pairs and 2
// while the second does, else 0. With an argument both also write to one variable.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { kPairs = 50 };  // fewer than a chunk of the log holds
static volatile int phase;
static volatile int shared __attribute__((aligned(64)));
static volatile int guard __attribute__((aligned(64)));  // nothing else in the line of `shared`
static pthread_barrier_t turn;
static int sharing;

static void pairs(int count) {
  for (int i = 0; i < count; i++) {
    void* volatile block = malloc(64);
    free(block);
  }
}

static void* run(void* number) {
  const int me = *(const int*)number;
  pairs(2);  // a thread's first call has more to do
  pthread_barrier_wait(&turn);
  if (me == 2) pthread_barrier_wait(&turn);
  phase = me;
  pairs(kPairs);
  if (sharing) shared = me;
  phase = 0;
  if (me == 1) pthread_barrier_wait(&turn);
  pthread_barrier_wait(&turn);  // both live until the end
  return NULL;
}

int main(int argc, char** argv) {
  (void)argv;
  sharing = argc > 1;
  guard = 0;
  printf("%lx\n", (unsigned long)&phase);
  fflush(stdout);
  pthread_t threads[2];
  int numbers[2] = {1, 2};
  pthread_barrier_init(&turn, NULL, 2);
  for (int i = 0; i < 2; i++)
    if (pthread_create(&threads[i], NULL, run, &numbers[i]) != 0) return 2;
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  return 0;
}
