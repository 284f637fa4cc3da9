// SPDX-License-Identifier: MIT
// A program below a seccomp filter that refuses one system call, as container runtimes set theirs:
// before the program's start, inherited by all that it starts.
//   refused_syscalls under CALL ERROR COMMAND...   installs the filter and executes the command
//   refused_syscalls names                         the calls it knows
//   refused_syscalls subject                       is refused memory by RLIMIT_AS, forks, and says
//   how that went
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NUMBER(name) \
  { #name, SYS_##name }
static const struct {
  const char* name;
  int number;
} calls[] = {
    NUMBER(brk),       NUMBER(capget),     NUMBER(clock_gettime),  NUMBER(close),
    NUMBER(fallocate), NUMBER(fcntl),      NUMBER(fstat),          NUMBER(getcwd),
    NUMBER(geteuid),   NUMBER(getpid),     NUMBER(getrusage),      NUMBER(gettid),
    NUMBER(getuid),    NUMBER(getresuid),  NUMBER(getdents64),     NUMBER(fstatfs),
    NUMBER(kill),      NUMBER(madvise),    NUMBER(mmap),           NUMBER(mprotect),
    NUMBER(mremap),    NUMBER(munlock),    NUMBER(munmap),         NUMBER(nanosleep),
    NUMBER(openat),    NUMBER(prctl),      NUMBER(pread64),        NUMBER(prlimit64),
    NUMBER(pwrite64),  NUMBER(read),       NUMBER(readlinkat),     NUMBER(process_vm_readv),
    NUMBER(renameat2), NUMBER(shmget),     NUMBER(rt_sigprocmask), NUMBER(sched_getaffinity),
    NUMBER(statx),     NUMBER(symlinkat),  NUMBER(tkill),          NUMBER(sched_getscheduler),
    NUMBER(uname),     NUMBER(unlinkat),   NUMBER(write),          NUMBER(newfstatat),
    NUMBER(poll),      NUMBER(ppoll),      NUMBER(rt_sigpending),  NUMBER(rt_sigtimedwait),
    NUMBER(statfs),    NUMBER(ftruncate),  NUMBER(sysinfo),        NUMBER(mincore),
    NUMBER(linkat),    NUMBER(fchmod),     NUMBER(fchown),         NUMBER(lseek),
    NUMBER(mlock),     NUMBER(mlock2),     NUMBER(mlockall),       NUMBER(munlockall),
    NUMBER(getrandom), NUMBER(arch_prctl), NUMBER(faccessat),      NUMBER(rt_sigaction),
    NUMBER(ioctl),     NUMBER(setrlimit),  NUMBER(memfd_create),   NUMBER(getppid),
    NUMBER(getgid),    NUMBER(getegid),    NUMBER(membarrier),     NUMBER(sched_yield),
    NUMBER(futex),     NUMBER(wait4),      NUMBER(waitid),         NUMBER(clone),
    NUMBER(exit),      NUMBER(getpgid),    NUMBER(getsockopt),     NUMBER(sendto),
    NUMBER(shmctl),    NUMBER(vmsplice),   NUMBER(flock),          NUMBER(clone3)};
enum { kCalls = sizeof calls / sizeof *calls };

static int number_of(const char* name) {
  for (int i = 0; i < kCalls; ++i)
    if (strcmp(calls[i].name, name) == 0) return calls[i].number;
  fprintf(stderr, "refused_syscalls: %s is not in the table\n", name);
  exit(2);
}

static int error_of(const char* name) {
  for (int error = 1; error < 134; ++error)
    if (strerrorname_np(error) && strcmp(strerrorname_np(error), name) == 0) return error;
  fprintf(stderr, "refused_syscalls: no errno is named %s\n", name);
  exit(2);
}

static int under(char** words) {
  const unsigned number = (unsigned)number_of(words[0]), error = (unsigned)error_of(words[1]);
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return perror("seccomp"), 77;
  execvp(words[2], words + 2);
  perror(words[2]);
  return 2;
}

static __attribute__((noinline)) int save_in_background(void) {
  const pid_t child = fork();
  if (child == 0) _exit(7);
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return errno;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static __attribute__((noinline)) int load_dataset(void) {
  const struct rlimit limit = {(rlim_t)600 << 20, (rlim_t)600 << 20};
  if (setrlimit(RLIMIT_AS, &limit)) return -errno;
  errno = 0;
  void* volatile block = malloc((size_t)900 << 20);
  return block ? 0 : errno;
}

static int subject(void) {
  printf("fork %d\n", save_in_background());
  printf("memory %s\n", strerror(load_dataset()));
  return 0;
}

int main(int count, char** words) {
  if (count > 4 && strcmp(words[1], "under") == 0) return under(words + 2);
  if (count == 2 && strcmp(words[1], "subject") == 0) return subject();
  for (int i = 0; i < kCalls; ++i) puts(calls[i].name);
  return 0;
}
