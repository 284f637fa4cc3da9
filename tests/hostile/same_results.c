// SPDX-License-Identifier: MIT
// A wide table of good and bad calls. Of each it prints what the caller can see and does not depend
// on the address space: the result (a pointer as null, not null or where it was wanted), errno,
// which held a mark before the call, and usable sizes of blocks.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;
extern pid_t _Fork(void);
extern void* reallocarray(void*, size_t, size_t);

enum { kMark = 4242, kPage = 4096 };
static volatile size_t huge = SIZE_MAX,
                       zero = 0;  // so that the compiler does not see what is wrong with them
static void* volatile bad = (void*)8;
static void* volatile none;
static void* volatile kept_block;

static void say(const char* what, const char* result, int err) {
  if (err == kMark) printf("%s: %s, errno untouched\n", what, result);
  else printf("%s: %s, errno %d\n", what, result, err);
}
static void say_int(const char* what, long result, int err) {
  char text[32];
  snprintf(text, sizeof text, "%ld", result);
  say(what, text, err);
}
static void say_block(const char* what, void* block, size_t alignment, int err) {
  char text[64] = "null";
  if (block)
    snprintf(text, sizeof text, "usable %zu%s", malloc_usable_size(block),
             (uintptr_t)block % alignment ? ", MISALIGNED" : "");
  say(what, text, err);
  if (block) memset(block, 1, malloc_usable_size(block) < 256 ? malloc_usable_size(block) : 256);
  errno = kMark;
  free(block);
  if (errno != kMark) printf("free changed errno to %d\n", errno);
}

