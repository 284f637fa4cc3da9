// SPDX-License-Identifier: MIT
// Threads and handlers that come upon descriptors they know nothing of. descriptors
// lost|children|jump SECONDS
//   lost      one thread has mappings refused without pause; another closes all numbers from 3 up,
//             opens a file and uses it
//   children  the same first thread; another forks, and the children count what they have
//   jump      one thread has mappings refused until a signal's handler jumps away
// Prints "NAME: rounds N, wrong M".
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int stop;

static void refused(void) {
  mmap(NULL, (size_t)1 << 47, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static void* refuse_always(void* unused) {
  while (!stop) refused();
  return unused;
}
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
static int open_numbers(void) {
  int count = 0;
  for (int fd = 3; fd < 1024; fd++) count += fcntl(fd, F_GETFD) >= 0;
  return count;
}

static long lost_file(void) {
  struct stat wanted, got;
  stat("/dev/null", &wanted);
  close_range(3, ~0u, 0);
  const int fd = open("/dev/null", O_RDONLY);
  for (volatile int i = 0; i < 2000; i++) continue;  // time for somebody to close it
  const int wrong = fstat(fd, &got) != 0 || got.st_rdev != wanted.st_rdev;
  close(fd);
  return wrong;
}

static int first_count;
static long strange_child(void) {
  int status = 0;
  const pid_t child = fork();
  if (child == 0) _exit(open_numbers() != first_count);
  return waitpid(child, &status, 0) != child || status != 0;
}

static sigjmp_buf back;
static void jump_away(int signal) { siglongjmp(back, signal); }
static long jumped(void) {
  const struct itimerval soon = {.it_value = {.tv_usec = 100 + rand() % 900}};
  const struct itimerval never = {.it_value = {.tv_usec = 0}};
  if (sigsetjmp(back, 1) == 0) {
    setitimer(ITIMER_REAL, &soon, NULL);
    for (;;) refused();
  }
  setitimer(ITIMER_REAL, &never, NULL);
  return open_numbers() != first_count;
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    long (*round)(void);
    int threads;
  } cases[] = {{"lost", lost_file, 1}, {"children", strange_child, 1}, {"jump", jumped, 0}};
  if (argc != 3) return 2;
  first_count = open_numbers();
  signal(SIGALRM, jump_away);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    if (strcmp(argv[1], cases[i].name) != 0) continue;
    pthread_t other;
    long rounds = 0, wrong = 0;
    if (cases[i].threads) pthread_create(&other, NULL, refuse_always, NULL);
    for (const double end = now() + atof(argv[2]); now() < end; rounds++) wrong += cases[i].round();
    stop = 1;
    if (cases[i].threads) pthread_join(other, NULL);
    printf("%s: rounds %ld, wrong %ld\n", cases[i].name, rounds, wrong);
    return 0;
  }
  return 2;
}
