// SPDX-License-Identifier: MIT
// grows_twice ROUNDS: maps 8 MiB (maps_first), maps and unmaps a page ROUNDS times (churns), then
// says "first" and waits for a line; gives half of the first back, maps 16 MiB (maps_second),
// churns again, says "second" and waits for a line.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static char* map(size_t bytes) {
  char* p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) perror("grows_twice"), exit(2);
  return p;
}

__attribute__((noinline)) static char* maps_first(void) {
  char* p = map((size_t)8 << 20);
  __asm__ volatile("" : "+r"(p));
  return p;
}

__attribute__((noinline)) static char* maps_second(void) {
  char* p = map((size_t)16 << 20);
  __asm__ volatile("" : "+r"(p));
  return p;
}

__attribute__((noinline)) static void churns(int rounds) {
  for (int i = 0; i < rounds; ++i)
    if (munmap(map(4096), 4096) != 0) exit(2);
}

static void says(const char* what) {
  puts(what);
  fflush(stdout);
  for (int c = 0; c != '\n' && c != EOF;) c = getchar();
}

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? atoi(argv[1]) : 10;
  setvbuf(stdout, NULL, _IOLBF, 0);
  char* first = maps_first();
  churns(rounds);
  says("first");
  if (munmap(first + ((size_t)4 << 20), (size_t)4 << 20) != 0) return 2;
  char* second = maps_second();
  churns(rounds);
  says("second");
  return second == NULL;
}
