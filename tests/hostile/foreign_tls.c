// SPDX-License-Identifier: MIT
// Children and threads whose thread pointer the program has set itself: each kind of clone that can
// have one, each kind of block, each of libc's functions that needs none. Prints one line a
// combination; under the shim they must be the same.
//   foreign_tls list            how many combinations there are, and how many of the next kind
//   foreign_tls exported N      one with whatever the shim exports (calls.def), called with zeros
//   foreign_tls N               one of them: how the child ended, and what it found in its block
//   afterwards foreign_tls runtime         a runtime with a thread pointer of its own (arch_prctl),
//   from its start to its end
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kPage = 4096, kBlock = 16 * kPage };

static char* mapped;      // for the calls that want something mapped
static void* huge_block;  // of malloc, by a mapping of its own
static char* const no_words[] = {NULL};

#define CALL(name, code) \
  static int call_##name(void) { return code; }
CALL(getpid, getpid() > 0)
CALL(mmap, munmap(mmap(NULL, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), kPage) == 0)
CALL(mprotect, mprotect(mapped, kPage, PROT_READ) == 0)
CALL(madvise, madvise(mapped, kPage, MADV_DONTNEED) == 0)
CALL(mremap, mremap(mapped + 2 * kPage, kPage, kPage, 0) != MAP_FAILED)
CALL(mlock, mlock(mapped, kPage) == 0 && munlock(mapped, kPage) == 0)
CALL(sbrk, sbrk(0) != (void*)-1)
CALL(free_null, (free(NULL), 1))
CALL(free_mapped, (free(huge_block), 1))
CALL(setrlimit, ({
       struct rlimit l;
       prlimit(0, RLIMIT_CORE, NULL, &l) == 0;
     }))
CALL(vfork, ({
       pid_t p = vfork();
       if (p == 0) _exit(3);
       p > 0;
     }))
