// SPDX-License-Identifier: MIT
//
// Many threads, each with so many malloc and free pairs of its own.
//   threads live N PAIRS     N threads, all alive until each has made its calls
//   threads one N PAIRS      N idle threads, which have made one pair, and one more that works
//   threads churn N PAIRS    N threads, one after the other
//   threads fork N PAIRS     N idle threads; the last one forks, and the child makes as many
//   threads, which work
// Exit status 77 with a reason where the system gives no such number of threads.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static long threads, pairs;
static pthread_barrier_t started, done;
static pthread_attr_t small_stack;

static void work(long n) {
  for (long i = 0; i < n; ++i) {
    char* volatile p = malloc((size_t)(24 + i % 100));
    if (!p) abort();
    free(p);
  }
}
static void* works_beside_others(void* arg) {
  pthread_barrier_wait(&started);
  work(pairs);
  pthread_barrier_wait(&done);
  return arg;
}
static void* waits(void* arg) {
  work(1);
  pthread_barrier_wait(&started);
  pthread_barrier_wait(&done);
  return arg;
}
static void* works(void* arg) {
  work(pairs);
  return arg;
}

static pthread_t start(void* (*body)(void*)) {
  pthread_t thread;
  const int err = pthread_create(&thread, &small_stack, body, NULL);
  if (err) {
    printf("cannot have %ld threads: %s\n", threads, strerror(err));
    fflush(stdout);
    _exit(77);
  }
  return thread;
}

static pthread_t* start_all(void* (*body)(void*)) {
  pthread_t* all = calloc((size_t)threads, sizeof *all);
  pthread_barrier_init(&started, NULL, (unsigned)threads + 1);
  pthread_barrier_init(&done, NULL, (unsigned)threads + 1);
  for (long i = 0; i < threads; ++i) all[i] = start(body);
  pthread_barrier_wait(&started);
  return all;
}
static void join_all(pthread_t* all) {
  pthread_barrier_wait(&done);
  for (long i = 0; i < threads; ++i) pthread_join(all[i], NULL);
  free(all);
}

static void* forks(void* arg) {
  work(1);
  const pid_t child = fork();
  if (child < 0) abort();
  if (child == 0) {
    join_all(start_all(works_beside_others));
    exit(0);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) abort();
  if (WEXITSTATUS(status)) _exit(WEXITSTATUS(status));
  return arg;
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  threads = atol(argv[2]), pairs = atol(argv[3]);
  pthread_attr_init(&small_stack);
  pthread_attr_setstacksize(&small_stack, 64 * 1024);
  if (!strcmp(argv[1], "live")) {
    join_all(start_all(works_beside_others));
  } else if (!strcmp(argv[1], "one")) {
    pthread_t* idle = start_all(waits);
    pthread_join(start(works), NULL);
    join_all(idle);
  } else if (!strcmp(argv[1], "churn")) {
    for (long i = 0; i < threads; ++i) pthread_join(start(works), NULL);
  } else {
    pthread_t* idle = start_all(waits);
    pthread_join(start(forks), NULL);
    join_all(idle);
  }
  printf("%ld threads, %ld pairs\n", threads, pairs);
  return 0;
}
