// SPDX-License-Identifier: MIT
// Sets a seccomp filter for itself and is then refused memory by RLIMIT_AS. own_filter KIND HOW
//   KIND: what the filter does; HOW: prctl, or seccomp (the system call, by its number).
// Exit status 0: refused as meant; 77: no filter could be set.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(what) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, what))
#define EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define ANSWER(action) BPF_STMT(BPF_RET | BPF_K, action)
#define ON(number, action) \
  { LOAD(nr), EQUAL(number, 0, 1), ANSWER(action), ANSWER(SECCOMP_RET_ALLOW) }

static struct sock_filter nothing[] = {ANSWER(SECCOMP_RET_ALLOW)},
                          no_ptrace[] = ON(SYS_ptrace, SECCOMP_RET_KILL_PROCESS),
                          no_madvise[] = ON(SYS_madvise, SECCOMP_RET_ERRNO | EPERM),
                          kills_openat[] = ON(SYS_openat, SECCOMP_RET_KILL_PROCESS),
                          traps_pread[] = ON(SYS_pread64, SECCOMP_RET_TRAP),
                          kills_some[] = {  // a pread64 whose offset is not 0
                              LOAD(nr),
                              EQUAL(SYS_pread64, 0, 2),
                              LOAD(args[3]),
                              EQUAL(0, 0, 1),
                              ANSWER(SECCOMP_RET_ALLOW),
                              ANSWER(SECCOMP_RET_KILL_PROCESS)};
static const struct {
  const char* name;
  struct sock_filter* code;
  size_t bytes;
} kinds[] = {{"nothing", nothing, sizeof nothing},
             {"no_ptrace", no_ptrace, sizeof no_ptrace},
             {"no_madvise", no_madvise, sizeof no_madvise},
             {"kills_openat", kills_openat, sizeof kills_openat},
             {"traps_pread", traps_pread, sizeof traps_pread},
             {"kills_some", kills_some, sizeof kills_some}};

static int enter(struct sock_fprog* program, const char* how) {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (strcmp(how, "prctl") == 0) return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program);
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program);
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const struct rlimit limit = {(rlim_t)600 << 20, (rlim_t)600 << 20};
  if (setrlimit(RLIMIT_AS, &limit)) return 3;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
    if (strcmp(kinds[i].name, argv[1]) != 0) continue;
    struct sock_fprog program = {(unsigned short)(kinds[i].bytes / sizeof(struct sock_filter)),
                                 kinds[i].code};
    struct sock_fprog nowhere = {3, (struct sock_filter*)64};
    if (enter(&nowhere, argv[2]) == 0 || errno != EFAULT) return 4;
    if (enter((struct sock_fprog*)8, argv[2]) == 0 || errno != EFAULT) return 5;
    if (enter(&program, argv[2])) return 77;
    void* volatile block = malloc((size_t)900 << 20);
    return block || errno != ENOMEM ? 6 : 0;
  }
  return 2;
}
