// SPDX-License-Identifier: MIT
// Goes under seccomp and allocates there, from memory it already has. sandboxed strict | errno |
// kill | exec PROGRAM
//   strict: read, write, exit only, else SIGKILL. errno, kill: a filter allows write and exit; all
//   else fails with EPERM, or ends the process. A call that the program did not ask for shows as a
//   signal. Prints "done".
//   exec: a filter that ends the process over statx, then PROGRAM.
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALLOW(nr) \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

int main(int argc, char** argv) {
  const int execs = argc == 3 && strcmp(argv[1], "exec") == 0;
  if (argc != 2 && !execs) return 2;
  static void* blocks[32];
  free(malloc(100000));  // the heap is there
  if (strcmp(argv[1], "strict") == 0) {
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) return 3;
  } else {
    const unsigned otherwise =
        strcmp(argv[1], "kill") == 0 ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | 1;
    struct sock_filter few[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), ALLOW(SYS_write),
                                ALLOW(SYS_exit), BPF_STMT(BPF_RET | BPF_K, otherwise)};
    struct sock_filter all_but_one[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
                                        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_statx, 0, 1),
                                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
                                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {execs ? 4 : 6, execs ? all_but_one : few};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 3;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return 3;
  }
  if (execs) return execl(argv[2], argv[2], NULL), 5;
  for (size_t i = 0; i < 200000; i++) {
    free(blocks[i % 32]);
    blocks[i % 32] = malloc(i % 300 + 1);
  }
  if (write(1, "done\n", 5) != 5) return 4;
  syscall(SYS_exit, 0);
}
