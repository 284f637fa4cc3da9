// SPDX-License-Identifier: MIT
// Shows: one fork, as the program calls it in libc and as libc calls it in the kernel (clone); the
// child's end.
// Run and expect (tests/fixtures/promise.sh checks it; `...` stands for anything):
//   $ ovc run -- fork_once
//   child ended with status 7
//   $ ovc show --op fork,clone,waitpid,_exit
//   ... fork() = ...  <- main+... (fork_once)
//   ...   libc: clone(CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD) = ...
//   ... waitpid(..., [exited, 7], 0) = ...
//   ... _exit(7) ...
//   $ ovc forks
//   ... fork ... exited, 7; ... page faults main
//   served by libc.so.6: clone, fork, vfork
//   $ ovc why
//   nothing was refused and nobody was killed in what was seen: ...
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  pid_t child = fork();
  if (child == -1) {
    perror("fork");
    return 1;
  }
  if (child == 0) _exit(7);
  int status = 0;
  waitpid(child, &status, 0);
  printf("child ended with status %d\n", WEXITSTATUS(status));
  return 0;
}
