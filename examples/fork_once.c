// SPDX-License-Identifier: MIT
// Shows: one fork, as the program calls it in libc and as libc calls it in the kernel (clone); the child's end.
// Run and expect (tests/fixtures/promise.sh checks it; `...` stands for anything):
//   $ ovc run -- fork_once
//   $ ovc show --op fork,clone,waitpid
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
