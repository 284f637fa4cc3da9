// SPDX-License-Identifier: MIT
//
// Every way to ask for memory and to make a child, good and bad, a line for each: what came back,
// errno, alignment, usable size. The lines are the same under any shim that changes nothing. Also
// built by scripts for other libcs, allocators and sanitizers.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;
#ifdef SANITIZED
enum { kRounds = 1000 };
#else
enum { kRounds = 20000 };
#endif
static volatile size_t huge = SIZE_MAX - 4095;  // volatile: the compiler shall not know better

static void show(const char* name, void* block) {
  const int error = errno;
  printf("%-22s %s errno %d", name, block ? "block" : "null", error);
  if (block)
    printf(" aligned %d usable %zu", (int)((uintptr_t)block % 16 == 0), malloc_usable_size(block));
  putchar('\n');
}

static void show_and_free(const char* name, void* block) {
  show(name, block);
  errno = 4711;
  free(block);
  if (errno != 4711) printf("%-22s free: errno %d\n", name, errno);
}

// errno is read after the call: arguments of one printf have no order.
static void show_code(const char* name, long code) {
  printf("%-22s %ld errno %d\n", name, code, errno);
}

static void sizes(void) {
  static const size_t list[] = {0, 1, 8, 16, 17, 24, 100, 1000, 4096, 5000, 70000, 140000, 3 << 20};
  for (size_t i = 0; i < sizeof list / sizeof list[0]; ++i) {
    errno = 0;
    char* block = malloc(list[i]);
    if (block && list[i]) memset(block, 0x5a, list[i]);
    show_and_free("malloc", block);
    errno = 0;
    show_and_free("calloc", calloc(1, list[i]));
  }
}

static void reallocs(void) {
  errno = 0;
  char* block = realloc(NULL, 40);
  strcpy(block, "kept");
  for (size_t size = 40; size < 1 << 20; size *= 3) block = realloc(block, size);
  show("realloc grown", block);
  block = realloc(block, 10);
  printf("%-22s %s\n", "contents", block);
  block = reallocarray(block, 30, 30);
  show_and_free("reallocarray", block);
}

#ifndef SANITIZED  // sanitizers stop at these
static void refusals(void) {
  char* volatile block = malloc(10);  // refused requests leave it alone
  errno = 0;
  show("malloc too much", malloc(huge));
  errno = 0;
  show("calloc overflow", calloc(huge, 16));
  errno = 0;
  show("realloc too much", realloc(block, huge));
  errno = 0;
  show("reallocarray overflow", reallocarray(block, huge, 16));
  errno = 0;
  void* to = block;
  show_code("posix_memalign 24", posix_memalign(&to, 24, 100));
  show_code("posix_memalign huge", posix_memalign(&to, 64, huge));
  printf("%-22s %d\n", "kept", to == block);
  free(block);
}
#else
static void refusals(void) {}
#endif

static void alignments(void) {
  for (size_t alignment = 16; alignment <= 1 << 16; alignment *= 8) {
    void* block = NULL;
    errno = 0;
    const int code = posix_memalign(&block, alignment, 333);
    printf("%-22s %d aligned %d\n", "posix_memalign", code, (uintptr_t)block % alignment == 0);
    free(block);
    block = aligned_alloc(alignment, alignment * 2);
    printf("%-22s aligned %d\n", "aligned_alloc", (uintptr_t)block % alignment == 0);
    free(block);
    block = memalign(alignment, 77);
    printf("%-22s aligned %d\n", "memalign", (uintptr_t)block % alignment == 0);
    free(block);
  }
#ifdef __GLIBC__
  errno = 0;
  show_and_free("valloc", valloc(10));
  // Not freed: allocators that replace malloc but know no pvalloc leave it to libc, and cannot free
  // libc's block.
  printf("%-22s aligned %d\n", "pvalloc", (uintptr_t)pvalloc(10) % 4096 == 0);
#endif
}

// C23, in glibc since 2.43
static void sized_frees(void) {
  void (*free_sized)(void*, size_t) = NULL;
  void* found = dlsym(RTLD_DEFAULT, "free_sized");
  memcpy(&free_sized, &found, sizeof found);
  if (free_sized) free_sized(malloc(55), 55);
  printf("%-22s %s\n", "free_sized", free_sized ? "there" : "absent");
}

static void* churn(void* seed) {
  void* blocks[64] = {NULL};
  unsigned state = (unsigned)(uintptr_t)seed;
  for (int i = 0; i < kRounds; ++i) {
    state = state * 1664525 + 1013904223;
    void** block = &blocks[state >> 26];
    free(*block);
    *block = malloc(state >> 8 & 4095);
    if (*block) memset(*block, 1, state >> 8 & 4095);
  }
  for (int i = 0; i < 64; ++i) free(blocks[i]);
  return NULL;
}

static void ended(const char* name, pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) status = -1;
  printf("%-22s status %#x\n", name, (unsigned)status);
}

static void forks_among_threads(void) {
  pthread_t threads[3];
  for (uintptr_t i = 0; i < 3; ++i) pthread_create(&threads[i], NULL, churn, (void*)(i + 1));
#ifdef SANITIZED  // their allocators of 2022 take no care of forks among threads: children hang
                  // also without a shim
  for (int i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
#endif
  for (int i = 0; i < 5; ++i) {
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
      churn((void*)7);
      _exit(20 + i);
    }
    ended("fork among threads", pid);
  }
#ifndef SANITIZED
  for (int i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
#endif
}

static void starts_programs(void) {
  static char* argv[] = {(char*)"sh", (char*)"-c", (char*)"exit 9", NULL};
  fflush(stdout);
  const pid_t pid = vfork();
  if (pid == 0) {
    execve("/bin/sh", argv, environ);
    _exit(1);
  }
  ended("vfork", pid);
  pid_t spawned = 0;
  if (posix_spawn(&spawned, "/bin/sh", NULL, NULL, argv, environ) == 0)
    ended("posix_spawn", spawned);
  char line[32] = "";
  FILE* pipe = popen("echo through a pipe", "r");
  if (pipe && !fgets(line, sizeof line, pipe)) line[0] = 0;
  printf("%-22s %s", "popen", line);
  printf("%-22s %#x\n", "pclose", pipe ? (unsigned)pclose(pipe) : 1u);
}

static void mappings(void) {
  char* block = mmap(NULL, 200000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  printf("%-22s %d\n", "mmap", block != MAP_FAILED);
  errno = 0;
  show_code("mprotect misaligned", mprotect(block + 1, 4096, PROT_READ));
  block = mremap(block, 200000, 400000, MREMAP_MAYMOVE);
  show_code("munmap", munmap(block, 400000));
  show_code("mmap of nothing",
            mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
}

int main(void) {
  static void (*const cases[])(void) = {sizes,           reallocs,    refusals,
                                        alignments,      sized_frees, forks_among_threads,
                                        starts_programs, mappings};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) cases[i]();
  return 0;
}
