// SPDX-License-Identifier: MIT
// holds THREADS ROUNDS: threads that map, unmap, protect, grow and move memory from functions with
// names, and keep count page by page of whose memory is still there. Prints "NAME kB" for each,
// then kills itself.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { kSlots = 32, kPages = 40 };
enum { kNobody, kMaps, kCommits, kGrows };
static const char* const names[] = {"nobody", "maps_memory", "commits_memory", "grows_memory"};

struct slot {
  char* start;
  long pages;
  char owner[2 * kPages];  // of each page
};
struct worker {
  unsigned random;
  int rounds;
  struct slot slots[kSlots];
};

static long below(struct worker* w, long n) { return rand_r(&w->random) % n; }

static size_t bytes(long pages) { return (size_t)pages * 4096; }

static void must(int good) {
  if (!good) perror("holds"), _Exit(2);
}

__attribute__((noinline)) void maps_memory(struct slot* s, long pages, int prot) {
  s->start = mmap(NULL, bytes(pages), prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  must(s->start != MAP_FAILED);
  s->pages = pages;
  for (long i = 0; i < pages; ++i) s->owner[i] = prot & PROT_WRITE ? kMaps : kNobody;
}

__attribute__((noinline)) void commits_memory(struct slot* s, long from, long pages) {
  must(mprotect(s->start + from * 4096, bytes(pages), PROT_READ | PROT_WRITE) == 0);
  for (long i = from; i < from + pages; ++i)
    if (s->owner[i] == kNobody) s->owner[i] = kCommits;
}

__attribute__((noinline)) void grows_memory(struct slot* s, long pages) {
  s->start = mremap(s->start, bytes(s->pages), bytes(pages), MREMAP_MAYMOVE);
  must(s->start != MAP_FAILED);
  for (long i = s->pages; i < pages; ++i) s->owner[i] = kGrows;
  s->pages = pages;
}

static void gives_back(struct slot* s, long pages) {  // from the end
  must(munmap(s->start + (s->pages - pages) * 4096, bytes(pages)) == 0);
  s->pages -= pages;
}

static void step(struct worker* w) {
  struct slot* s = &w->slots[below(w, kSlots)];
  if (s->pages == 0) {
    maps_memory(s, 1 + below(w, kPages), below(w, 3) ? PROT_READ | PROT_WRITE : PROT_NONE);
    return;
  }
  const long from = below(w, s->pages);
  if (below(w, 3) == 0) {
    commits_memory(s, from, s->pages - from);
  } else if (below(w, 3) == 0 && s->pages < kPages) {
    commits_memory(s, 0, s->pages);  // one mapping, which mremap wants
    grows_memory(s, s->pages + 1 + below(w, kPages));
  } else {
    gives_back(s, 1 + below(w, s->pages));
  }
}

static void* work(void* arg) {
  struct worker* w = arg;
  for (int i = 0; i < w->rounds; ++i) step(w);
  return NULL;
}

int main(int argc, char** argv) {
  const int threads = argc > 1 ? atoi(argv[1]) : 1, rounds = argc > 2 ? atoi(argv[2]) : 1000;
  struct worker* workers = calloc((size_t)threads, sizeof *workers);
  pthread_t* ids = calloc((size_t)threads, sizeof *ids);
  long kb[4] = {0};
  for (int i = 0; i < threads; ++i) {
    workers[i].random = 17u + (unsigned)i, workers[i].rounds = rounds;
    must(pthread_create(&ids[i], NULL, work, &workers[i]) == 0);
  }
  for (int i = 0; i < threads; ++i) pthread_join(ids[i], NULL);
  for (int i = 0; i < threads; ++i)
    for (int n = 0; n < kSlots; ++n)
      for (long page = 0; page < workers[i].slots[n].pages; ++page)
        kb[(int)workers[i].slots[n].owner[page]] += 4;
  for (int i = kMaps; i <= kGrows; ++i) printf("%s %ld\n", names[i], kb[i]);
  fflush(stdout);
  raise(SIGKILL);
}
