// SPDX-License-Identifier: MIT
//
// Changes its address space at random and, after each step, writes the kernel's view of it to a
// file that the shim does not see: random_mappings SEED STEPS FILE.
// tests/unit/replay/ledger_property_test.cc replays the log and compares. Every fourth seed is
// wild: memory loses its write permission at random. Whether it keeps its charge then depends on
// writes that no call tells of. The others do as allocators and thread stacks do: memory gains the
// permission, or loses it by a new mapping. A step ends with munmap of a page that is never mapped:
// a mark in the log. Its number is (address - kMarks) / page.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kPage = 4096, kRegions = 48, kBlocks = 64, kMarks = 0x100000 };

static unsigned long long random_state;
static int wild;
static unsigned below(unsigned n) {
  random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
  return (unsigned)(random_state >> 33) % n;
}

static struct {
  char* at;
  size_t bytes;
} regions[kRegions];
static void* blocks[kBlocks];
static int memory_file = -1;
static char smaps[1 << 20];

static int pick(void) {  // a region, or -1
  for (int tries = 0; tries < 8; ++tries) {
    const unsigned i = below(kRegions);
    if (regions[i].at) return (int)i;
  }
  return -1;
}
static int free_place(void) {
  for (int i = 0; i < kRegions; ++i)
    if (!regions[i].at) return i;
  return -1;
}
static int random_prot(void) {
  static const int kProts[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE,
                               PROT_READ | PROT_EXEC};
  return kProts[below(5)];
}
static size_t random_bytes(void) { return (1 + below(24)) * kPage - (below(4) ? 0 : below(kPage)); }

static void map_new(void) {
  const int i = free_place();
  if (i < 0) return;
  static const int kFlags[] = {0, 0, 0, MAP_NORESERVE, MAP_STACK, MAP_POPULATE, MAP_GROWSDOWN};
  const int shared = below(6) == 0, file = below(5) == 0;
  const int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | (file ? 0 : MAP_ANONYMOUS) |
                    (shared ? 0 : kFlags[below(file ? 4 : 6)]);
  const size_t bytes = random_bytes();
  void* at = mmap(NULL, bytes, random_prot(), flags, file ? memory_file : -1,
                  file ? (off_t)below(16) * kPage : 0);
  if (at == MAP_FAILED) return;
  regions[i].at = at, regions[i].bytes = (bytes + kPage - 1) / kPage * kPage;
}
static void part_of(int i, char** at, size_t* bytes) {
  const unsigned pages = (unsigned)(regions[i].bytes / kPage), first = below(pages);
  *at = regions[i].at + (size_t)first * kPage;
  *bytes = (1 + below(pages - first)) * (size_t)kPage;
}
static void map_fixed(void) {
  const int i = pick();
  if (i < 0) return;
  char* at;
  size_t bytes;
  part_of(i, &at, &bytes);
  mmap(at, bytes, random_prot(),
       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | (below(4) ? 0 : MAP_NORESERVE), -1, 0);
}
static void unmap(void) {
  const int i = pick();
  if (i < 0) return;
  char* at = regions[i].at;
  size_t bytes = regions[i].bytes;
  if (below(2)) {
    part_of(i, &at, &bytes);
    munmap(at, bytes);  // a hole stays in the region: later calls may fail, which is wanted
    if (at == regions[i].at && bytes == regions[i].bytes) regions[i].at = NULL;
    return;
  }
  munmap(at, bytes);
  regions[i].at = NULL;
}
static void protect(void) {
  const int i = pick();
  if (i < 0) return;
  char* at = regions[i].at;
  size_t bytes = regions[i].bytes;
  if (below(2)) part_of(i, &at, &bytes);
  mprotect(at, bytes, wild ? random_prot() : PROT_READ | PROT_WRITE);
}
static void remap(void) {
  const int i = pick();
  if (i < 0) return;
  const size_t bytes = (1 + below(32)) * (size_t)kPage;
  const int keep = below(8) == 0;
  void* at = keep ? mremap(regions[i].at, regions[i].bytes, regions[i].bytes,
                           MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL)
                  : mremap(regions[i].at, regions[i].bytes, bytes, below(4) ? MREMAP_MAYMOVE : 0);
  if (at == MAP_FAILED || keep) {
    if (keep && at != MAP_FAILED) munmap(regions[i].at, regions[i].bytes), regions[i].at = at;
    return;
  }
  regions[i].at = at, regions[i].bytes = bytes;
}
static void advise(void) {
  static const int kAdvice[] = {MADV_DONTFORK, MADV_DOFORK,  MADV_WIPEONFORK, MADV_KEEPONFORK,
                                MADV_DONTNEED, MADV_FREE,    MADV_NOHUGEPAGE, MADV_SEQUENTIAL,
                                MADV_NORMAL,   MADV_DONTDUMP};
  const int i = pick();
  if (i < 0) return;
  char* at;
  size_t bytes;
  part_of(i, &at, &bytes);
  madvise(at, bytes, kAdvice[below(10)]);
}
// Writes where that is allowed: the kernel is asked, so that no signal comes.
static void touch(void) {
  const int i = pick();
  if (i < 0) return;
  int ends[2];
  if (pipe(ends) != 0) return;
  for (size_t at = 0; at < regions[i].bytes; at += kPage)
    if (below(2) && write(ends[1], "x", 1) == 1 && read(ends[0], regions[i].at + at, 1) != 1) {
      char byte;
      if (read(ends[0], &byte, 1) != 1) break;
    }
  close(ends[0]), close(ends[1]);
}
static void move_break(void) {
  const int pages = (int)below(64) - 20;
  if (pages > 0) sbrk((intptr_t)(pages * kPage) + (below(2) ? 0 : 100));
}
static void allocate(void) {
  for (unsigned n = below(12); n > 0; --n) {
    const unsigned i = below(kBlocks);
    free(blocks[i]);
    const size_t bytes = below(5) == 0 ? below(1 << 21) : below(1 << 15);
    blocks[i] = below(3) == 0 ? NULL : malloc(bytes);
    if (blocks[i] && below(2)) memset(blocks[i], 1, bytes);
  }
}
static void* thread_work(void* unused) {
  void* block = malloc(300000);
  void* small = malloc(5000);
  for (int i = 0; i < 4; ++i) {
    void* at = mmap(NULL, 5 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at != MAP_FAILED) munmap(at, 5 * kPage);
  }
  free(small), free(block);
  return unused;
}
static void run_threads(void) {
  pthread_t threads[3];
  const unsigned n = 1 + below(3);
  unsigned started = 0;
  while (started < n && pthread_create(&threads[started], NULL, thread_work, NULL) == 0) ++started;
  while (started > 0) pthread_join(threads[--started], NULL);
}
// Code that the shim has never seen makes a call: the shim reads the list of modules and mappings
// anew.
static void load_library(void) {
  void* library = dlopen("libz.so.1", RTLD_NOW);
  int (*begin)(void*, int, int, int, int, int, const char*, int) = NULL;
  void* symbol = library ? dlsym(library, "deflateInit2_") : NULL;
  memcpy(&begin, &symbol, sizeof begin);
  static char stream[112];  // z_stream
  if (begin) begin(stream, 9, 8, 15, 9, 0, "1.2", sizeof stream);
}

