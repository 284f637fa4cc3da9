// SPDX-License-Identifier: MIT
// scribbled PATTERN: a child without privileges (its parent is root, where the test is) writes
// nonsense over the whole shared log, again and again, while its parent makes the calls that the
// shim watches, in threads and children, and says what came of them. PATTERN: ones, zeros, words
// (small numbers and indexes), random, sparse (mostly zeros, so that places look free while what
// stands beside them is nonsense), addresses (of the child's own stack: mapped in the parent, too).
#define _GNU_SOURCE
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kRounds = 60, kCalls = 3000, kPage = 4096, kNobody = 65534 };

// The log's mapping, if there is one: [begin, end) in 8-byte words.
static uint64_t *begin, *end;
static void find_log(void) {
  FILE* maps = fopen("/proc/self/maps", "r");
  char line[512];
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    unsigned long from, to;
    if (strstr(line, ".ovc") == NULL || sscanf(line, "%lx-%lx", &from, &to) != 2) continue;
    if (begin == NULL)
      begin = (uint64_t*)from;  // NOLINT(performance-no-int-to-ptr): an address of /proc
    end = (uint64_t*)to;        // NOLINT(performance-no-int-to-ptr)
  }
  if (maps != NULL) fclose(maps);
}

static uint64_t state = 88172645463325252u;
static uint64_t next_random(void) {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}
static uint64_t word_of(const char* pattern) {
  if (strcmp(pattern, "ones") == 0) return UINT64_MAX;
  if (strcmp(pattern, "zeros") == 0) return 0;
  if (strcmp(pattern, "words") == 0) return next_random() % 70000 | (next_random() % 70000) << 32;
  if (strcmp(pattern, "sparse") == 0) {
    const uint64_t word = next_random(), which = next_random();
    return which % 4 ? 0 : word & (which & 8 ? UINT32_MAX : ~(uint64_t)UINT32_MAX);
  }
  if (strcmp(pattern, "addresses") == 0)
    return (uint64_t)&pattern & ~(uint64_t)(next_random() & 0xff);
  return next_random();
}

static _Noreturn void scribble(const char* pattern, int ready) {
  // Where it may not (a sandbox), it scribbles as it is.
  if (geteuid() == 0 && setgroups(0, NULL) == 0 && setresgid(kNobody, kNobody, kNobody) == 0 &&
      setresuid(kNobody, kNobody, kNobody) != 0)
    _exit(2);
  for (int round = 0;; round++) {
    for (uint64_t* at = begin; at < end; at++) *(volatile uint64_t*)at = word_of(pattern);
    if (round == 0 && write(ready, "", 1) != 1) _exit(3);
  }
}

static long blocks_of(int calls) {
  long good = 0;
  for (int i = 0; i < calls; i++) {
    char* block = malloc((size_t)(i % 5000 + 1));
    if (block != NULL) *block = 1, good++;
    free(block);
  }
  return good;
}
static void* thread_body(void* sum) {
  *(long*)sum = blocks_of(kCalls);
  return NULL;
}
static long in_a_thread(void) {
  pthread_t thread;
  long sum = 0;
  return pthread_create(&thread, NULL, thread_body, &sum) == 0 && pthread_join(thread, NULL) == 0
             ? sum
             : -1;
}
static long in_a_child(void) {
  int status = 0;
  const pid_t child = fork();
  if (child == 0) exit(blocks_of(kCalls) == kCalls && in_a_thread() == kCalls ? 7 : 1);
  return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -status;
}
static long mapped(void) {
  char* at = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return -1;
  *at = 1;
  return munmap(at, kPage);
}

int main(int argc, char** argv) {
  int ready[2];
  char byte;
  find_log();
  if (argc != 2 || pipe(ready) != 0) return 2;
  const pid_t scribbler = fork();
  if (scribbler == 0) scribble(argv[1], ready[1]);
  if (read(ready[0], &byte, 1) != 1) return 3;
  long blocks = 0, threads = 0, children = 0, maps = 0, refused = 0;
  for (int round = 0; round < kRounds; round++) {
    blocks += blocks_of(kCalls);
    threads += in_a_thread() == kCalls;
    children += in_a_child() == 7;
    maps += mapped() == 0;
    refused +=
        mmap(NULL, (size_t)1 << 60, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
  }
  kill(scribbler, SIGKILL);
  int status = 0;
  const long ended = waitpid(scribbler, &status, 0) == scribbler ? WTERMSIG(status) : -1;
  printf("%ld blocks, %ld threads, %ld children, %ld maps, %ld refused, scribbler: signal %ld\n",
         blocks, threads, children, maps, refused, ended);
  return begin == NULL ? 0 : 10;
}
