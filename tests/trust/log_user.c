// SPDX-License-Identifier: MIT
// Says "ready", waits for a line, and then makes enough calls to write to every page of a small
// log; says what came of them.
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kCalls = 400000, kMaps = 3000, kForks = 20, kPage = 4096 };

int main(void) {
  long blocks = 0, maps = 0, forks = 0;
  puts("ready");
  fflush(stdout);
  if (getchar() == EOF) return 1;
  for (int i = 0; i < kCalls; i++) {
    char* block = malloc((size_t)(i % 5000 + 1));
    if (block != NULL) *block = 1, blocks++;
    free(block);
  }
  for (int i = 0; i < kMaps; i++) {
    char* at = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at != MAP_FAILED) *at = 1, maps += munmap(at, kPage) == 0;
  }
  for (int i = 0; i < kForks; i++) {
    int status = 0;
    const pid_t child = fork();
    if (child == 0) _exit(3);
    forks += waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 3;
  }
  printf("%ld blocks, %ld maps, %ld forks\n", blocks, maps, forks);
  return 0;
}