CALL(syscall_mmap,
     syscall(SYS_munmap,
             syscall(SYS_mmap, NULL, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
             kPage) == 0)
CALL(syscall_fork, ({
       long p = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
       if (p == 0) syscall(SYS_exit, 4);
       p > 0;
     }))
CALL(wait, wait4(-1, NULL, WNOHANG, NULL) == -1)
CALL(failed_mmap, mmap((void*)1, kPage, PROT_READ, MAP_FIXED, -1, 0) == MAP_FAILED)
CALL(execve, execve("/nowhere", no_words, no_words) == -1)
CALL(execve_true, execve("/bin/true", no_words, no_words) == -1)
CALL(memfd, close(memfd_create("x", 0)) == 0)
CALL(shm, shmget(IPC_PRIVATE, 0, 0) == -1)
CALL(malloc, malloc(100) != NULL)
CALL(calloc_big, calloc(1, 1 << 20) != NULL)
CALL(realloc, realloc(NULL, 100) != NULL)

#define ROW(name) \
  { #name, call_##name }
static const struct {
  const char* name;
  int (*call)(void);
} calls[] = {ROW(getpid),       ROW(mmap),      ROW(mprotect),    ROW(madvise),
             ROW(mremap),       ROW(mlock),     ROW(sbrk),        ROW(free_null),
             ROW(free_mapped),  ROW(setrlimit), ROW(vfork),       ROW(syscall_mmap),
             ROW(syscall_fork), ROW(wait),      ROW(failed_mmap), ROW(execve),
             ROW(execve_true),  ROW(memfd),     ROW(shm),         ROW(malloc),
             ROW(calloc_big),   ROW(realloc)};

// All that the shim exports, by its own table. Absent where libc has no such function.
#define WEAK(symbol) extern char here_##symbol[] __asm__(#symbol) __attribute__((weak));
#define MEMORY(symbol, op, type, parameters, arguments, failure) EXPORTED(symbol)
#define PLAIN(symbol, op, type, parameters, arguments, failure) EXPORTED(symbol)
#define OTHER(symbol, op, type, parameters) EXPORTED(symbol)
#define ALIAS(symbol, of) EXPORTED(symbol)
#define EXPORTED WEAK
#include "../../shim/providers/calls.def"
#undef EXPORTED
#define EXPORTED(symbol) {#symbol, here_##symbol},
static const struct {
  const char* name;
  char* at;
} exported[] = {
#include "../../shim/providers/calls.def"
};
typedef long Exported(long, long, long, long, long, long);

// vfork's child would come back into a frame that its parent returns from; CALL(vfork) tries it.
static int call_exported(int i) {
  if (strstr(exported[i].name, "vfork") || !exported[i].at) return 7;
  const long result = ((Exported*)(void*)exported[i].at)(0, 0, 0, 0, 0, 0);
  if (strcmp(exported[i].name, "free") == 0) return 9;  // gives no result
  return result == 0 ? 9 : (int)result == -1 ? 10 : 11;
}

static const struct {
  const char* name;
  unsigned long flags;
} kinds[] = {
    {"vfork", CLONE_VM | CLONE_VFORK | CLONE_SETTLS | SIGCHLD},
    {"thread", CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_SETTLS | SIGCHLD},
    {"files", CLONE_VM | CLONE_FILES | CLONE_VFORK | CLONE_SETTLS | SIGCHLD},
    {"fork", CLONE_SETTLS | SIGCHLD},
};

// Where the thread pointer points to: zeros or garbage on both sides, nothing mapped below, or
// nothing at all.
enum Block { kZero, kGarbage, kCliff, kNull, kBlocks };
static const char* const block_names[] = {"zero", "garbage", "cliff", "null"};

enum {
  kCalls = sizeof calls / sizeof *calls,
  kKinds = sizeof kinds / sizeof *kinds,
  kAll = kCalls * kKinds * kBlocks,
  kExported = sizeof exported / sizeof *exported,
  kAllExported = kExported * kKinds * 2  // blocks of zeros and of garbage
};

static char* block_of(enum Block block) {
  if (block == kNull) return NULL;
  char* at = mmap(NULL, 2 * kBlock, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == kGarbage) memset(at, 0xa5, 2 * kBlock);
  if (block == kCliff) mprotect(at, kBlock, PROT_NONE);
  memset(at + kBlock, 0, kBlock);
  return at + kBlock;
}

// Above kCalls: one of those exported.
static int child(void* which) {
  const int i = (int)(intptr_t)which;
  if (i >= kCalls) _exit(call_exported(i - kCalls));
  _exit(calls[i].call() ? 7 : 8);
}

// What stands just below the block, where a thread-local variable would be: the child must not have
// written there. (libc's own malloc does: it may.)
static unsigned long sum_below(const char* block, enum Block kind, int allocates) {
  unsigned long sum = 0;
  if (allocates) return 0;
  if (kind == kZero || kind == kGarbage)
    for (int i = 1; i <= 64; ++i) sum += (unsigned char)block[-i] * (unsigned)i;
  return sum;
}

static int one(int call, int kind, enum Block block) {
  const char* name = call < kCalls ? calls[call].name : exported[call - kCalls].name;
  mapped = mmap(NULL, 4 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  huge_block = malloc(1 << 20);
  char* stack =
      mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  char* tls = block_of(block);
  // what libc itself may do there is not looked at
  const int allocates = call >= kCalls || strstr(name, "alloc") != NULL;
  const unsigned long before = sum_below(tls, block, allocates);
  const pid_t pid = clone(child, stack + (1 << 20), (int)kinds[kind].flags, (void*)(intptr_t)call,
                          NULL, tls, NULL);
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return perror("clone"), 2;
  printf("%s %s %s: ", kinds[kind].name, block_names[block], name);
  if (WIFSIGNALED(status)) return puts(strsignal(WTERMSIG(status))), 0;
  printf("%d, below the block %s\n", WEXITSTATUS(status),
         sum_below(tls, block, allocates) == before ? "as before" : "changed");
  return 0;
}

// Its own block of zeros, and in the end libc's again.
static int runtime(void) {
  unsigned long libcs = 0;
  char* own = block_of(kGarbage);
  mapped = mmap(NULL, 4 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  syscall(SYS_arch_prctl, ARCH_GET_FS, &libcs);
  const unsigned long before = sum_below(own, kGarbage, 0);
  int good = 0;
  syscall(SYS_arch_prctl, ARCH_SET_FS, own);
  good += call_getpid() + call_mmap() + call_mprotect() + call_madvise() + call_sbrk() +
          call_free_null() + call_memfd() + call_syscall_mmap();
  syscall(SYS_arch_prctl, ARCH_SET_FS, libcs);
  printf("%d calls of 8 went well, below the block %s\n", good,
         sum_below(own, kGarbage, 0) == before ? "as before" : "changed");
  void* volatile block = malloc(100);  // and recorded again
  free(block);
  return fflush(stdout);
}

// LD_BIND_NOW wants to be set: the loader needs a thread pointer of libc's to look a function up
// later.
int main(int count, char** words) {
  if (count > 1 && strcmp(words[1], "runtime") == 0) return runtime();
  if (count > 2) {
    const int n = atoi(words[2]);
    return one(kCalls + n % kExported, n / kExported % kKinds,
               (enum Block)(n / kExported / kKinds));
  }
  if (count > 1 && strcmp(words[1], "list") != 0) {
    const int n = atoi(words[1]);
    return one(n % kCalls, n / kCalls % kKinds, (enum Block)(n / kCalls / kKinds));
  }
  printf("%d %d\n", kAll, kAllExported);
  return 0;
}
