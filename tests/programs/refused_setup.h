// SPDX-License-Identifier: MIT
// The steps of tests/programs/refused.c that make a situation, as a table at the end. A step that
// does not succeed ends the program: the case is defect. What has to leave no record in a preloaded
// library goes through direct(), which it does not see.
#pragma once
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/programs/refused_measure.h"

enum { kPage = 4096 };
long direct_call(long nr, ...);
#if defined(__x86_64__)
__asm__(
    "direct_call: mov %rdi, %rax\n mov %rsi, %rdi\n mov %rdx, %rsi\n mov %rcx, %rdx\n mov %r8, "
    "%r10\n mov %r9, %r8\n"
    "mov 8(%rsp), %r9\n syscall\n ret\n");
#else
__asm__(
    "direct_call: mov x8, x0\n mov x0, x1\n mov x1, x2\n mov x2, x3\n mov x3, x4\n mov x4, x5\n "
    "mov x5, x6\n svc 0\n ret\n");
#endif
static long result_of(long got) {
  if (got < -4095 || got >= 0) return got;
  errno = (int)-got;
  return -1;
}
#define direct(...) result_of(direct_call(__VA_ARGS__))

// What the calls work on.
static char* target;
static size_t target_bytes;

static void split(char* text, char* words[4]) {
  char* rest = NULL;
  char* word = strtok_r(text, ":", &rest);
  for (int n = 0; n < 4; n++, word = word ? strtok_r(NULL, ":", &rest) : NULL) words[n] = word;
}

static int temporary_file(size_t bytes) {
  const int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, (off_t)bytes)) defect("temporary file");
  return fd;
}

// ---- memory ----

struct kind {
  const char* name;
  int prot, flags, advice;
};
static const struct kind kKinds[] = {
    {"anon", PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, 0},
    {"noreserve", PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, 0},
    {"none", PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, 0},
    {"ro", PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, 0},
    {"shared", PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, 0},
    {"file", PROT_READ | PROT_WRITE, MAP_PRIVATE, 0},
    {"rofile", PROT_READ, MAP_PRIVATE, 0},
    {"sharedfile", PROT_READ | PROT_WRITE, MAP_SHARED, 0},
    {"dontfork", PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, MADV_DONTFORK},
    {"wipe", PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, MADV_WIPEONFORK},
    {"locked", PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, 0},
};
static const struct kind* kind_named(const char* name) {
  for (size_t i = 0; i < sizeof kKinds / sizeof *kKinds; i++)
    if (strcmp(kKinds[i].name, name) == 0) return &kKinds[i];
  defect(name);
}

static char* map_kind_at(void* where, const struct kind* kind, size_t bytes) {
  const int fd = kind->flags & MAP_ANONYMOUS ? -1 : temporary_file(bytes);
  char* at = mmap(where, bytes, kind->prot, kind->flags | (where ? MAP_FIXED : 0), fd, 0);
  if (at == MAP_FAILED || (kind->advice && madvise(at, bytes, kind->advice))) defect(kind->name);
  if (fd >= 0) close(fd);
  return at;
}

static char* map_kind(const struct kind* kind, size_t bytes) {
  return map_kind_at(NULL, kind, bytes);
}

// A page that nothing merges with.
static void wall_at(void* at) {
  const int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  if (direct(SYS_mmap, at, kPage, PROT_READ, flags, -1, 0) == -1 && errno != EEXIST) defect("wall");
}

