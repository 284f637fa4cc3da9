// SPDX-License-Identifier: MIT
// How much stack each call takes, failing ones too: it is made on a painted stack, and what lost
// its paint is counted. Prints "NAME BYTES".
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <ucontext.h>
#include <unistd.h>
#include <wordexp.h>

enum { kStack = 512 * 1024, kPaint = 0x5a, kPage = 4096 };
static char painted[kStack] __attribute__((aligned(4096)));
static ucontext_t caller_context, painted_context;
static void (*volatile to_measure)(void);

static void run_it(void) { to_measure(); }
static size_t stack_of(void (*call)(void)) {
  memset(painted, kPaint, sizeof painted);
  to_measure = call;
  getcontext(&painted_context);
  painted_context.uc_stack.ss_sp = painted;
  painted_context.uc_stack.ss_size = sizeof painted;
  painted_context.uc_link = &caller_context;
  makecontext(&painted_context, run_it, 0);
  swapcontext(&caller_context, &painted_context);
  size_t untouched = 0;
  while (untouched < sizeof painted && painted[untouched] == kPaint) ++untouched;
  return sizeof painted - untouched;
}

static volatile size_t unmappable = (size_t)1 << 47;
static char area[16 * kPage] __attribute__((aligned(4096)));
static char child_stack[65536] __attribute__((aligned(16)));
static char* const list[] = {"true", NULL};
static void* volatile block;

static void drop(void* p) {
  block = p;
  free(block);
}
static void drop_mapping(void* p, size_t bytes) {
  if (p != MAP_FAILED) munmap(p, bytes);
}
static void* fresh_page(void) {
  return mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static void end_child(pid_t pid) {
  if (pid == 0) _exit(0);
  if (pid > 0) waitpid(pid, NULL, 0);
}
static int leave(void* unused) {
  (void)unused;
  _exit(0);
}
static int in_thread(void* unused) {
  (void)unused;
  return 0;
}
static void* in_pthread(void* unused) { return unused; }

static void posix_memalign_of(size_t size) {
  void* p = NULL;
  if (posix_memalign(&p, 64, size) == 0) free(p);
}
static void memory_file(void) {
  const int file = memfd_create("x", 0);
  if (ftruncate(file, kPage) == 0 && fallocate(file, 0, 0, kPage) == 0)
    posix_fallocate(file, 0, kPage);
  close(file);
}
static void segment(void) {
  const int id = shmget(IPC_PRIVATE, kPage, 0600);
  shmdt(shmat(id, NULL, 0));
  shmctl(id, IPC_RMID, NULL);
}
static void limit(void) {
  struct rlimit now;
  if (getrlimit(RLIMIT_CORE, &now) == 0) setrlimit(RLIMIT_CORE, &now);
}
static void limit_read(void) {
  struct rlimit now;
  prlimit(0, RLIMIT_CORE, NULL, &now);
}
static void spawn_of(const char* path, int search) {
  pid_t pid;
  if ((search ? posix_spawnp : posix_spawn)(&pid, path, NULL, NULL, list, environ) == 0)
    waitpid(pid, NULL, 0);
}
static void pipe_to(void) {
  FILE* stream = popen("true", "r");
  if (stream) pclose(stream);
}
static void on_terminal(void) {
  int terminal;
  end_child(forkpty(&terminal, NULL, NULL, NULL));
  close(terminal);
}
static void c_thread(void) {
  thrd_t thread;
  if (thrd_create(&thread, in_thread, NULL) == thrd_success) thrd_join(thread, NULL);
}
static void posix_thread(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, in_pthread, NULL) == 0) pthread_join(thread, NULL);
}
static void words(void) {
  wordexp_t got;
  if (wordexp("$(true)", &got, 0) == 0) wordfree(&got);
}
static void shell(void) {
  if (system("true") < 0) perror("system");
}
static void unlocked(void) {
  if (mlockall(MCL_FUTURE) == 0) munlockall();
}

