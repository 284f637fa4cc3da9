// SPDX-License-Identifier: MIT
// lock_all HOW FLAGS: calls mlockall(FLAGS) as one thread ("alone"), beside threads that allocate
// all the while ("threads"), by syscall(2) ("raw"), or in a child whose peak its parent reads
// ("child"); then prints the call's result, and on standard error what it took: kB by which the
// resident set and its peak grew, microseconds.
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static atomic_int running, stop;
static void* volatile kept;

static long figure(const char* name) {
  char line[256];
  long kb = -1;
  FILE* f = fopen("/proc/self/status", "re");
  while (f && fgets(line, sizeof line, f))
    if (strncmp(line, name, strlen(name)) == 0) kb = atol(line + strlen(name));
  if (f) fclose(f);
  return kb;
}

static void* allocate(void* unused) {
  (void)unused;
  atomic_fetch_add(&running, 1);
  while (!atomic_load(&stop)) {
    void* p = malloc(100);
    void* q = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (q != MAP_FAILED) munmap(q, 4096);
    free(p);
  }
  return NULL;
}

static int lock(const char* how, int flags) {
  return strcmp(how, "raw") == 0 ? (int)syscall(SYS_mlockall, flags) : mlockall(flags);
}

static void measure(const char* how, int flags) {
  struct timespec from, to;
  const long rss = figure("VmRSS:");
  clock_gettime(CLOCK_MONOTONIC, &from);
  const int result = lock(how, flags);
  const int err = result ? errno : 0;
  clock_gettime(CLOCK_MONOTONIC, &to);
  kept = malloc(300000);  // recorded behind it, too
  printf("%d %s\n", result, err ? strerror(err) : "");
  fprintf(stderr, "rss %ld peak %ld us %ld\n", figure("VmRSS:") - rss, figure("VmHWM:") - rss,
          (to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000);
  free(kept);
  munlockall();
}

static void in_child(int flags) {
  struct rusage use;
  fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) _exit(mlockall(flags) != 0);
  int status = 0;
  waitpid(pid, &status, 0);
  getrusage(RUSAGE_CHILDREN, &use);
  printf("child ends with %d\n", status);
  fprintf(stderr, "rss 0 peak %ld us 0\n", use.ru_maxrss - figure("VmHWM:"));
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const int flags = atoi(argv[2]);
  if (strcmp(argv[1], "child") == 0) return in_child(flags), 0;
  pthread_t threads[4];
  const int n = strcmp(argv[1], "threads") == 0 ? 4 : 0;
  for (int i = 0; i < n; ++i) pthread_create(&threads[i], NULL, allocate, NULL);
  while (atomic_load(&running) < n) sched_yield();
  for (int i = 0; i < (n ? 20 : 1); ++i) measure(argv[1], flags);
  atomic_store(&stop, 1);
  for (int i = 0; i < n; ++i) pthread_join(threads[i], NULL);
  return 0;
}
