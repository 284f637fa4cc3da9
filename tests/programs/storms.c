// SPDX-License-Identifier: MIT
//
// Refused calls by the thousand.
//   storms as N          N refusals of one mmap by RLIMIT_AS
//   storms sites N       the same from two places by turns
//   storms granted N     the same, with a mapping made and given back before each
//   storms maps N M      a process with M more mappings, or all it may have: N refusals by
//                        vm.max_map_count
//   storms holes N M     the same, N refusals of a MAP_FIXED in the middle of a mapping; now and then
//                        a mapping is given back and made again
//   storms malloc N      N failed malloc under RLIMIT_AS, a mapping made and given back before each
//   storms two N         two threads, each N refusals by RLIMIT_AS
//   storms WAY N         N refusals by RLIMIT_NPROC of WAY: fork, vfork, spawn, system, popen,
//                        thread; a mapping made and given back before each
// Prints nothing but what a test has to know.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kRw = PROT_READ | PROT_WRITE, kAnonymous = MAP_PRIVATE | MAP_ANONYMOUS };
static const size_t kTooMuch = (size_t)1 << 30;

static void limit_space(void) {
  const struct rlimit limit = {(size_t)900 << 20, (size_t)900 << 20};
  if (setrlimit(RLIMIT_AS, &limit)) abort();
}
__attribute__((noinline)) static void refused_here(void) {
  if (mmap(NULL, kTooMuch, kRw, kAnonymous, -1, 0) != MAP_FAILED) abort();
  __asm__ volatile("" ::: "memory");
}
__attribute__((noinline)) static void refused_there(void) {
  if (mmap(NULL, kTooMuch, kRw, kAnonymous, -1, 0) != MAP_FAILED) abort();
  __asm__ volatile("nop" ::: "memory");
}
static void granted(void) {
  void* p = mmap(NULL, 4096, kRw, kAnonymous, -1, 0);
  if (p == MAP_FAILED || munmap(p, 4096)) abort();
}
static void* refused_often(void* times) {
  for (long i = *(long*)times; i > 0; --i) refused_here();
  return NULL;
}

// Every second page gets another protection, which makes each a mapping of its own.
static char* many_mappings(long count) {
  char* base = mmap(NULL, (size_t)count * 8192, kRw, kAnonymous, -1, 0);
  if (base == MAP_FAILED) abort();
  for (long i = 0; i < count; i += 2)
    if (mprotect(base + (size_t)i * 4096, 4096, PROT_NONE)) break;
  return base;
}

// What an allocator does that gives memory back by MAP_FIXED; each would split the mapping.
static void holes_refused(long times, long mappings) {
  char* whole = mmap(NULL, (size_t)64 << 20, kRw, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  char* second = many_mappings(mappings) + 4096;
  if (whole == MAP_FAILED) abort();
  while (mprotect(whole + 8192, 4096, PROT_NONE) == 0)
    if (mmap(NULL, 4096, kRw, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ||
        mprotect(whole + 8192, 4096, kRw))
      abort();
  for (long i = 0; i < times; ++i) {
    char* inside = whole + ((size_t)4 << 20) + (size_t)(i % 1000) * 16384;
    if (mmap(inside, 8192, PROT_NONE, kAnonymous | MAP_FIXED, -1, 0) != MAP_FAILED) abort();
    if (i % 3 == 0 && (munmap(second, 4096) ||
                       mmap(second, 4096, kRw, kAnonymous | MAP_FIXED, -1, 0) == MAP_FAILED))
      abort();
  }
}

// The limit does not hold for root: become nobody, but one who may read the own /proc.
static void limit_tasks(void) {
  const struct rlimit none = {0, 0};
  if (setrlimit(RLIMIT_NPROC, &none)) abort();
  if (geteuid() == 0 && (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))) abort();
  prctl(PR_SET_DUMPABLE, 1);
}
static int forked(void) {
  const pid_t child = fork();
  if (child == 0) _exit(77);
  return child > 0;
}
static int vforked(void) {
  const pid_t child = vfork();
  if (child == 0) _exit(77);
  return child > 0;
}
static int spawned(void) {
  char* arguments[] = {"true", NULL};
  return posix_spawn(NULL, "/bin/true", NULL, NULL, arguments, NULL) == 0;
}
static int shell_ran(void) { return system("true") == 0; }
static int piped(void) { return popen("true", "r") != NULL; }
static int thread_made(void) {
  pthread_t thread;
  long none = 0;
  return pthread_create(&thread, NULL, refused_often, &none) == 0;
}
static const struct {
  const char* way;
  int (*made)(void);
} kTasks[] = {{"fork", forked},      {"vfork", vforked}, {"spawn", spawned},
              {"system", shell_ran}, {"popen", piped},   {"thread", thread_made}};

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  long n = atol(argv[2]);
  const char* way = argv[1];
  if (!strcmp(way, "maps")) {
    many_mappings(atol(argv[3]));
    while (mmap(NULL, 4096, kRw, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) continue;
    for (long i = 0; i < n; ++i)
      if (mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) abort();
    return 0;
  }
  if (!strcmp(way, "holes")) return holes_refused(n, atol(argv[3])), 0;
  for (size_t k = 0; k < sizeof kTasks / sizeof kTasks[0]; ++k) {
    if (strcmp(way, kTasks[k].way)) continue;
    limit_tasks();
    for (long i = 0; i < n; ++i)
      if (granted(), kTasks[k].made()) return 1;
    return 0;
  }
  limit_space();
  if (!strcmp(way, "as")) refused_often(&n);
  if (!strcmp(way, "sites"))
    for (long i = 0; i < n; ++i) i % 2 ? refused_here() : refused_there();
  if (!strcmp(way, "granted"))
    for (long i = 0; i < n; ++i) granted(), refused_here();
  if (!strcmp(way, "malloc"))
    for (long i = 0; i < n; ++i)
      if (granted(), malloc(kTooMuch)) abort();
  if (!strcmp(way, "two")) {
    pthread_t other;
    if (pthread_create(&other, NULL, refused_often, &n)) abort();
    refused_often(&n);
    pthread_join(other, NULL);
  }
  return 0;
}
