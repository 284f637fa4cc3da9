// SPDX-License-Identifier: MIT
// Allocates, maps and forks in four threads until it is killed. For tests/e2e/sigkill.sh.
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void* work(void* seed) {
  unsigned state = (unsigned)(size_t)seed;
  for (;;) {
    size_t size = (size_t)rand_r(&state) % 300000 + 1;
    char* block = malloc(size);
    if (block != NULL) block[0] = 1;
    block = realloc(block, size * 2);
    free(block);
    void* mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping != MAP_FAILED) munmap(mapping, size);
    if (state % 64 == 0) {
      pid_t child = fork();
      if (child == 0) _exit(0);
      waitpid(child, NULL, 0);
    }
  }
}

int main(void) {
  for (size_t i = 1; i < 4; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, (void*)i) != 0) return 1;
  }
  work(NULL);
}
