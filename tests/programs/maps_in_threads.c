// SPDX-License-Identifier: MIT
//
// Threads that change the address space all the time, each its own part of it: they map, unmap,
// replace, protect, grow, move and advise, and go by malloc, too. One byte on standard input makes
// them stand still ("still"), the next makes them go on ("going"); the end of it ends them.
//   maps_in_threads THREADS REGIONS SEED
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kPage = 4096 };

static atomic_int halted, ended;
static pthread_barrier_t gate;
static unsigned regions_each;

struct region {
  char* at;
  size_t bytes;
};
struct self {
  unsigned long long random_state;
  struct region* regions;
  void* block;
};

static unsigned below(struct self* s, unsigned n) {
  s->random_state = s->random_state * 6364136223846793005ull + 1442695040888963407ull;
  return (unsigned)(s->random_state >> 33) % n;
}

static void map_new(struct self* s, struct region* r) {
  const int kind = (int)below(s, 8);
  r->bytes = (1 + below(s, 16)) * (size_t)kPage;
  r->at =
      mmap(NULL, r->bytes, kind ? PROT_READ | PROT_WRITE : PROT_NONE,
           (kind == 1 ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | (kind == 2 ? MAP_NORESERVE : 0),
           -1, 0);
  if (r->at == MAP_FAILED) abort();
}
static void unmap_end(struct self* s, struct region* r) {
  const size_t left = below(s, (unsigned)(r->bytes / kPage)) * (size_t)kPage;
  munmap(r->at + left, r->bytes - left);
  r->bytes = left;
  if (!left) r->at = NULL;
}
// As allocators do: write permission is gained, and lost by a new mapping.
static void protect(struct self* s, struct region* r) {
  if (below(s, 2)) mprotect(r->at, r->bytes, PROT_READ | PROT_WRITE);
  else mmap(r->at, r->bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}
static void resize(struct self* s, struct region* r) {
  const size_t bytes = (1 + below(s, 24)) * (size_t)kPage;
  void* at = mremap(r->at, r->bytes, bytes, MREMAP_MAYMOVE);
  if (at == MAP_FAILED) return;
  r->at = at, r->bytes = bytes;
}

static void one_step(struct self* s) {
  struct region* r = &s->regions[below(s, regions_each)];
  if (!r->at) return map_new(s, r);
  switch (below(s, 12)) {
    case 0: return resize(s, r);
    case 1:
    case 2: return protect(s, r);
    case 3: madvise(r->at, r->bytes, below(s, 2) ? MADV_DONTFORK : MADV_DOFORK); return;
    case 4:
      free(s->block);
      s->block = malloc(below(s, 600000));
      return;
    default: return unmap_end(s, r);
  }
}

static void* change(void* argument) {
  struct self self = {(unsigned long long)(size_t)argument, NULL, NULL};
  self.regions = calloc(regions_each, sizeof *self.regions);
  for (unsigned i = 0; i < regions_each; ++i) map_new(&self, &self.regions[i]);
  pthread_barrier_wait(&gate);
  for (unsigned steps = 1; !atomic_load(&ended); ++steps) {
    if (steps % 16 == 0) usleep(2000);  // a log must hold all that is done while it is read
    if (atomic_load(&halted)) {
      pthread_barrier_wait(&gate);
      pthread_barrier_wait(&gate);
    }
    one_step(&self);
  }
  return NULL;
}

static void say(const char* word) {
  printf("%s\n", word);
  fflush(stdout);
}

int main(int argc, char** argv) {
  const unsigned threads = argc > 1 ? (unsigned)atoi(argv[1]) : 2;
  pthread_t ids[64];
  if (threads == 0 || threads > 64) return 2;
  regions_each = argc > 2 ? (unsigned)atoi(argv[2]) : 200;
  const size_t seed = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
  pthread_barrier_init(&gate, NULL, threads + 1);
  for (unsigned i = 0; i < threads; ++i)
    pthread_create(&ids[i], NULL, change, (void*)(seed * 64 + i + 1));
  pthread_barrier_wait(&gate);
  say("going");
  char byte;
  while (read(0, &byte, 1) == 1) {
    atomic_store(&halted, 1);
    pthread_barrier_wait(&gate);
    say("still");
    if (read(0, &byte, 1) != 1) byte = 0;
    atomic_store(&halted, 0);
    pthread_barrier_wait(&gate);
    say("going");
  }
  atomic_store(&ended, 1);
  for (unsigned i = 0; i < threads; ++i) pthread_join(ids[i], NULL);
  say("all right");
  return 0;
}
