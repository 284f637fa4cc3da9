// SPDX-License-Identifier: MIT
// The calls that tests/programs/refused.c can end with, as a table at the end. Each is made once,
// through libc, and tells what it got and what it asked to be charged.
#pragma once
#include <linux/sched.h>
#include <malloc.h>
#include <pty.h>
#include <spawn.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <threads.h>

#include "tests/programs/refused_setup.h"

struct outcome {
  bool failed;
  int err;
  int64_t charge_kb;  // -1: nothing is charged, or it is not the point
};
static int64_t given_back_kb;  // by the kernel before it asked for the charge

static size_t bytes_of(const char* word) { return word ? (size_t)amount_kb(word) * 1024 : 0; }
static struct outcome from_pointer(const void* p, int64_t charge_kb) {
  return (struct outcome){p == MAP_FAILED || p == NULL, errno, charge_kb};
}
static struct outcome from_int(int result, int64_t charge_kb) {
  return (struct outcome){result == -1, errno, charge_kb};
}
static struct outcome from_code(int code, int64_t charge_kb) {
  return (struct outcome){code != 0, code, charge_kb};
}

// ---- mmap and its relatives; words: amount ----

static struct outcome map_as(const char* kind_name, int more_flags, const char* amount) {
  const struct kind* kind = kind_named(kind_name);
  const size_t bytes = bytes_of(amount);
  const int fd = kind->flags & MAP_ANONYMOUS ? -1 : temporary_file(kPage);
  return from_pointer(mmap(NULL, bytes, kind->prot, kind->flags | more_flags, fd, 0),
                      (int64_t)(bytes / 1024));
}
static struct outcome call_mmap(char** words) { return map_as("anon", 0, words[0]); }
static struct outcome call_mmap_none(char** words) { return map_as("none", 0, words[0]); }
static struct outcome call_mmap_ro(char** words) { return map_as("rofile", 0, words[0]); }
static struct outcome call_mmap_shared(char** words) { return map_as("shared", 0, words[0]); }
static struct outcome call_mmap_file(char** words) { return map_as("file", 0, words[0]); }
static struct outcome call_mmap_noreserve(char** words) { return map_as("noreserve", 0, words[0]); }
static struct outcome call_mmap_stack(char** words) { return map_as("anon", MAP_STACK, words[0]); }
static struct outcome call_mmap_locked(char** words) { return map_as("locked", 0, words[0]); }

