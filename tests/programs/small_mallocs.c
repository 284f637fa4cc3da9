// SPDX-License-Identifier: MIT
// small_mallocs MIB [THREADS [CHILDREN]]: the first thread and THREADS more, or as many CHILDREN
// one after the other, each ask for MIB MiB in small blocks from functions with names, in a rhythm
// that repeats: three quarters through asks_much, some of it by realloc, the rest through
// asks_little, and next to nothing through asks_tiny, which makes most calls. Prints "NAME bytes"
// for each, of all together.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kMuch, kLittle, kTiny, kNames };
static const char* const names[] = {"asks_much", "asks_little", "asks_tiny"};
static uint64_t* asked;  // [kNames], shared with children
static uint64_t mib;

static void count(int name, size_t bytes) {
  __atomic_fetch_add(&asked[name], bytes, __ATOMIC_RELAXED);
}

__attribute__((noinline)) static void asks_much(size_t bytes) {
  void* volatile block = malloc(bytes / 2);
  block = realloc(block, bytes);
  count(kMuch, bytes / 2 + bytes);
  free(block);
}
__attribute__((noinline)) static void asks_little(size_t bytes) {
  void* volatile block = calloc(1, bytes);
  count(kLittle, bytes);
  free(block);
}
__attribute__((noinline)) static void asks_tiny(void) {
  void* volatile block = malloc(8);
  count(kTiny, 8);
  free(block);
}

static void* work(void* unused) {
  const uint64_t round = 3 * 8192 + 8192 + 16 * 8;
  for (uint64_t done = 0; done < mib << 20; done += round) {
    asks_much(16384);
    for (int i = 0; i < 16; i++) asks_tiny();
    asks_little(8192);
  }
  return unused;
}

static int in_threads(int threads) {
  pthread_t thread[64];
  for (int i = 0; i < threads; i++)
    if (pthread_create(&thread[i], NULL, work, NULL) != 0) return 1;
  work(NULL);
  for (int i = 0; i < threads; i++) pthread_join(thread[i], NULL);
  return 0;
}

static int in_children(int children) {
  for (int i = 0; i < children; i++) {
    pid_t child = fork();
    if (child < 0) return 1;
    if (child == 0) _exit(work(NULL) != NULL);
    waitpid(child, NULL, 0);
  }
  return 0;
}

int main(int argc, char** argv) {
  asked = mmap(NULL, sizeof(uint64_t) * kNames, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
               -1, 0);
  if (argc < 2 || asked == MAP_FAILED) return 2;
  mib = strtoull(argv[1], NULL, 10);
  const int threads = argc > 2 ? atoi(argv[2]) : 0, children = argc > 3 ? atoi(argv[3]) : 0;
  if (threads < 0 || threads > 64) return 2;
  const int status = children ? in_children(children) : in_threads(threads);
  for (int i = 0; i < kNames; i++) printf("%s %llu\n", names[i], (unsigned long long)asked[i]);
  return status;
}
