// SPDX-License-Identifier: MIT
// Makes the calls that the shim watches, one after the other, and prints each result and errno:
// what fails inside the shim must not be seen here. Also what the shim could leave behind: the
// lowest free descriptor and the signal mask, before and after an exec of itself.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kPage = 4096, kMark = 4242 };
extern char** environ;

#define SAY(expression)                                     \
  do {                                                      \
    errno = kMark;                                          \
    const long got_ = (long)(expression);                   \
    const int err_ = errno;                                 \
    printf("%s: %ld, errno %d\n", #expression, got_, err_); \
  } while (0)

static long filled(void* block, size_t bytes) {
  if (block == NULL) return -1;
  memset(block, 1, bytes);
  free(block);
  return (long)bytes;
}
static long aligned(void) {
  void* block = NULL;
  return posix_memalign(&block, 64, 100) == 0 ? filled(block, 100) : -1;
}
static long mapped(void) {
  char* at = mmap(NULL, 64 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return -1;
  at[0] = 7;
  if (mprotect(at, 64 * kPage, PROT_READ) != 0 || madvise(at + kPage, kPage, MADV_DONTNEED) != 0)
    return -2;
  at = mremap(at, 64 * kPage, 2048 * kPage, MREMAP_MAYMOVE);
  if (at == MAP_FAILED || at[0] != 7) return -3;
  return munmap(at, 2048 * kPage);
}
static long ended(pid_t child) {
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return -1;
  return status;
}
static long forked(void) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    SAY(filled(malloc(300000), 300000));
    exit(7);
  }
  return ended(child);
}
static long vforked(void) {
  const pid_t child = vfork();
  if (child == 0) _exit(9);
  return ended(child);
}
static long spawned(void) {
  pid_t child = -1;
  char name[] = "true";
  char* words[] = {name, NULL};
  return posix_spawnp(&child, name, NULL, NULL, words, environ) == 0 ? ended(child) : -1;
}
static void* thread_body(void* to) {
  *(long*)to = filled(malloc(200000), 200000);
  return to;
}
static long threaded(void) {
  pthread_t thread;
  long got = 0;
  return pthread_create(&thread, NULL, thread_body, &got) == 0 && pthread_join(thread, NULL) == 0
             ? got
             : -1;
}
static long segment(void) {
  const int id = shmget((key_t)getpid(), 4 * kPage, IPC_CREAT | IPC_EXCL | 0600);
  return id < 0 ? -1 : shmctl(id, IPC_RMID, NULL);
}
static long grown(void) {
  const char* before = sbrk(256 * kPage);
  return before != (void*)-1 &&
         (char*)sbrk(0) == before + 256 * kPage;  // NOLINT(performance-no-int-to-ptr)
}
static long locked(void) { return mlockall(MCL_CURRENT) == 0 ? munlockall() : -1; }
static long lowest_descriptor(void) {
  const int fd = open("/dev/null", O_RDONLY);
  if (fd >= 0) close(fd);
  return fd;
}
static long blocked_signals(void) {
  sigset_t set;
  long n = 0;
  sigprocmask(SIG_BLOCK, NULL, &set);
  for (int signal = 1; signal < NSIG; signal++) n += sigismember(&set, signal) == 1;
  return n;
}

int main(int argc, char** argv) {
  sigset_t own;
  sigemptyset(&own);
  sigaddset(&own, SIGUSR1);
  SAY(lowest_descriptor());
  SAY(blocked_signals());
  SAY(sigprocmask(SIG_BLOCK, &own, NULL));
  SAY(filled(malloc(100), 100));
  SAY(filled(calloc(10, 100), 1000));
  SAY(filled(realloc(malloc(10), 500000), 500000));
  SAY(aligned());
  SAY(malloc((size_t)1 << 62));
  SAY(mapped());
  SAY(munmap((void*)1, kPage));
  SAY(forked());
  SAY(vforked());
  SAY(spawned());
  SAY(system("exit 3"));
  SAY(threaded());
  SAY(threaded());
  SAY(segment());
  SAY(grown());
  if (geteuid() == 0) SAY(locked());  // another user may lock less than a program and a log
  SAY(lowest_descriptor());
  SAY(blocked_signals());
  fflush(stdout);
  if (argc > 1) return 5;
  execl(argv[0], argv[0], "again", NULL);
  return 1;
}
