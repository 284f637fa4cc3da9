// SPDX-License-Identifier: MIT
// fork_loop COUNT: so many times fork, _exit in the child, and the wait for it.
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  for (long i = atol(argv[1]); i > 0; i--) {
    const pid_t child = fork();
    if (child == 0) _exit(0);
    if (child < 0 || waitpid(child, NULL, 0) != child) return 1;
  }
  return 0;
}
