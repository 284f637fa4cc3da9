// SPDX-License-Identifier: MIT
// A few calls that matter, a flood of mmap and munmap, a refusal under RLIMIT_AS, and the flood
// again.
// Usage: floods PAIRS
#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

static void flood(long pairs) {
  while (pairs-- > 0)
    munmap(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096);
}

static void* nothing(void* arg) { return arg; }

int main(int argc, char** argv) {
  const long pairs = argc > 1 ? atol(argv[1]) : 1000;
  char* program[] = {"true", NULL};
  pid_t child = 0;
  if (posix_spawnp(&child, "true", NULL, NULL, program, environ) != 0 ||
      waitpid(child, NULL, 0) != child)
    return 1;
  child = fork();
  if (child == 0) _exit(3);
  if (wait(NULL) != child) return 1;
  flood(pairs);
  const struct rlimit limit = {256 << 20, 256 << 20};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 1 << 30);
  pthread_t thread;
  if (setrlimit(RLIMIT_AS, &limit) != 0 || pthread_create(&thread, &attributes, nothing, NULL) == 0)
    return 1;
  flood(pairs);
  return 0;
}
