// SPDX-License-Identifier: MIT
// same_results for the calls around memory and processes: segments, locks, sizes of files, limits,
// namespaces, programs, and bad pointers where the kernel is to write. One line for each: result
// and errno, which held a mark before the call.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>
#include <wordexp.h>

enum { kMark = 4242, kPage = 4096 };
static volatile size_t huge = SIZE_MAX;  // so that the compiler does not see what is wrong with it
static void* volatile bad = (void*)8;
static const char* volatile bad_name = (const char*)8;
static char* page;

#define INT(expression)                                     \
  do {                                                      \
    errno = kMark;                                          \
    const long got_ = (long)(expression);                   \
    const int err_ = errno;                                 \
    printf("%s: %ld, errno %d\n", #expression, got_, err_); \
  } while (0)

static void protection(void) {
  INT(pkey_mprotect(page, kPage, PROT_READ, -1));
  INT(pkey_mprotect(page, kPage, PROT_READ, 77));
  INT(pkey_mprotect(page + 1, kPage, PROT_READ, -1));
  INT(remap_file_pages(page, kPage, 0, 0, 0));
  INT(remap_file_pages(page + 1, kPage, 1, 0, 0));
}

static void segments(void) {
  const int id = shmget(IPC_PRIVATE, kPage, 0600);
  INT(id >= 0);
  INT(shmget(IPC_PRIVATE, 0, 0600));
  INT(shmget(IPC_PRIVATE, huge, 0600));
  INT(shmget(0x7eadbeef, 1, 0));
  void* segment = shmat(id, NULL, 0);
  INT(segment != (void*)-1);
  INT(shmat(id, (void*)1, 0) == (void*)-1);
  INT(shmat(-1, NULL, 0) == (void*)-1);
  INT(shmdt(segment));
  INT(shmdt(segment));
  INT(shmdt(page));
  shmctl(id, IPC_RMID, NULL);
}

static void locks(void) {
  INT(mlock(page, kPage));
  INT(mlock(page, huge));
  INT(mlock(bad, kPage));
  INT(mlock2(page, kPage, MLOCK_ONFAULT));
  INT(mlock2(page, kPage, 99));
  INT(mlock2(page, kPage, 0));
  INT(munlock(page, kPage));
  INT(munlock(bad, kPage));
  INT(mlockall(0));
  INT(mlockall(99));
  INT(mlockall(MCL_ONFAULT));
  INT(munlockall());
}

static void files(void) {
  INT(ftruncate(-1, 0));
  INT(ftruncate(0x7fff, 1));
  INT(fallocate(-1, 0, 0, 1));
  INT(posix_fallocate(-1, 0, 1));
  INT(posix_fallocate(1, -1, 1));
  INT(posix_fallocate(1, 0, 0));
  const int file = memfd_create("x", 0);
  INT(file >= 0);
  INT(ftruncate(file, 2 * kPage));
  INT(ftruncate(file, -1));
  INT(fallocate(file, 0, 0, kPage));
  INT(fallocate(file, 0x4000, 0, kPage));
  INT(fallocate(file, 0, -1, 1));
  INT(posix_fallocate(file, 0, kPage));
  INT(posix_fallocate(file, kPage, INT64_MAX));
  close(file);
  INT(memfd_create(bad_name, 0));
  INT(memfd_create("x", 0x7f000000));
  INT(shm_open("/no-such-segment", O_RDONLY, 0));
  INT(shm_open("", O_RDWR, 0));
  INT(shm_open("a/b", O_RDWR, 0));
}

static void limits(void) {
  struct rlimit now, upside_down = {10, 5};
  struct rlimit* volatile nowhere = bad;
  INT(getrlimit(RLIMIT_CORE, &now));
  INT(setrlimit(99, &now));
  INT(setrlimit(RLIMIT_CORE, nowhere));
  INT(setrlimit(RLIMIT_CORE, &upside_down));
  INT(setrlimit(RLIMIT_CORE, &now));
  INT(prlimit(0, RLIMIT_CORE, NULL, NULL));
  INT(prlimit(0, RLIMIT_CORE, &upside_down, NULL));
  INT(prlimit(0, RLIMIT_CORE, NULL, &now));
  INT(prlimit(0, RLIMIT_CORE, NULL, nowhere));
  INT(prlimit(0x7ffffff, RLIMIT_CORE, NULL, &now));
  INT(prlimit(0, 99, NULL, &now));
}

static void namespaces(void) {
  INT(unshare(0));
  INT(unshare(7));
  INT(unshare(CLONE_FS));
  INT(setns(-1, 0));
  INT(setns(0, 99));
}

static long end_of(pid_t child) {
  int status = -1;
  if (child == 0) _exit(5);
  return child > 0 && waitpid(child, &status, 0) == child ? status : -1;
}
static pid_t ended_child(void) {
  const pid_t child = fork();
  if (child == 0) _exit(6);
  return child;
}
static char* const list[] = {"true", NULL};
static int by_path(void) { return execv("/nowhere", list); }
static int by_search(void) { return execvp("no-such-program", list); }
static int by_search_with_environment(void) { return execvpe("no-such-program", list, environ); }
static int found(void) { return execvpe("true", list, environ); }
static int bad_list(void) { return execv("/bin/true", bad); }
static int no_name(void) { return execvp("", list); }
static int bad_path(void) { return execvp(bad_name, list); }
static int at_once(void) { _Exit(9); }
static long exec_in_child(int (*exec)(void)) {
  const pid_t child = fork();
  if (child == 0) {
    exec();
    _exit(errno);
  }
  return end_of(child) >> 8;
}
static int in_thread(void* unused) {
  (void)unused;
  return 0;
}
static long terminal_child(void) {
  int terminal;
  const pid_t child = forkpty(&terminal, NULL, NULL, NULL);
  const long end = end_of(child);
  close(terminal);
  return end;
}
static long daemon_child(void) {
  const pid_t child = fork();
  if (child == 0) _exit(daemon(1, 1) != 0);
  return end_of(child);
}

static void programs(void) {
  INT(end_of(vfork()));
  INT(exec_in_child(by_path));
  INT(exec_in_child(by_search));
  INT(exec_in_child(by_search_with_environment));
  INT(exec_in_child(found));
  INT(exec_in_child(bad_list));
  INT(exec_in_child(no_name));
  INT(exec_in_child(bad_path));
  INT(exec_in_child(at_once));
  INT(terminal_child());
  INT(daemon_child());
  thrd_t thread;
  int result = 1;
  INT(thrd_create(&thread, in_thread, NULL));
  INT(thrd_join(thread, &result));
  wordexp_t words;
  INT(wordexp("$(echo a b)", &words, 0));
  INT(words.we_wordc);
  INT(wordexp("`", &words, 0));
  INT(wordexp("$(x)", &words, WRDE_NOCMD));
  INT(wordexp("a|b", &words, 0));
}

static void by_number(void) {
  INT(syscall(SYS_mlockall, 99));
  INT(syscall(SYS_memfd_create, bad, 0));
  INT(syscall(SYS_shmget, IPC_PRIVATE, 0, 0));
  INT(syscall(SYS_waitid, P_ALL, 0, 0, WEXITED, 0));
  INT(syscall(SYS_prlimit64, 0, 99, 0, 0));
  INT(syscall(SYS_execveat, -1, "x", 0, 0, 0));
  INT(syscall(SYS_unshare, 7));
  INT(syscall(SYS_clone3, page, 3));
}

static void waits_that_write_nowhere(void) {
  int* volatile nowhere = bad;
  struct rusage* volatile no_usage = bad;
  siginfo_t* volatile no_info = bad;
  INT(waitid(P_PID, (id_t)ended_child(), no_info, WEXITED));
  INT(syscall(SYS_wait4, ended_child(), nowhere, 0, 0) > 0);
  INT(wait4(ended_child(), NULL, 0, no_usage) > 0);
  INT(wait3(nowhere, WNOHANG, no_usage) > 0);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  page = mmap(NULL, 4 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  protection();
  segments();
  locks();
  files();
  limits();
  namespaces();
  programs();
  by_number();
  waits_that_write_nowhere();
  return 0;
}
