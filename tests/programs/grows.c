// SPDX-License-Identifier: MIT
// Asks for the same amount again and again in one way until it is refused, touching nothing, and
// says which call that was. Usage: grows KIND MIB; KIND is one of the table below. "arena" asks for
// 96 KiB at a time from a second thread and counts MIB.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kMost = 64, kArenaBlock = 96 * 1024 };
static size_t amount;
static int count;
static pid_t children[kMost];

static int map(int prot, int flags) {
  return mmap(NULL, amount, prot, flags | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}
static int by_mmap(void) { return map(PROT_READ | PROT_WRITE, MAP_PRIVATE); }
static int by_noreserve(void) { return map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE); }
static int by_shared(void) { return map(PROT_READ | PROT_WRITE, MAP_SHARED); }
static int by_malloc(void) { return malloc(amount) != NULL; }
static int by_sbrk(void) { return sbrk((intptr_t)amount) != (void*)-1; }

static int by_mprotect(void) {
  void* p = mmap(NULL, amount, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return mprotect(p, amount, PROT_READ | PROT_WRITE) == 0;
}

static int by_mremap(void) {
  static void* block;
  static size_t len;
  void* p = block ? mremap(block, len, len + amount, MREMAP_MAYMOVE)
                  : mmap(NULL, amount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return 0;
  block = p, len += amount;
  return 1;
}

static int child(void* arg) {
  for (;;) pause();
  return arg != NULL;
}

// The first call maps what every child then asks for once more; children stay until the end.
static int copies(pid_t (*make)(void)) {
  if (count == 0) return by_mmap();
  const pid_t pid = make();
  if (pid == 0) child(NULL);
  children[count] = pid;
  return pid > 0;
}
static pid_t make_by_clone(void) {
  static char stack[16384] __attribute__((aligned(16)));
  return clone(child, stack + sizeof stack, SIGCHLD, NULL);
}
static int by_fork(void) { return copies(fork); }
static int by_clone(void) { return copies(make_by_clone); }

static pid_t make_by_forkpty(void) {
  int terminal = -1;
  return forkpty(&terminal, NULL, NULL, NULL);
}
static pid_t make_by_number(void) {
  return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}
static int by_forkpty(void) { return copies(make_by_forkpty); }
static int by_number(void) { return copies(make_by_number); }
// Removed at once, and kept by its mapping until the end.
static int by_shmget(void) {
  const int id = shmget(IPC_PRIVATE, amount, IPC_CREAT | 0600);
  if (id < 0) return 0;
  const void* at = shmat(id, NULL, 0);
  shmctl(id, IPC_RMID, NULL);
  return at != (void*)-1;
}

static void* sleeps(void* arg) {
  for (;;) pause();
  return arg;
}
static int by_pthread(void) {
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, amount);
  errno = pthread_create(&thread, &attributes, sleeps, NULL);
  return errno == 0;
}

static void* fill_arena(void* arg) {
  size_t* left = arg;
  for (*left = amount / kArenaBlock; *left > 0 && malloc(kArenaBlock) != NULL;) --*left;
  return (void*)(intptr_t)errno;
}
static int by_arena(void) {
  static pthread_t thread;
  size_t left = 0;
  void* error = NULL;
  if (pthread_create(&thread, NULL, fill_arena, &left) != 0) return 0;
  pthread_join(thread, &error);
  errno = (int)(intptr_t)error;
  return left == 0;
}

static const struct {
  const char* name;
  int (*ask)(void);
} kinds[] = {
    {"mmap", by_mmap},       {"noreserve", by_noreserve}, {"shared", by_shared},
    {"malloc", by_malloc},   {"sbrk", by_sbrk},           {"mprotect", by_mprotect},
    {"mremap", by_mremap},   {"fork", by_fork},           {"clone", by_clone},
    {"pthread", by_pthread}, {"arena", by_arena},         {"forkpty", by_forkpty},
    {"number", by_number},   {"shmget", by_shmget},
};

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  amount = strtoul(argv[2], NULL, 10) << 20;
  int status = 2;
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
    if (strcmp(argv[1], kinds[i].name) != 0) continue;
    while (count < kMost && kinds[i].ask()) ++count;
    printf("%s: refused at call %d with errno %d\n", argv[1], count + 1, count < kMost ? errno : 0);
    status = 0;
  }
  for (int i = 0; i < kMost; ++i)
    if (children[i] > 0) kill(children[i], SIGKILL), waitpid(children[i], NULL, 0);
  fflush(stdout);
  _exit(status);
}
