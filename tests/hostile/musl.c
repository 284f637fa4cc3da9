// SPDX-License-Identifier: MIT
//
// A program for musl: what it does is counted by musl.sh. It prints what it sees, so that a run
// under the shim can be held against one without. argv[1] programs to run as children.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;
static void* volatile kept;
enum { kThreads = 40, kPairs = 100, kForks = 20 };

static void* pairs(void* unused) {
  for (int i = 0; i < kPairs; ++i) {
    kept = malloc(100 + (size_t)i);
    free(kept);
  }
  return unused;
}

static void on_alarm(int signal) {
  (void)signal;
  int saved = errno;
  void* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(page, 4096);
  errno = saved;
}

static int ended(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -2;
}

__attribute__((noinline)) pid_t save_in_background(void) {
  pid_t child = fork();
  if (child == 0) {
    pairs(NULL);
    _exit(7);
  }
  return child;
}

int main(int count, char** args) {
  const char* before = dlerror();
  printf("dlerror %s\n", before ? before : "none");
  for (int i = 0; i < kThreads; i += 4) {
    pthread_t threads[4];
    for (int t = 0; t < 4; ++t) pthread_create(&threads[t], NULL, pairs, NULL);
    for (int t = 0; t < 4; ++t) pthread_join(threads[t], NULL);
  }
  signal(SIGALRM, on_alarm);
  ualarm(300, 300);
  for (int i = 0; i < kForks; ++i)
    if (ended(save_in_background()) != 7) printf("a child's end\n");
  ualarm(0, 0);
  for (int i = 1; i < count; ++i) {
    pid_t child = vfork();
    if (child == 0) {
      execl(args[i], args[i], (char*)NULL);
      _exit(127);
    }
    printf("%d\n", ended(child));
    char* words[] = {args[i], NULL};
    if (posix_spawn(&child, args[i], NULL, NULL, words, environ) == 0) printf("%d\n", ended(child));
  }
  printf("%d\n", WEXITSTATUS(system("exit 4")));
  struct rlimit limit = {200 << 20, 200 << 20};
  setrlimit(RLIMIT_AS, &limit);
  void* none = mmap(NULL, 1UL << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  printf("%d %d\n", none == MAP_FAILED, errno);
  kept = malloc(1UL << 50);
  printf("%d %d\n", kept == NULL, errno);
  printf("%d\n", save_in_background() < 0 ? errno : 0);
  return 5;
}
