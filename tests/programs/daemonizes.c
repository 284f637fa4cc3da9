// SPDX-License-Identifier: MIT
// Becomes a daemon, closes everything, forks there and leaves the child's status in the file given.
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc != 2 || daemon(0, 0) != 0) return 2;
  for (int fd = 0; fd < 1024; fd++) close(fd);
  int status = 0;
  pid_t child = fork();
  if (child == 0) _exit(9);
  if (child == -1 || waitpid(child, &status, 0) != child) return 3;
  FILE* file = fopen(argv[1], "w");
  if (file == NULL) return 4;
  fprintf(file, "%d\n", WEXITSTATUS(status));
  return fclose(file) != 0;
}
