// SPDX-License-Identifier: MIT
// Times pairs of memory calls: pair KIND THREADS PAIRS [DEPTH [WARM]], PAIRS of all threads
// together, DEPTH functions around each call, WARM pairs before the clock starts. Prints ns a pair:
// "wall", from the start of all threads to the end of the last * threads that can run at once /
// pairs, and "cpu", CPU time of the threads / pairs.
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { kMaxThreads = 8192 };
static long pairs_of_thread;
static int depth;
static pthread_barrier_t all_are_there;

// volatile: the pair must not be optimised away.
static void pair_malloc(long i) {
  void* volatile block = malloc(64 + (size_t)(i & 63));
  free(block);
}
static void pair_calloc(long i) {
  void* volatile block = calloc(1, 64 + (size_t)(i & 63));
  free(block);
}
static void pair_realloc(long i) {  // the block is new each time: a malloc by its other name
  void* volatile block = realloc(NULL, 64 + (size_t)(i & 63));
  free(block);
}
static void pair_memalign(long i) {
  void* volatile block = memalign(64, 64 + (size_t)(i & 63));
  free(block);
}
static void pair_mmap(long i) {
  (void)i;
  void* volatile block =
      mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(block, 4096);
}

static const struct {
  const char* name;
  void (*once)(long);
} kKinds[] = {{"malloc", pair_malloc},
              {"calloc", pair_calloc},
              {"realloc", pair_realloc},
              {"memalign", pair_memalign},
              {"mmap", pair_mmap}};
static void (*once)(long);

static __attribute__((noinline)) void down(int left, long i) {
  if (left > 0) {
    down(left - 1, i);
  } else {
    once(i);
  }
  __asm__ volatile("" ::: "memory");  // no tail call: each level keeps its frame
}

static void make(long pairs) {
  if (once == pair_malloc && depth == 0) {  // the shortest loop for the cheapest pair
    for (long i = 0; i < pairs; i++) pair_malloc(i);
  } else {
    for (long i = 0; i < pairs; i++) down(depth, i);
  }
}

static double now_ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void* run(void* spent) {
  once(0);  // a thread's first call has more to do
  pthread_barrier_wait(&all_are_there);
  const double start = now_ns(CLOCK_THREAD_CPUTIME_ID);
  make(pairs_of_thread);
  *(double*)spent = now_ns(CLOCK_THREAD_CPUTIME_ID) - start;
  return NULL;
}

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  for (size_t k = 0; k < sizeof kKinds / sizeof *kKinds; k++)
    if (strcmp(argv[1], kKinds[k].name) == 0) once = kKinds[k].once;
  const int threads = atoi(argv[2]);
  if (!once || threads < 1 || threads > kMaxThreads) return 2;
  pairs_of_thread = atol(argv[3]) / threads;
  depth = argc > 4 ? atoi(argv[4]) : 0;
  if (argc > 5) make(atol(argv[5]));
  static pthread_t ids[kMaxThreads];
  static double spent[kMaxThreads];
  double sum = 0;
  pthread_attr_t small_stack;
  pthread_attr_init(&small_stack);
  pthread_attr_setstacksize(&small_stack, 64 * 1024);
  pthread_barrier_init(&all_are_there, NULL, (unsigned)threads + 1);
  for (int i = 0; i < threads; i++)
    if (pthread_create(&ids[i], &small_stack, run, &spent[i]) != 0) return 2;
  const double start = now_ns(CLOCK_MONOTONIC);  // before: none can begin yet
  pthread_barrier_wait(&all_are_there);
  for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  const double wall = now_ns(CLOCK_MONOTONIC) - start, pairs = (double)pairs_of_thread * threads;
  for (int i = 0; i < threads; i++) sum += spent[i];
  const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  printf("wall %.2f\ncpu %.2f\n", wall * (double)(threads < cpus ? threads : cpus) / pairs,
         sum / pairs);
  return 0;
}
