// SPDX-License-Identifier: MIT
// Closes every descriptor, goes into an empty root directory, drops its privileges, and allocates,
// maps and forks there. strange_home FOLDER; as root. Says nothing; exit status 0 if all went as it
// should.
#define _GNU_SOURCE
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  for (int fd = 0; fd < 1024; fd++) close(fd);
  if (chroot(argv[1]) != 0 || chdir("/") != 0 || setgroups(0, NULL) != 0) return 3;
  if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0) return 4;
  for (size_t size = 1; size < (size_t)4 << 20; size *= 2) {
    char* block = malloc(size);
    if (block == NULL) return 5;
    memset(block, 1, size);
    free(block);
  }
  void* memory =
      mmap(NULL, (size_t)1234 << 12, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 6;
  int status = 0;
  pid_t child = fork();
  if (child == 0) _exit(42);
  if (child == -1 || waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 42) return 7;
  return 0;
}
