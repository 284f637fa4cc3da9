// SPDX-License-Identifier: MIT
// A program that puts itself under a seccomp filter by an instruction of its own, past every
// function that the shim could see. Whoever opens a file from then on is killed. It forks, starts a
// thread, and ends well.
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long by_instruction(long number, long a, long b, long c) {
#if defined(__x86_64__)
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c)
                   : "rcx", "r11", "memory");
  return result;
#else
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
  return x0;
#endif
}

static int enter_filter(void) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return by_instruction(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&program) == 0;
}

static void* in_thread(void* arg) { return arg; }

int main(void) {
  if (!enter_filter()) return 77;
  int status = 0;
  const pid_t child = fork();
  if (child == 0) _exit(7);
  printf("fork: %d\n", waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);
  pthread_t thread;
  void* got = NULL;
  if (pthread_create(&thread, NULL, in_thread, &status) == 0) pthread_join(thread, &got);
  printf("thread: %d\n", got == &status);
  return fflush(stdout);
}