#define INT(expression)                   \
  do {                                    \
    errno = kMark;                        \
    const long got_ = (long)(expression); \
    say_int(#expression, got_, errno);    \
  } while (0)
#define SIGN(expression) /* a pid or another number that differs from run to run */ \
  do {                                                                              \
    errno = kMark;                                                                  \
    const long got_ = (long)(expression);                                           \
    const int err_ = errno;                                                         \
    say_int(#expression, got_ > 0 ? 1 : got_, err_);                                \
  } while (0)
#define BLOCK(alignment, expression)                \
  do {                                              \
    errno = kMark;                                  \
    void* got_ = (expression);                      \
    say_block(#expression, got_, alignment, errno); \
  } while (0)
#define MAP(wanted, expression)                               \
  do {                                                        \
    errno = kMark;                                            \
    char* got_ = (expression);                                \
    const int err_ = errno;                                   \
    say(#expression,                                          \
        got_ == MAP_FAILED                     ? "failed"     \
        : (wanted) == NULL || got_ == (wanted) ? "mapped"     \
                                               : "ELSEWHERE", \
        err_);                                                \
  } while (0)

static int memalign_code(size_t alignment, size_t size) {
  void* p = bad;
  const int code = posix_memalign(&p, alignment, size);
  if (code == 0) free(p);
  else if (p != bad) printf("posix_memalign stored something\n");
  return code;
}

static void blocks(void) {
  BLOCK(16, malloc(0));
  BLOCK(16, malloc(1));
  BLOCK(16, malloc(24));
  BLOCK(16, malloc(4000));
  BLOCK(16, malloc(131071));
  BLOCK(16, malloc(131072));
  BLOCK(16, malloc(1 << 20));
  BLOCK(16, malloc(huge));
  BLOCK(16, malloc(huge / 2));
  BLOCK(16, malloc(huge / 2 + 1));
  BLOCK(16, calloc(0, 0));
  BLOCK(16, calloc(3, 7));
  BLOCK(16, calloc(huge, 2));
  BLOCK(16, calloc(2, huge));
  BLOCK(16, calloc(huge / 2 + 1, 2));
  BLOCK(16, calloc(1 << 10, 1 << 10));
  BLOCK(16, realloc(NULL, 0));
  BLOCK(16, realloc(NULL, 100));
  BLOCK(16, realloc(malloc(10), 100000));
  BLOCK(16, realloc(malloc(1 << 20), 10));
  BLOCK(16, realloc(malloc(1 << 20), 3 << 20));
  BLOCK(16, realloc(malloc(10), zero));
  BLOCK(16, reallocarray(NULL, 0, 0));
  BLOCK(16, reallocarray(NULL, 10, 10));
  BLOCK(16, reallocarray(NULL, huge, 2));
  BLOCK(16, aligned_alloc(64, 640));
  BLOCK(4096, aligned_alloc(4096, 4096));
  BLOCK(1, aligned_alloc(3, 10));
  BLOCK(1, aligned_alloc(huge, 10));
  BLOCK(64, memalign(64, 10));
  BLOCK(1, memalign(24, 10));
  BLOCK(1, memalign(0, 10));
  BLOCK(1, memalign(64, huge - 10));
  BLOCK(4096, valloc(10));
  BLOCK(4096, valloc(0));
  BLOCK(4096, valloc(huge));
  BLOCK(4096, pvalloc(10));
  BLOCK(4096, pvalloc(huge));
  INT(memalign_code(64, 10));
  INT(memalign_code(64, 0));
  INT(memalign_code(3, 10));
  INT(memalign_code(4, 10));
  INT(memalign_code(0, 10));
  INT(memalign_code(64, huge - 100));
  kept_block = malloc(100);
  errno = kMark;
  const void* refused = realloc(kept_block, huge / 2);
  say("realloc that fails", refused ? "block" : "null", errno);
  memset(kept_block, 1, 100);
  INT((free(kept_block), 0));
  INT((free(NULL), 0));
}

static void mappings(void) {
  const int anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
  char* area = mmap(NULL, 16 * kPage, PROT_READ | PROT_WRITE, anonymous, -1, 0);
  MAP(NULL, mmap(NULL, kPage, PROT_READ, anonymous, -1, 0));
  MAP(NULL, mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  MAP(NULL, mmap(NULL, 0, PROT_READ, anonymous, -1, 0));
  MAP(NULL, mmap(NULL, huge, PROT_READ, anonymous, -1, 0));
  MAP(NULL, mmap(NULL, huge / 4, PROT_READ, anonymous, -1, 0));
  MAP(NULL, mmap(NULL, kPage, PROT_READ, MAP_ANONYMOUS, -1, 0));
  MAP(NULL, mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, -1, 0));
  MAP(NULL, mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, 9999, 0));
  MAP(NULL, mmap(NULL, kPage, PROT_READ, anonymous, -1, 1));
  MAP(area, mmap(area, kPage, PROT_READ, anonymous | MAP_FIXED, -1, 0));
  MAP(NULL, mmap(area + 1, kPage, PROT_READ, anonymous | MAP_FIXED, -1, 0));
  MAP(NULL, mmap(area, kPage, PROT_READ, anonymous | MAP_FIXED_NOREPLACE, -1, 0));
  MAP(NULL, mmap64(NULL, kPage, PROT_NONE, anonymous | MAP_NORESERVE, -1, 0));
  INT(munmap(area, kPage));
  INT(munmap(area, kPage));
  INT(munmap(area + 1, kPage));
  INT(munmap(area, 0));
  INT(munmap(area, huge));
  INT(munmap(NULL, kPage));
  area += kPage;
  INT(mprotect(area, kPage, PROT_READ));
  INT(mprotect(area, kPage, 0x7000));
  INT(mprotect(area + 1, kPage, PROT_READ));
  INT(mprotect(area - kPage, kPage, PROT_READ));
  INT(mprotect(area, 0, PROT_READ));
  INT(mprotect(area, huge, PROT_READ));
  INT(mprotect(area, kPage, PROT_READ | PROT_WRITE));
  INT(madvise(area, kPage, MADV_DONTNEED));
  INT(madvise(area, kPage, MADV_DONTFORK));
  INT(madvise(area, kPage, 9999));
  INT(madvise(area + 1, kPage, MADV_NORMAL));
  INT(madvise(area - kPage, 2 * kPage, MADV_NORMAL));
  MAP(area, mremap(area, kPage, kPage, 0));
  MAP(NULL, mremap(area, 2 * kPage, 64 * kPage, MREMAP_MAYMOVE));
  MAP(NULL, mremap(area, kPage, 2 * kPage, 0));
  MAP(NULL, mremap(area + 1, kPage, kPage, 0));
  MAP(NULL, mremap(bad, kPage, kPage, 0));
  MAP(NULL, mremap(area + 4 * kPage, kPage, kPage, MREMAP_FIXED, area + 5 * kPage));
  MAP(area + 6 * kPage,
      mremap(area + 4 * kPage, kPage, kPage, MREMAP_FIXED | MREMAP_MAYMOVE, area + 6 * kPage));
  MAP(NULL, mremap(area + 8 * kPage, kPage, huge, MREMAP_MAYMOVE));
  char* now = sbrk(0);
  MAP(now, sbrk(0));
  MAP(now, sbrk(kPage));
  INT(brk(now + 2 * kPage));
  INT((char*)sbrk(0) - now);
  INT(brk((void*)1));
  INT(brk(now));
  MAP(NULL, sbrk((intptr_t)1 << 62));
  MAP(NULL, sbrk(-((intptr_t)1 << 50)));
}

static int leave(void* arg) {
  (void)arg;
  _exit(5);
}
static void* nothing(void* arg) { return arg; }
static int seen(pid_t pid) {
  int status = -1;
  if (pid == 0) _exit(5);
  return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}
static int spawned(const char* path, char* const* argv,
                   int (*spawn)(pid_t*, const char*, const posix_spawn_file_actions_t*,
                                const posix_spawnattr_t*, char* const*, char* const*)) {
  pid_t pid = 0;
  const int code = spawn(&pid, path, NULL, NULL, argv, environ);
  return code ? code : 1000 + seen(pid);
}
static int spawned_without_pid(char* const* argv) {
  const int code = posix_spawn(NULL, "/bin/true", NULL, NULL, argv, environ);
  return code ? code : wait(NULL) > 0;
}
static int status_of_exec(int (*exec)(void)) {
  const pid_t pid = fork();
  if (pid == 0) _exit(exec() == -1 ? errno : 0);
  return seen(pid) >> 8;
}
static int exec_nowhere(void) { return execl("/nowhere", "nowhere", (char*)NULL); }
static int exec_folder(void) { return execl("/", "folder", (char*)NULL); }
static int exec_null(void) { return execve((char*)bad, (char* const*)none, (char* const*)none); }
static int exec_bad_list(void) { return execve("/bin/true", (char* const*)bad, environ); }
static int execp_nowhere(void) { return execlp("no-such-program", "x", (char*)NULL); }
static int exec_fd(void) { return fexecve(-1, environ, environ); }
static int exec_at(void) { return execveat(-1, "nowhere", environ, environ, 0); }
static int exec_true(void) { return execl("/bin/true", "true", (char*)NULL); }
static int exec_env(void) {
  return execle("/bin/sh", "sh", "-c", "exit $OVC_EXIT", (char*)NULL,
                (char*[]){"OVC_EXIT=9", NULL});
}

static void children(void) {
  static char stack[65536] __attribute__((aligned(16)));
  char* argv[] = {"true", NULL};
  int status = 0;
  siginfo_t info;
  struct rusage usage;
  INT(wait(NULL));
  INT(waitpid(-1, NULL, 0));
  INT(waitpid(INT_MIN, NULL, 0));
  INT(waitpid(-1, NULL, 0x40000001));
  INT(wait3(&status, WNOHANG, &usage));
  INT(wait4(-1, &status, 0, NULL));
  INT(waitid(P_ALL, 0, &info, WEXITED));
  INT(waitid(P_ALL, 0, NULL, 0));
  INT(waitid((idtype_t)99, 0, &info, WEXITED));
  INT(waitid(P_PIDFD, (id_t)-1, &info, WEXITED));
  INT(seen(fork()));
  INT(seen(_Fork()));
  INT(seen(clone(leave, stack + sizeof stack, SIGCHLD, NULL)));
  INT(clone(NULL, stack + sizeof stack, SIGCHLD, NULL));
  INT(clone(leave, none, SIGCHLD, NULL));
  INT(clone(leave, stack + sizeof stack, CLONE_SIGHAND | SIGCHLD, NULL));
  INT(clone(leave, stack + sizeof stack, CLONE_FS | CLONE_NEWNS, NULL));
  SIGN(fork() ?: (_exit(3), 0));
  INT(waitpid(-1, &status, 0) > 0);
  INT(status);
  SIGN(fork() ?: (_exit(4), 0));
  INT(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT));
  INT(info.si_status);
  INT(waitpid(-1, (int*)bad, 0) > 0);
  INT(spawned("/bin/true", argv, posix_spawn));
  INT(spawned("/nowhere", argv, posix_spawn));
  INT(spawned("/etc/passwd", argv, posix_spawn));
  INT(spawned("true", argv, posix_spawnp));
  INT(spawned("no-such-program", argv, posix_spawnp));
  INT(spawned_without_pid(argv));
  INT(status_of_exec(exec_nowhere));
  INT(status_of_exec(exec_folder));
  INT(status_of_exec(exec_null));
  INT(status_of_exec(exec_bad_list));
  INT(status_of_exec(execp_nowhere));
  INT(status_of_exec(exec_fd));
  INT(status_of_exec(exec_at));
  INT(status_of_exec(exec_true));
  INT(status_of_exec(exec_env));
  INT(system("exit 3"));
  INT(system("no-such-program 2>/dev/null"));
  INT(system(NULL));
  INT(popen("true", "z") != NULL);
  FILE* stream = popen("exit 6", "r");
  INT(pclose(stream));
  INT(waitpid(-1, NULL, WNOHANG));
}

static void threads_and_rest(void) {
  pthread_t thread;
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  INT(pthread_create(&thread, NULL, nothing, NULL));
  INT(pthread_join(thread, NULL));
  pthread_attr_setstacksize(&attr, (size_t)1 << 46);
  INT(pthread_create(&thread, &attr, nothing, NULL));
  INT(syscall(SYS_getpid) == getpid());
  INT(syscall(-1));
  INT(syscall(100000));
  INT(syscall(SYS_read, -1, NULL, 0));
  INT(syscall(SYS_mmap, NULL, zero, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  INT(syscall(SYS_munmap, 1, kPage));
  INT(syscall(SYS_mremap, bad, kPage, kPage, 0, NULL));
  INT(syscall(SYS_brk, 1) > 0);
  INT(seen((pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL)));
  INT(syscall(SYS_clone, CLONE_SIGHAND, NULL, NULL, NULL, NULL));
  INT(syscall(SYS_clone3, bad, 88));
  INT(syscall(SYS_clone3, NULL, 0));
  INT(syscall(SYS_wait4, -1, NULL, WNOHANG, NULL));
  INT(syscall(SYS_execve, "/nowhere", NULL, NULL));
  INT(syscall(SYS_setns, -1, 0));
  INT(prctl(PR_GET_DUMPABLE));
  INT(prctl(9999));
  INT(prctl(PR_SET_NAME, "renamed"));
  INT(prctl(PR_SET_NAME, bad));
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  blocks();
  mappings();
  children();
  threads_and_rest();
  return 0;
}
