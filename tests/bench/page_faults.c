// SPDX-License-Identifier: MIT
// page_faults [NAME=VALUE...] COMMAND...: runs the command with these variables, standard streams
// closed off, and prints its minor page faults, those of children it waited for included.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void become(char** command) {
  const int nothing = open("/dev/null", O_RDWR);
  for (int stream = 0; stream < 3; stream++) dup2(nothing, stream);
  close(nothing);
  for (; *command && strchr(*command, '='); command++) putenv(*command);
  if (*command) execvp(*command, command);
  _exit(127);
}

int main(int argc, char** argv) {
  int status = 0;
  struct rusage usage;
  const pid_t child = argc > 1 ? fork() : -1;
  if (child == 0) become(argv + 1);
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
      WEXITSTATUS(status) == 127)
    return 1;
  if (getrusage(RUSAGE_CHILDREN, &usage) != 0) return 1;
  printf("%ld\n", usage.ru_minflt);
  return 0;
}