// map:KIND:SIZE[:COUNT]: COUNT mappings of SIZE in all, kept apart
static void step_map(char** words) {
  const int64_t count = words[2] ? atoll(words[2]) : 1;
  const size_t bytes = (size_t)(amount_kb(words[1]) / count / 4 * 4) * 1024;
  for (int64_t i = 0; i < count; i++) {
    map_kind(kind_named(words[0]), bytes);
    if (count > 1 && mmap(NULL, kPage, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
      defect("map");
  }
}

// gap:SIZE before target, ungap after it: free room behind the target
static char* gap;
static size_t gap_bytes;
static void step_gap(char** words) {
  gap_bytes = (size_t)amount_kb(words[0]) * 1024;
  gap = map_kind(kind_named("none"), gap_bytes);
}
static void step_ungap(char** words) {
  (void)words;
  if (munmap(gap + target_bytes, gap_bytes - target_bytes)) defect("ungap");
}

// target:KIND:SIZE: what the call is to change
static void step_target(char** words) {
  target_bytes = (size_t)amount_kb(words[1]) * 1024;
  target = map_kind_at(gap, kind_named(words[0]), target_bytes);
}

static void step_block(char** words) {  // what realloc is to change
  target_bytes = (size_t)amount_kb(words[0]) * 1024;
  target = malloc(target_bytes);
  if (!target) defect("malloc");
}

static void step_wall(char** words) {
  (void)words;
  wall_at(target + target_bytes);
}

static void step_hole(char** words) {  // the end of the target is not mapped
  const size_t bytes = (size_t)amount_kb(words[0]) * 1024;
  if (munmap(target + target_bytes - bytes, bytes)) defect("hole");
}

static void step_ceiling(char** words) {
  char* const top = sbrk(0);
  wall_at((char*)(((uintptr_t)top + kPage - 1) & ~(uintptr_t)(kPage - 1)) +
          amount_kb(words[0]) * 1024);
}

static void step_heap(char** words) {
  if (sbrk((intptr_t)amount_kb(words[0]) * 1024) == (void*)-1) defect("sbrk");
}

static void step_malloc(char** words) {
  const int64_t count = words[1] ? atoll(words[1]) : 1;
  const size_t bytes = (size_t)(amount_kb(words[0]) / count) * 1024;
  for (int64_t i = 0; i < count; i++) {
    char* block = malloc(bytes);
    if (!block) defect("malloc");
    *block = 1;
  }
}

// many:N: as many mappings as vm.max_map_count and N (N may be negative)
static void step_many(char** words) {
  const int64_t wanted = number_in("/proc/sys/vm/max_map_count") + atoll(words[0]);
  const int64_t pairs = (wanted - mappings() - 2) / 2;
  char* area = mmap(NULL, (size_t)(2 * pairs + 1) * kPage, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (area == MAP_FAILED) defect("many");
  for (int64_t i = 0; i < pairs; i++)
    if (direct(SYS_mprotect, area + (2 * i + 1) * kPage, kPage, PROT_READ)) defect("many");
  for (int64_t missing = wanted - mappings(); missing > 0; missing--)
    if (mmap(NULL, kPage, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
      defect("many");
  if (mappings() != wanted) defect("many: wrong count");
}

static void step_lockfuture(char** words) {
  (void)words;
  if (mlockall(MCL_FUTURE | MCL_ONFAULT)) defect("mlockall");
}

static void step_lockall(char** words) {
  (void)words;
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) defect("mlockall");
}

// ---- limits and privileges ----

// limit:NAME:AMOUNT (nproc: a number)
static void step_limit(char** words) {
  const struct {
    const char* name;
    int resource;
  } names[] = {{"as", RLIMIT_AS},
               {"data", RLIMIT_DATA},
               {"memlock", RLIMIT_MEMLOCK},
               {"stack", RLIMIT_STACK},
               {"nproc", RLIMIT_NPROC}};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(names[i].name, words[0]) != 0) continue;
    const bool plain = names[i].resource == RLIMIT_NPROC;
    struct rlimit limit;
    getrlimit(names[i].resource, &limit);
    limit.rlim_cur = plain ? strtoull(words[1], NULL, 10) : (rlim_t)amount_kb(words[1]) * 1024;
    if (setrlimit(names[i].resource, &limit)) defect("setrlimit");
    return;
  }
  defect(words[0]);
}

static void step_uid(char** words) {
  const uid_t uid = (uid_t)atoi(words[0]);
  if (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
    defect("setresuid");
}

static void step_nocaps(char** words) {  // root without its capabilities
  (void)words;
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
  if (direct(SYS_capset, &header, none)) defect("capset");
}

static void step_userns(char** words) {
  (void)words;
  if (unshare(CLONE_NEWUSER)) defect("unshare");
}

// mode:N, only where the driver holds the lock on the machine's setting
static void step_mode(char** words) {
  if (!getenv("OVC_OVERCOMMIT_HELD")) defect("mode: not inside overcommit.sh");
  const int fd = open("/proc/sys/vm/overcommit_memory", O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, words[0], 1) != 1) defect("mode");
  close(fd);
}

// write:PATH:VALUE
static void step_write(char** words) {
  const int fd = open(words[0], O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, words[1], strlen(words[1])) < 0) defect(words[0]);
  close(fd);
}

static void step_join(char** words) {  // cgroup directory
  char pid[32], path[512];
  snprintf(path, sizeof path, "%s/cgroup.procs", words[0]);
  snprintf(pid, sizeof pid, "%d", (int)getpid());
  char* args[] = {path, pid};
  step_write(args);
}

// ---- tasks ----

// A child that nobody records; it ends with its parent. -1: refused.
static pid_t quiet_fork(void) {
  const pid_t parent = getpid(), child = (pid_t)direct(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (child == 0) {
    direct(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (direct(SYS_getppid) != parent) direct(SYS_exit_group, 0);
  }
  return child;
}

static void step_tasks(char** words) {
  for (long n = atol(words[0]); n > 0; n--) {
    const pid_t child = quiet_fork();
    if (child < 0) defect("tasks");
    if (child == 0)
      for (;;) direct(SYS_ppoll, NULL, 0, NULL, NULL, 0);
  }
}

static void* sleep_for_ever(void* arg) {
  for (;;) pause();
  return arg;
}
static void step_threads(char** words) {
  pthread_t thread;
  for (long n = atol(words[0]); n > 0; n--)
    if (pthread_create(&thread, NULL, sleep_for_ever, NULL)) defect("pthread_create");
}

_Noreturn static void end_like(pid_t child) {
  int status = 0;
  if (waitpid(child, &status, 0) != child) defect("waitpid");
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
}

static void step_child(char** words) {  // go on in a child
  (void)words;
  const pid_t child = fork();
  if (child < 0) defect("fork");
  if (child) end_like(child);
}

static void step_newpidns(char** words) {
  (void)words;
  if (unshare(CLONE_NEWPID)) defect("unshare");
}

static void step_deadinit(char** words) {  // the new pid namespace has lost its first process
  step_newpidns(words);
  const pid_t child = fork();
  if (child < 0) defect("fork");
  if (child == 0) _exit(0);
  if (waitpid(child, NULL, 0) != child) defect("waitpid");
}

// crowd: as many children as the kernel makes
static void step_crowd(char** words) {
  (void)words;
  pid_t child;
  while ((child = quiet_fork()) > 0) {}
  if (child == 0) direct(SYS_exit_group, 0);  // its number stays taken: nobody waits for it
  if (errno != EAGAIN) defect("crowd");
}

// pidmax:N: go on as the first process of a pid namespace with this many numbers, all in use. Since
// Linux 6.14.
static void step_pidmax(char** words) {
  step_newpidns(words);
  step_child(words);
  const int64_t before = number_in("/proc/sys/kernel/pid_max");
  char* args[] = {(char*)(uintptr_t) "/proc/sys/kernel/pid_max", words[0]};
  step_write(args);
  if (number_in("/proc/sys/kernel/pid_max") == before) defect("pid_max");
  step_crowd(words);
}

// A refusal by the pids controller that is somebody else's.
static void step_strangerefused(char** words) {
  (void)words;
  const pid_t child = quiet_fork();
  if (child == 0) {
    const long grandchild = direct(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    direct(SYS_exit_group, grandchild < 0 ? 0 : 1);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || status != 0) defect("strangerefused");
}

#include "tests/programs/refused_full_group.h"
#include "tests/programs/refused_places.h"

static const struct {
  const char* name;
  void (*make)(char** words);
} kSteps[] = {
    {"map", step_map},
    {"target", step_target},
    {"block", step_block},
    {"wall", step_wall},
    {"hole", step_hole},
    {"ceiling", step_ceiling},
    {"gap", step_gap},
    {"ungap", step_ungap},
    {"heap", step_heap},
    {"malloc", step_malloc},
    {"many", step_many},
    {"limit", step_limit},
    {"uid", step_uid},
    {"nocaps", step_nocaps},
    {"userns", step_userns},
    {"mode", step_mode},
    {"write", step_write},
    {"join", step_join},
    {"fill", step_fill},
    {"tasks", step_tasks},
    {"threads", step_threads},
    {"child", step_child},
    {"newpidns", step_newpidns},
    {"deadinit", step_deadinit},
    {"crowd", step_crowd},
    {"pidmax", step_pidmax},
    {"lockfuture", step_lockfuture},
    {"lockall", step_lockall},
    {"strangerefused", step_strangerefused},
    {"fakemem", step_fakemem},
    {"nest", step_nest},
    {"shift", step_shift},
    {"label", step_label},
};
static void make_step(char* text) {
  char* words[4];
  split(text, words);
  for (size_t i = 0; i < sizeof kSteps / sizeof *kSteps; i++)
    if (strcmp(kSteps[i].name, words[0]) == 0) {
      kSteps[i].make(words + 1);
      return;
    }
  defect(words[0]);
}