// Over the second half of the target and on: limits count only what it adds. So does the charge
// since Linux 6.12; before, that half is given back first and the whole is asked for (mm/mmap.c
// mmap_region()), which is what a word of the machine's size then means.
static struct outcome call_mmap_over(char** words) {
  const bool whole = kernel_before(6, 12);
  const size_t half = target_bytes / 2, bytes = bytes_of(words[0]);
  const size_t len = whole && strncmp(words[0], "ram", 3) == 0 ? bytes : half + bytes;
  const void* got = mmap(target + half, len, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (whole) given_back_kb = (int64_t)(half / 1024);
  return from_pointer(got, (int64_t)((whole ? len : bytes) / 1024));
}

static struct outcome call_brk(char** words) {
  const size_t bytes = bytes_of(words[0]);
  return from_int(brk((char*)sbrk(0) + bytes), (int64_t)(bytes / 1024));
}
static struct outcome call_sbrk(char** words) {
  const size_t bytes = bytes_of(words[0]);
  return from_pointer(sbrk((intptr_t)bytes), (int64_t)(bytes / 1024));
}

static struct outcome grow(int flags, const char* amount) {
  const size_t bytes = bytes_of(amount);
  return from_pointer(mremap(target, target_bytes, target_bytes + bytes, flags),
                      (int64_t)(bytes / 1024));
}
static struct outcome call_mremap(char** words) { return grow(MREMAP_MAYMOVE, words[0]); }
static struct outcome call_mremap_stay(char** words) { return grow(0, words[0]); }
static struct outcome call_mremap_copy(char** words) {
  (void)words;
  const int flags = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;
  return from_pointer(mremap(target, target_bytes, target_bytes, flags, NULL),
                      (int64_t)(target_bytes / 1024));
}

static struct outcome call_mprotect(char** words) {
  (void)words;
  return from_int(mprotect(target, target_bytes, PROT_READ | PROT_WRITE),
                  (int64_t)(target_bytes / 1024));
}

// One page out of the middle of a target of three.
static struct outcome call_mprotect_split(char** words) {
  (void)words;
  return from_int(mprotect(target + kPage, kPage, PROT_READ), -1);
}
static struct outcome call_munmap_split(char** words) {
  (void)words;
  return from_int(munmap(target + kPage, kPage), -1);
}
static struct outcome call_madvise_split(char** words) {
  (void)words;
  return from_int(madvise(target + kPage, kPage, MADV_DONTFORK), -1);
}

// ---- allocations ----

static struct outcome call_malloc(char** words) {
  return from_pointer(malloc(bytes_of(words[0])), -1);
}
static struct outcome call_calloc(char** words) {
  return from_pointer(calloc(bytes_of(words[0]) / 16, 16), -1);
}
static struct outcome call_realloc(char** words) {
  return from_pointer(realloc(target, target_bytes + bytes_of(words[0])), -1);
}
static struct outcome call_reallocarray(char** words) {
  return from_pointer(reallocarray(target, (target_bytes + bytes_of(words[0])) / 16, 16), -1);
}
static struct outcome call_posix_memalign(char** words) {
  void* block = NULL;
  return from_code(posix_memalign(&block, 64, bytes_of(words[0])), -1);
}
static struct outcome call_aligned_alloc(char** words) {
  return from_pointer(aligned_alloc(64, bytes_of(words[0])), -1);
}
static struct outcome call_memalign(char** words) {
  return from_pointer(memalign(8192, bytes_of(words[0])), -1);
}
static struct outcome call_valloc(char** words) {
  return from_pointer(valloc(bytes_of(words[0])), -1);
}
// Small blocks until one is refused; malloc tries several ways for it.
static struct outcome call_malloc_small(char** words) {
  const size_t bytes = bytes_of(words[0]);
  void* block = malloc(bytes);
  while (block) block = malloc(bytes);
  return from_pointer(block, -1);
}

// ---- new tasks ----

static struct outcome forked(pid_t child) {
  if (child == 0) _exit(0);
  return from_int(child, -1);
}
static struct outcome charged_fork(pid_t (*function)(void)) {
  const int64_t charge_kb = fork_charge_kb();
  struct outcome outcome = forked(function());
  outcome.charge_kb = charge_kb;
  return outcome;
}
static struct outcome call_fork(char** words) {
  (void)words;
  return charged_fork(fork);
}
static struct outcome call_underscore_fork(char** words) {
  (void)words;
  return charged_fork(_Fork);
}
static pid_t forked_pty(void) {
  int terminal = -1;
  return forkpty(&terminal, NULL, NULL, NULL);
}
static struct outcome call_forkpty(char** words) {
  (void)words;
  return charged_fork(forked_pty);
}
// Through syscall(2), by its number.
static pid_t numbered_clone(void) {
  return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}
static pid_t numbered_clone3(void) {
  struct clone_args args = {.exit_signal = SIGCHLD};
  return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}
static struct outcome call_numbered_clone(char** words) {
  (void)words;
  return charged_fork(numbered_clone);
}
static struct outcome call_numbered_clone3(char** words) {
  (void)words;
  return charged_fork(numbered_clone3);
}
static struct outcome call_vfork(char** words) {
  (void)words;
  const pid_t child = vfork();
  if (child == 0) _exit(0);
  return from_int(child, -1);
}

static int leave_now(void* arg) {
  (void)arg;
  _exit(0);
}
static char clone_stack[65536] __attribute__((aligned(16)));
static struct outcome cloned(int flags) {
  const int64_t charge_kb = flags & CLONE_VM ? -1 : fork_charge_kb();
  return from_int(clone(leave_now, clone_stack + sizeof clone_stack, flags | SIGCHLD, NULL),
                  charge_kb);
}
static struct outcome call_clone(char** words) {
  (void)words;
  return cloned(0);
}
static struct outcome call_clone_vfork(char** words) {
  (void)words;
  return cloned(CLONE_VFORK);
}
static struct outcome call_clone_vm(char** words) {
  (void)words;
  return cloned(CLONE_VM | CLONE_VFORK);
}

static void* nothing(void* arg) { return arg; }
static struct outcome call_pthread_create(char** words) {  // words[0]: stack size
  pthread_t thread;
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  if (words[0] && pthread_attr_setstacksize(&attr, bytes_of(words[0]))) defect("stack size");
  return from_code(pthread_create(&thread, words[0] ? &attr : NULL, nothing, NULL), -1);
}

extern char** environ;
static char* const kTrue[] = {(char*)(uintptr_t) "true", NULL};
static struct outcome call_posix_spawn(char** words) {
  (void)words;
  pid_t child = 0;
  return from_code(posix_spawn(&child, "/bin/true", NULL, NULL, kTrue, environ), -1);
}
static struct outcome call_posix_spawnp(char** words) {
  (void)words;
  pid_t child = 0;
  return from_code(posix_spawnp(&child, "true", NULL, NULL, kTrue, environ), -1);
}

static struct outcome call_popen(char** words) {
  (void)words;
  FILE* stream = popen("exit 0", "r");
  return from_pointer(stream, -1);
}
static int c11_nothing(void* arg) { return arg != NULL; }
static struct outcome call_thrd_create(
    char** words) {  // its codes stand for errnos: nptl/thrd_priv.h
  (void)words;
  thrd_t thread;
  const int code = thrd_create(&thread, c11_nothing, NULL);
  return (struct outcome){code != thrd_success, code == thrd_nomem ? ENOMEM : EAGAIN, -1};
}

// ---- segments, locks; words: amount ----

static struct outcome call_shmget(char** words) {
  const size_t bytes = bytes_of(words[0]);
  const int id = shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600);
  const struct outcome outcome = from_int(id, (int64_t)(bytes / 1024));
  if (id >= 0) shmctl(id, IPC_RMID, NULL);
  return outcome;
}
static struct outcome call_numbered_mmap(char** words) {
  const size_t bytes = bytes_of(words[0]);
  const long got =
      syscall(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
  return (struct outcome){got == -1, errno, (int64_t)(bytes / 1024)};
}
static struct outcome call_mmap_huge(char** words) {
  const void* got = mmap(NULL, bytes_of(words[0]), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
  return from_pointer(got, -1);
}
static struct outcome call_mlock(char** words) {
  const size_t bytes = bytes_of(words[0]);
  void* at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) defect("mmap for mlock");
  return from_int(mlock(at, bytes), -1);
}
static struct outcome call_mlockall(char** words) {
  (void)words;
  return from_int(mlockall(MCL_CURRENT | MCL_ONFAULT), -1);
}

#include "tests/programs/refused_kinds.h"

static const struct {
  const char* name;
  struct outcome (*make)(char** words);
} kCalls[] = {
    {"mmap", call_mmap},
    {"mmap-none", call_mmap_none},
    {"mmap-ro", call_mmap_ro},
    {"mmap-shared", call_mmap_shared},
    {"mmap-file", call_mmap_file},
    {"mmap-noreserve", call_mmap_noreserve},
    {"mmap-stack", call_mmap_stack},
    {"mmap-locked", call_mmap_locked},
    {"mmap-over", call_mmap_over},
    {"brk", call_brk},
    {"sbrk", call_sbrk},
    {"mremap", call_mremap},
    {"mremap-stay", call_mremap_stay},
    {"mremap-copy", call_mremap_copy},
    {"mprotect", call_mprotect},
    {"mprotect-split", call_mprotect_split},
    {"munmap-split", call_munmap_split},
    {"madvise-split", call_madvise_split},
    {"malloc", call_malloc},
    {"malloc-small", call_malloc_small},
    {"calloc", call_calloc},
    {"realloc", call_realloc},
    {"reallocarray", call_reallocarray},
    {"posix_memalign", call_posix_memalign},
    {"aligned_alloc", call_aligned_alloc},
    {"memalign", call_memalign},
    {"valloc", call_valloc},
    {"fork", call_fork},
    {"_Fork", call_underscore_fork},
    {"vfork", call_vfork},
    {"clone", call_clone},
    {"clone-vfork", call_clone_vfork},
    {"clone-vm", call_clone_vm},
    {"pthread_create", call_pthread_create},
    {"posix_spawn", call_posix_spawn},
    {"posix_spawnp", call_posix_spawnp},
    {"forkpty", call_forkpty},
    {"clone-by-number", call_numbered_clone},
    {"clone3-by-number", call_numbered_clone3},
    {"popen", call_popen},
    {"thrd_create", call_thrd_create},
    {"shmget", call_shmget},
    {"mmap-by-number", call_numbered_mmap},
    {"mmap-huge", call_mmap_huge},
    {"mlock", call_mlock},
    {"mlockall", call_mlockall},
    {"unshare-none", call_unshare_none},
    {"unshare-full", call_unshare_full},
    {"clone-none", call_clone_none},
    {"execve-long", call_execve},
    {"execv-long", call_execv},
    {"execvp-long", call_execvp},
    {"execvpe-long", call_execvpe},
    {"fexecve-long", call_fexecve},
    {"execveat-long", call_execveat},
    {"posix_spawn-long", call_spawn_long},
    {"mmap-huge-private", call_mmap_huge_private},
    {"mmap-huge-shared", call_mmap_huge_shared},
    {"mmap-huge-memory", call_mmap_huge_memory},
    {"mmap-huge-memory-shared", call_mmap_huge_memory_shared},
    {"mmap-huge-on-mount", call_mmap_huge_on_mount},
    {"shmget-huge-new", call_shmget_huge},
    {"mmap-denied", call_mmap_denied},
    {"mprotect-denied", call_mprotect_denied},
    {"mmap-executable", call_mmap_executable},
    {"mprotect-executable", call_mprotect_executable},
    {"heap-executable", call_heap_executable},
    {"written-file-executable", call_written_file_executable},
    {"mlock-of", call_mlock_of},
    {"posix_fallocate-tmpfs", call_fallocate_tmpfs},
};

static struct outcome make_call(char** words) {
  for (size_t i = 0; i < sizeof kCalls / sizeof *kCalls; i++)
    if (strcmp(kCalls[i].name, words[0]) == 0) return kCalls[i].make(words + 1);
  return errno_call(words[0]);
}
