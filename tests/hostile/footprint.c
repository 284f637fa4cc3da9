// SPDX-License-Identifier: MIT
// Prints what a library could have left behind in this process: threads, descriptors, sockets,
// signal handlers and mask, timers, limits, environment, working directory, umask, session, names;
// at its start, after some work, and in a forked child.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

static void list(const char* path) {
  DIR* directory = opendir(path);
  const struct dirent* entry;
  int count = 0;
  while ((entry = readdir(directory)))
    if (entry->d_name[0] != '.') ++count;
  printf("%s: %d\n", path, count);
  closedir(directory);
}

static void signals(void) {
  sigset_t mask;
  for (int number = 1; number < 65; ++number) {
    struct sigaction action;
    if (sigaction(number, NULL, &action) == 0 && (action.sa_handler != SIG_DFL || action.sa_flags))
      printf("signal %d: handled, flags %x\n", number, (unsigned)action.sa_flags);
  }
  sigprocmask(SIG_BLOCK, NULL, &mask);
  for (int number = 1; number < 65; ++number)
    if (sigismember(&mask, number) == 1) printf("signal %d: blocked\n", number);
  sigpending(&mask);
  for (int number = 1; number < 65; ++number)
    if (sigismember(&mask, number) == 1) printf("signal %d: pending\n", number);
  stack_t alternate;
  sigaltstack(NULL, &alternate);
  printf("alternate stack: flags %d\n", alternate.ss_flags);
}

static void environment(void) {
  int count = 0;
  for (char** e = environ; *e; ++e) {
    const int ours = strncmp(*e, "LD_PRELOAD=", 11) == 0 || strncmp(*e, "OVCSHIM", 7) == 0 ||
                     strncmp(*e, "_=", 2) == 0;
    if (!ours) printf("environment %d: %s\n", count++, *e);
  }
}

static void state(const char* when) {
  char cwd[4096];
  struct itimerval timer;
  printf("--- %s\n", when);
  list("/proc/self/task");
  list("/proc/self/fd");
  signals();
  for (int which = 0; which < 3; ++which) {
    getitimer((__itimer_which_t)which, &timer);
    printf("timer %d: %ld\n", which, (long)timer.it_value.tv_sec);
  }
  for (int resource = 0; resource < 16; ++resource) {
    struct rlimit limit = {0, 0};
    getrlimit((__rlimit_resource_t)resource, &limit);
    printf("limit %d: %lu %lu\n", resource, (unsigned long)limit.rlim_cur,
           (unsigned long)limit.rlim_max);
  }
  environment();
  const mode_t mask = umask(0);
  umask(mask);
  printf("%s, umask %o, group %d, priority %d, policy %d\n", getcwd(cwd, sizeof cwd), mask,
         getpgrp() == getpid(), getpriority(PRIO_PROCESS, 0), sched_getscheduler(0));
  fflush(stdout);
}

static void* volatile block;
static void ask_small(void) {
  block = malloc(100);
  free(block);
}
static void ask_big(void) {
  block = malloc(200000);
  free(block);
}
static void ask_mmap(void) {
  munmap(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096);
}
static void ask_refused(void) {
  block = mmap(NULL, (size_t)1 << 46, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static void ask_fork(void) {
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  waitpid(pid, NULL, 0);
}
static void ask_vfork(void) {
  const pid_t pid = vfork();
  if (pid == 0) _exit(0);
  waitpid(pid, NULL, 0);
}
static void* nothing(void* tid) {
  *(long*)tid = syscall(SYS_gettid);
  return NULL;
}
// The kernel wakes whoever joins a thread before the thread is gone from /proc (kernel/exit.c
// do_exit()): that is waited for.
static void ask_thread(void) {
  pthread_t thread;
  long tid = 0;
  if (pthread_create(&thread, NULL, nothing, &tid) != 0) return;
  pthread_join(thread, NULL);
  while (syscall(SYS_tgkill, getpid(), tid, 0) == 0) sched_yield();
}
static void ask_system_call(void) { syscall(SYS_munmap, 1, 4096); }
static void ask_limit(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_CORE, &limit);
  setrlimit(RLIMIT_CORE, &limit);
}
static void ask_exec(void) { execl("/nowhere", "nowhere", (char*)NULL); }

int main(void) {
  static void (*const calls[])(void) = {ask_small, ask_big,   ask_mmap,   ask_refused,
                                        ask_fork,  ask_vfork, ask_thread, ask_system_call,
                                        ask_limit, ask_exec};
  state("at the start");
  for (size_t i = 0; i < sizeof calls / sizeof *calls; ++i) calls[i]();
  state("after work");
  fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) {
    state("in a child");
    fflush(stdout);
    _exit(0);
  }
  waitpid(pid, NULL, 0);
  return 0;
}
