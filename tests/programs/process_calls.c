// SPDX-License-Identifier: MIT
// Every way to make a process or a thread, and to wait for it. Prints one line for each way that
// worked as it should.
#define _GNU_SOURCE
#include <linux/sched.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>
#include <wordexp.h>

static int status_of(pid_t child) {
  int status = -1;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                               : -1;
}
static void report(const char* name, int good) {
  printf("%s %s\n", name, good ? "ok" : "WRONG");
  fflush(stdout);
}
static int seven(void* arg) {
  (void)arg;
  _exit(7);
}
static int c11_thread(void* arg) { return arg != NULL; }
// A child with a stack of its own and no C function above it: where the system call comes back it
// returns to what lies on top.
#if defined(__x86_64__)
__asm__("raw_child: mov $7, %edi\n mov $231, %eax\n syscall\n");
extern char raw_child[];
// Ends a child that stands on its parent's stack without writing to it: libc's syscall() has
// returned to where the parent will.
#define EXIT_WITHOUT_STACK(status) \
  __asm__ volatile("syscall" : : "a"(231), "D"(status) : "rcx", "r11", "memory")
static pid_t clone_to_own_stack(void) {
  static char stack[4096] __attribute__((aligned(16)));
  char** top = (char**)(void*)(stack + sizeof stack) - 1;
  *top = raw_child;
  return (pid_t)syscall(SYS_clone, CLONE_VM | SIGCHLD, top, NULL, NULL, NULL);
}
#else
#define EXIT_WITHOUT_STACK(status) _exit(status)
static pid_t clone_to_own_stack(void) {
  return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL) ?: (_exit(7), 0);
}
#endif
static void* nothing(void* arg) { return arg; }
static pid_t nested_vfork(void) {
  pid_t child = vfork();
  if (child == 0) {
    pid_t grandchild = vfork();
    if (grandchild == 0) _exit(3);
    int status = 0;
    waitpid(grandchild, &status, 0);
    _exit(WEXITSTATUS(status) + 4);
  }
  return child;
}

int main(void) {
  static char stack[65536] __attribute__((aligned(16)));
  extern char** environ;
  char* argv[] = {"sh", "-c", "exit 7", NULL};
  pid_t child = fork();
  if (child == 0) _exit(7);
  report("fork", status_of(child) == 7);
  child = _Fork();
  if (child == 0) _exit(7);
  report("_Fork", status_of(child) == 7);
  child = vfork();
  if (child == 0) _exit(7);
  report("vfork", status_of(child) == 7);
  child = vfork();
  if (child == 0) {
    execv("/bin/sh", argv);
    _exit(1);
  }
  report("vfork and exec", status_of(child) == 7);
  report("vfork in vfork", status_of(nested_vfork()) == 7);
  report("clone", status_of(clone(seven, stack + sizeof stack, SIGCHLD, NULL)) == 7);
  report("clone CLONE_VM", status_of(clone(seven, stack + sizeof stack,
                                           CLONE_VM | CLONE_VFORK | SIGCHLD, NULL)) == 7);
  child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
  if (child == 0) _exit(7);
  report("clone system call", status_of(child) == 7);
  report("posix_spawn",
         posix_spawn(&child, "/bin/sh", NULL, NULL, argv, environ) == 0 && status_of(child) == 7);
  report("system", WEXITSTATUS(system("exit 7")) == 7);
  FILE* pipe = popen("exit 7", "r");
  report("popen", pipe != NULL && WEXITSTATUS(pclose(pipe)) == 7);
  int terminal = -1;
  child = forkpty(&terminal, NULL, NULL, NULL);
  if (child == 0) _exit(7);
  report("forkpty", status_of(child) == 7);
  close(terminal);
  wordexp_t words = {0};
  report("wordexp", wordexp("$(echo a b)", &words, 0) == 0 && words.we_wordc == 2);
  wordfree(&words);
  thrd_t c11;
  int c11_result = -1;
  report("thrd_create", thrd_create(&c11, c11_thread, NULL) == thrd_success &&
                            thrd_join(c11, &c11_result) == 0 && c11_result == 0);
  child = (pid_t)syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL);
  if (child == 0) EXIT_WITHOUT_STACK(7);
  report("clone system call, on our stack", status_of(child) == 7);
  report("clone system call, on its own stack", status_of(clone_to_own_stack()) == 7);
  struct clone_args copy = {.exit_signal = SIGCHLD},
                    share = {.flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD};
  child = (pid_t)syscall(SYS_clone3, &copy, sizeof copy);
  if (child == 0) _exit(7);
  report("clone3", status_of(child) == 7);
  child = (pid_t)syscall(SYS_clone3, &share, sizeof share);
  if (child == 0) EXIT_WITHOUT_STACK(7);
  report("clone3, on our stack", status_of(child) == 7);
  report("clone3 of nothing", syscall(SYS_clone3, (void*)8, 88) == -1);
  child = fork();
  if (child == 0) syscall(SYS_execve, "/bin/sh", argv, environ);
  report("execve system call", status_of(child) == 7);
  child = fork();
  if (child == 0) syscall(SYS_exit_group, 7);
  report("exit_group system call", status_of(child) == 7);
  pthread_t thread;
  void* given = NULL;
  report("pthread_create",
         pthread_create(&thread, NULL, nothing, &given) == 0 && pthread_join(thread, &given) == 0);
  int status = 0;
  siginfo_t info;
  struct rusage usage;
  if (fork() == 0) execlp("sh", "sh", "-c", "exit 7", (char*)NULL);
  report("execlp and wait", wait(&status) > 0 && WEXITSTATUS(status) == 7);
  if (fork() == 0) abort();
  report("abort and wait4", wait4(-1, &status, 0, &usage) > 0 && WTERMSIG(status) == SIGABRT);
  if (fork() == 0) exit(7);
  report("exit and waitid", waitid(P_ALL, 0, &info, WEXITED) == 0 && info.si_status == 7);
  report("nobody left", wait(NULL) == -1);
  return 0;
}