static void step(unsigned i, unsigned loads_at) {
  static void (*const kSteps[])(void) = {map_new, map_new,  map_new,    map_fixed,  unmap,
                                         protect, protect,  remap,      advise,     touch,
                                         touch,   allocate, move_break, run_threads};
  if (i == loads_at) load_library();
  else kSteps[below(sizeof kSteps / sizeof kSteps[0])]();
}

// "STEP n PID" and then the lines of smaps that name a mapping or its flags.
static void dump(int to, unsigned n) {
  const int from = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/smaps", O_RDONLY | O_CLOEXEC);
  size_t have = 0;
  for (long got; have < sizeof smaps - 1 &&
                 (got = syscall(SYS_read, from, smaps + have, sizeof smaps - 1 - have)) > 0;)
    have += (size_t)got;
  syscall(SYS_close, from);
  static char out[1 << 18];
  size_t used = (size_t)snprintf(out, sizeof out, "STEP %u %d\n", n, (int)syscall(SYS_getpid));
  for (char* line = smaps; line < smaps + have;) {
    char* end = memchr(line, '\n', (size_t)(smaps + have - line));
    if (!end) break;
    const size_t bytes = (size_t)(end + 1 - line);
    const int wanted = (*line >= '0' && *line <= '9') || (*line >= 'a' && *line <= 'f') ||
                       strncmp(line, "VmFlags", 7) == 0;
    if (wanted && used + bytes < sizeof out) memcpy(out + used, line, bytes), used += bytes;
    line = end + 1;
  }
  if (syscall(SYS_write, to, out, used) != (long)used) syscall(SYS_exit_group, 3);
}

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  random_state = strtoull(argv[1], NULL, 0) * 977 + 1;
  wild = atoi(argv[1]) % 4 == 0;
  const unsigned steps = (unsigned)atoi(argv[2]);
  const int out = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  memory_file = memfd_create("random", MFD_CLOEXEC);
  if (out < 0 || memory_file < 0 || ftruncate(memory_file, 64 * kPage) != 0) return 2;
  const unsigned loads_at = below(2) ? below(steps) : steps,
                 forks_at = below(2) ? below(steps) : steps;
  pid_t child = -1;
  for (unsigned i = 0; i < steps; ++i) {
    if (i == forks_at) child = fork();
    if (child > 0) waitpid(child, NULL, 0), child = -1;
    step(i, loads_at);
    munmap((char*)kMarks + (size_t)i * kPage, kPage);
    dump(out, i);
  }
  return 0;
}
