// SPDX-License-Identifier: MIT
// Makes every call that can be refused on request, in a fixed order, each 4 times, and says which were refused.
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;
extern pid_t _Fork(void);
extern void* reallocarray(void*, size_t, size_t);

static char page[8192] __attribute__((aligned(4096)));
static volatile size_t size = 200000;  // an event, and not folded away
static void* volatile none;

static int allocated(void* p) {
  const int error = errno;
  free(p);
  return p ? 0 : error;
}
static int mapped(void* p) { return p == MAP_FAILED ? errno : 0; }
static int zero(int result) { return result == 0 ? 0 : errno; }
static int reap(pid_t pid) {
  if (pid < 0) return errno;
  if (pid == 0) _exit(0);
  waitpid(pid, NULL, 0);
  return 0;
}
static int child(void* arg) { return arg != NULL; }
static void* thread_main(void* arg) { return arg; }

static int ask_malloc(void) { return allocated(malloc(size)); }
static int ask_calloc(void) { return allocated(calloc(2, size)); }
static int ask_realloc(void) { return allocated(realloc(none, size)); }
static int ask_reallocarray(void) { return allocated(reallocarray(none, 2, size)); }
static int ask_posix_memalign(void) {
  void* p = NULL;
  const int error = posix_memalign(&p, 64, size);
  free(p);
  return error;
}
static int ask_aligned_alloc(void) { return allocated(aligned_alloc(64, size)); }
static int ask_memalign(void) { return allocated(memalign(64, size)); }
static int ask_valloc(void) { return allocated(valloc(size)); }
static int ask_pvalloc(void) { return allocated(pvalloc(size)); }
static int ask_mmap(void) { return mapped(mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)); }
static int ask_munmap(void) { return zero(munmap(mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), size)); }
static int ask_mremap(void) {
  void* p = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return mapped(mremap(p, size, 2 * size, MREMAP_MAYMOVE));
}
static int ask_mprotect(void) { return zero(mprotect(page, 4096, PROT_READ | PROT_WRITE)); }
static int ask_madvise(void) { return zero(madvise(page, 4096, MADV_NORMAL)); }
static int ask_brk(void) { return zero(brk(sbrk(0))); }
static int ask_sbrk(void) { return mapped(sbrk(4096)); }
static int ask_fork(void) { return reap(fork()); }
static int ask_Fork(void) { return reap(_Fork()); }
static int ask_vfork(void) {
  const pid_t pid = vfork();
  if (pid == 0) _exit(0);
  return reap(pid);
}
static int ask_clone(void) { return reap(clone(child, page + sizeof page, SIGCHLD, NULL)); }
static int ask_pthread_create(void) {
  pthread_t thread;
  const int error = pthread_create(&thread, NULL, thread_main, NULL);
  if (!error) pthread_join(thread, NULL);
  return error;
}
static char* program[] = {"true", NULL};
static int ask_posix_spawn(void) {
  pid_t pid = 0;
  const int error = posix_spawn(&pid, "/bin/true", NULL, NULL, program, environ);
  return error ? error : reap(pid);
}
static int ask_posix_spawnp(void) {
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, "true", NULL, NULL, program, environ);
  return error ? error : reap(pid);
}

#define ROW(name) \
  { #name, ask_##name }
static const struct {
  const char* name;
  int (*ask)(void);
} calls[] = {
    ROW(malloc),         ROW(calloc),      ROW(realloc),        ROW(reallocarray), ROW(posix_memalign),
    ROW(aligned_alloc),  ROW(memalign),    ROW(valloc),         ROW(pvalloc),      ROW(mmap),
    ROW(munmap),         ROW(mremap),      ROW(mprotect),       ROW(madvise),      ROW(brk),
    ROW(sbrk),           ROW(fork),        {"_Fork", ask_Fork}, ROW(vfork),        ROW(clone),
    ROW(pthread_create), ROW(posix_spawn), ROW(posix_spawnp),
};

// With names: those only. "NAME:0 0 12 0": errno of each try.
int main(int argc, char** argv) {
  for (size_t i = 0; i < sizeof calls / sizeof calls[0]; ++i) {
    int wanted = argc == 1;
    for (int a = 1; a < argc; ++a) wanted |= strcmp(argv[a], calls[i].name) == 0;
    if (!wanted) continue;
    int got[4];
    for (int n = 0; n < 4; ++n) errno = 0, got[n] = calls[i].ask();
    printf("%s:%d %d %d %d\n", calls[i].name, got[0], got[1], got[2], got[3]);
    fflush(stdout);
  }
  return 0;
}
