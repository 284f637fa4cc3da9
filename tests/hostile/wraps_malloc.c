// SPDX-License-Identifier: MIT
// A program with functions of its own in front of libc's allocator: each looks the next one up by
// dlsym in its first call, and dlsym itself may allocate. Prints whether what it counted is what
// was called.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static __thread int looking;
static unsigned mallocs, callocs, frees;
static char early[65536] __attribute__((aligned(16)));
static size_t early_used;

static void* early_block(size_t bytes) {
  early_used += (bytes + 15) & ~(size_t)15;
  return early_used <= sizeof early ? early + early_used - ((bytes + 15) & ~(size_t)15) : NULL;
}
static int is_early(const void* block) {
  return (const char*)block >= early && (const char*)block < early + sizeof early;
}
static void* next(const char* name) {
  looking++;
  void* found = dlsym(RTLD_NEXT, name);
  looking--;
  return found;
}
static void count(unsigned* counter) { __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED); }

void* malloc(size_t bytes) {
  static void* (*real)(size_t);
  if (looking && !real) return early_block(bytes);
  if (!real) real = (void* (*)(size_t))next("malloc");
  count(&mallocs);
  return real(bytes);
}
void* calloc(size_t n, size_t bytes) {
  static void* (*real)(size_t, size_t);
  if (looking && !real) return early_block(n * bytes);
  if (!real) real = (void* (*)(size_t, size_t))next("calloc");
  count(&callocs);
  return real(n, bytes);
}
void free(void* block) {
  static void (*real)(void*);
  if (is_early(block)) return;
  if (!real) real = (void (*)(void*))next("free");
  count(&frees);
  real(block);
}

enum { kRounds = 100000, kThreads = 4 };
static void* rounds(void* arg) {
  for (size_t i = 0; i < kRounds; i++) {
    char* first = malloc(i % 3000 + 1);
    char* second = calloc(i % 7, i % 100);
    if (first == NULL || second == NULL) return NULL;
    first[i % 3000] = 1;
    free(second), free(first);
  }
  return arg;
}
int main(void) {
  pthread_t threads[kThreads];
  int good = 1;
  for (int i = 0; i < kThreads; i++)
    if (pthread_create(&threads[i], NULL, rounds, &good) != 0) return 2;
  for (int i = 0; i < kThreads; i++) {
    void* result = NULL;
    good &= pthread_join(threads[i], &result) == 0 && result == &good;
  }
  const unsigned all = kRounds * kThreads;
  printf("%s\n", good && mallocs >= all && callocs >= all && frees >= 2 * all ? "ok" : "WRONG");
  return 0;
}
