// SPDX-License-Identifier: MIT
//
// Forks while another thread holds a mutex: the child waits for it for ever. Prints "child PID",
// then "ready" when the child waits; ends the child when its own standard input ends.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int held[2], ended[2];

static void* holds_it(void* none) {
  char byte = 0;
  pthread_mutex_lock(&lock);
  if (write(held[1], &byte, 1) != 1 || read(ended[0], &byte, 1) != 1) return NULL;
  pthread_mutex_unlock(&lock);
  return none;
}

// Until the kernel says that it waits in futex.
static void wait_until_it_waits(pid_t child) {
  char path[64], text[64] = "";
  snprintf(path, sizeof path, "/proc/%d/syscall", (int)child);
  while (strncmp(text, "202 ", 4) != 0) {
    FILE* file = fopen(path, "r");
    if (!file) return;
    if (!fgets(text, sizeof text, file)) text[0] = '\0';
    fclose(file);
  }
}

int main(void) {
  pthread_t thread;
  char byte;
  if (pipe(held) != 0 || pipe(ended) != 0) return 2;
  pthread_create(&thread, NULL, holds_it, NULL);
  if (read(held[0], &byte, 1) != 1) return 2;
  const pid_t child = fork();
  if (child == 0) {
    pthread_mutex_lock(&lock);
    _exit(0);
  }
  wait_until_it_waits(child);
  printf("child %d\nready\n", (int)child);
  fflush(stdout);
  while (read(0, &byte, 1) == 1) {}
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  if (write(ended[1], &byte, 1) != 1) return 2;
  pthread_join(thread, NULL);
  return 0;
}