// NAME, statement
#define CALLS(X)                                                                                   \
  X(nothing, (void)0)                                                                              \
  X(malloc, drop(malloc(100)))                                                                     \
  X(malloc_big, drop(malloc(200000)))                                                              \
  X(malloc_refused, drop(malloc(unmappable)))                                                      \
  X(calloc, drop(calloc(3, 100)))                                                                  \
  X(calloc_big, drop(calloc(3, 100000)))                                                           \
  X(realloc, drop(realloc(malloc(10), 100)))                                                       \
  X(realloc_big, drop(realloc(malloc(10), 1 << 20)))                                               \
  X(realloc_refused, drop(realloc(NULL, unmappable)))                                              \
  X(reallocarray, drop(reallocarray(NULL, 10, 10)))                                                \
  X(posix_memalign, posix_memalign_of(100))                                                        \
  X(posix_memalign_big, posix_memalign_of(1 << 20))                                                \
  X(aligned_alloc, drop(aligned_alloc(64, 64)))                                                    \
  X(valloc, drop(valloc(10)))                                                                      \
  X(mmap, drop_mapping(fresh_page(), kPage))                                                       \
  X(mmap_refused,                                                                                  \
    drop_mapping(mmap(NULL, unmappable, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),            \
                 unmappable))                                                                      \
  X(mremap, drop_mapping(mremap(fresh_page(), kPage, 2 * kPage, MREMAP_MAYMOVE), 2 * kPage))       \
  X(mprotect, mprotect(area, kPage, PROT_READ | PROT_WRITE))                                       \
  X(pkey_mprotect, pkey_mprotect(area, kPage, PROT_READ | PROT_WRITE, -1))                         \
  X(madvise, madvise(area, kPage, MADV_DONTNEED))                                                  \
  X(madvise_dontfork, madvise(area, kPage, MADV_DONTFORK))                                         \
  X(brk, brk(sbrk(0)))                                                                             \
  X(segment, segment())                                                                            \
  X(mlock, (mlock(area, kPage), munlock(area, kPage)))                                             \
  X(mlockall, unlocked())                                                                          \
  X(memory_file, memory_file())                                                                    \
  X(shm_open, shm_open("/no-such-segment", 0, 0))                                                  \
  X(setrlimit, limit())                                                                            \
  X(prlimit, limit_read())                                                                         \
  X(fork, end_child(fork()))                                                                       \
  X(_Fork, end_child(_Fork()))                                                                     \
  X(vfork, end_child(vfork()))                                                                     \
  X(clone, end_child(clone(leave, child_stack + sizeof child_stack, SIGCHLD, NULL)))               \
  X(clone_refused, end_child(clone(leave, child_stack + sizeof child_stack, CLONE_SIGHAND, NULL))) \
  X(posix_spawn, spawn_of("/bin/true", 0))                                                         \
  X(posix_spawnp, spawn_of("true", 1))                                                             \
  X(posix_spawn_fails, spawn_of("/nowhere", 0))                                                    \
  X(popen, pipe_to())                                                                              \
  X(system, shell())                                                                               \
  X(forkpty, on_terminal())                                                                        \
  X(pthread_create, posix_thread())                                                                \
  X(thrd_create, c_thread())                                                                       \
  X(wordexp, words())                                                                              \
  X(unshare, unshare(0))                                                                           \
  X(setns, setns(-1, 0))                                                                           \
  X(wait, wait(NULL))                                                                              \
  X(wait3, wait3(NULL, 0, NULL))                                                                   \
  X(wait4, wait4(-1, NULL, 0, NULL))                                                               \
  X(waitid, waitid(P_ALL, 0, NULL, WEXITED))                                                       \
  X(execve, execve("/nowhere", list, environ))                                                     \
  X(execveat, execveat(-1, "x", list, environ, 0))                                                 \
  X(fexecve, fexecve(-1, list, environ))                                                           \
  X(execv, execv("/nowhere", list))                                                                \
  X(execvp, execvp("no-such-program", list))                                                       \
  X(execl, execl("/nowhere", "x", (char*)NULL))                                                    \
  X(execlp, execlp("no-such-program", "x", (char*)NULL))                                           \
  X(execle, execle("/nowhere", "x", (char*)NULL, environ))                                         \
  X(syscall_munmap, syscall(SYS_munmap, 1, kPage))                                                 \
  X(syscall_mmap_refused,                                                                          \
    syscall(SYS_mmap, 0, unmappable, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))               \
  X(syscall_clone, end_child((pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)))                      \
  X(syscall_execve, syscall(SYS_execve, "/nowhere", list, environ))                                \
  X(syscall_wait4, syscall(SYS_wait4, -1, NULL, 0, NULL))

#define FUNCTION(name, call) \
  static void ask_##name(void) { call; }
CALLS(FUNCTION)

#define ROW(name, call) {#name, ask_##name},
int main(void) {
  static const struct {
    const char* name;
    void (*call)(void);
  } calls[] = {CALLS(ROW)};
  for (size_t i = 0; i < sizeof calls / sizeof *calls; ++i) {
    printf("%s %zu\n", calls[i].name, stack_of(calls[i].call));
    fflush(stdout);
  }
  return 0;
}
