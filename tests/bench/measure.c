// SPDX-License-Identifier: MIT
// Runs a command N times, output to /dev/null: measure N [-e NAME=VALUE | -u FILE]... CMD... Per
// run one line each: "wall MS" from fork to its end, "cpu MS", "rss KB". -e: in the command's
// environment only; -u: FILE is removed before each run.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}
static double ms(struct timeval t) { return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3; }

int main(int argc, char** argv) {
  const int times = argc > 1 ? atoi(argv[1]) : 0;
  const char* removed = NULL;
  int at = 2;
  for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
    if (strcmp(argv[at], "-e") == 0) putenv(argv[at + 1]);
    if (strcmp(argv[at], "-u") == 0) removed = argv[at + 1];
  }
  if (times < 1 || at >= argc) return 2;
  for (int i = 0; i < times; i++) {
    if (removed) unlink(removed);
    fflush(stdout);
    const double start = now_ms();
    const pid_t child = fork();
    if (child == 0) {
      const int null = open("/dev/null", O_WRONLY);
      dup2(null, 1);
      execvp(argv[at], argv + at);
      _exit(127);
    }
    int status;
    struct rusage used;
    if (child < 0 || wait4(child, &status, 0, &used) < 0) return 2;
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) return 2;  // 1: ovc found something
    printf("wall %.3f\ncpu %.3f\nrss %ld\n", now_ms() - start,
           ms(used.ru_utime) + ms(used.ru_stime), used.ru_maxrss);
  }
  return 0;
}
