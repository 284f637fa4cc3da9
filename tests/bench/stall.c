// SPDX-License-Identifier: MIT
// The longest that a program waits in malloc: stall SECONDS PAIRS. Groups of 16 mallocs and frees
// for so many seconds, after PAIRS of them that are not measured. Prints "p9999 US" and "max US" of
// a group's time.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { kGroup = 16, kPerDoubling = 16, kDoublings = 40 };
static uint64_t groups_of[kDoublings * kPerDoubling];  // by the logarithm of their time in ns

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static unsigned slot_of(uint64_t ns) {
  if (ns < kPerDoubling) return (unsigned)ns;
  const unsigned top = 63 - (unsigned)__builtin_clzll(ns);
  return (top - 3) * kPerDoubling + (unsigned)(ns >> (top - 4) & (kPerDoubling - 1));
}
// The least time that is counted in a slot.
static double ns_of(unsigned slot) {
  if (slot < 2 * kPerDoubling) return slot;
  const unsigned top = slot / kPerDoubling + 3;
  return (double)((uint64_t)(kPerDoubling + slot % kPerDoubling) << (top - 4));
}

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? atof(argv[1]) : 1;
  const long unmeasured = argc > 2 ? atol(argv[2]) : 0;
  void* volatile blocks[kGroup];
  for (long i = 0; i < unmeasured; i++) {
    blocks[0] = malloc(64);
    free(blocks[0]);
  }
  uint64_t most = 0, groups = 0;
  const uint64_t begin = now_ns();
  for (uint64_t last = begin; (double)(last - begin) < seconds * 1e9;) {
    for (int i = 0; i < kGroup; i++) blocks[i] = malloc(64);
    for (int i = 0; i < kGroup; i++) free(blocks[i]);
    const uint64_t now = now_ns(), took = now - last;
    groups_of[slot_of(took)]++;
    most = took > most ? took : most;
    groups++;
    last = now;
  }
  uint64_t above = 0;
  unsigned slot = kDoublings * kPerDoubling;
  while (slot > 0 && above + groups_of[slot - 1] <= groups / 10000) above += groups_of[--slot];
  printf("p9999 %.2f\nmax %.1f\n", ns_of(slot ? slot - 1 : 0) / 1e3, (double)most / 1e3);
}
