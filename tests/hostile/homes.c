// SPDX-License-Identifier: MIT
// Makes itself a hostile home, then allocates, maps, starts threads and forks there. `homes CASE`; prints a line for each thing that went
// as it should, and the errno of what did not. Cases that need root say so and end with 77 without it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char line[256];
static void say(const char* what, int good) {
  const int err = errno;
  const int n = snprintf(line, sizeof line, good ? "%s: ok\n" : "%s: errno %d\n", what, err);
  if (write(1, line, (size_t)n) != n) _exit(99);
}
static int allocates(void) {
  for (size_t size = 1; size < (size_t)1 << 20; size *= 3) {
    char* block = malloc(size);
    if (!block) return 0;
    memset(block, 1, size);
    free(block);
  }
  return 1;
}
static int maps(size_t bytes) {
  void* at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return at != MAP_FAILED && munmap(at, bytes) == 0;
}
static int forks(void) {
  int status = 0;
  const pid_t pid = fork();
  if (pid == 0) _exit(allocates() ? 7 : 1);
  return pid > 0 && waitpid(pid, &status, 0) == pid && status == 7 << 8;
}
static void* thread_main(void* arg) { return allocates() ? arg : NULL; }
static int threads(void) {
  pthread_t thread;
  void* got = NULL;
  errno = pthread_create(&thread, NULL, thread_main, line);
  return errno == 0 && pthread_join(thread, &got) == 0 && got == line;
}
static void try_all(void) {
  say("malloc", allocates());
  say("mmap", maps(100000));
  say("thread", threads());
  say("fork", forks());
}
static int limit(__rlimit_resource_t resource, rlim_t value) {
  const struct rlimit both = {value, value};
  return setrlimit(resource, &both) == 0;
}
static void need_root(void) {
  if (geteuid() != 0) exit(77);
}

static void closefrom_all(void) {
  closefrom(3);
  try_all();
  say("first free descriptor", open("/dev/null", O_RDONLY) == 3);
}
static void close_range_all(void) {
  close_range(3, ~0u, 0);
  try_all();
  say("first free descriptor", open("/dev/null", O_RDONLY) == 3);
}
static void close_one_by_one(void) {
  for (int fd = 3; fd < 4096; ++fd) close(fd);
  close(0);
  try_all();
  say("first free descriptor", open("/dev/null", O_RDONLY) == 0);
}
static void no_files(void) {
  say("limit", limit(RLIMIT_NOFILE, 0));
  try_all();
}
static void no_file_size(void) {
  say("limit", limit(RLIMIT_FSIZE, 0));
  try_all();
}
static void no_core(void) {
  say("limit", limit(RLIMIT_CORE, 0));
  try_all();
}
// What is left of the address space: as much as the program itself can tell, whatever else is mapped.
static void little_space(void) {
  long pages = 0;
  FILE* statm = fopen("/proc/self/statm", "r");
  if (!statm || fscanf(statm, "%ld", &pages) != 1) exit(3);
  fclose(statm);
  say("limit", limit(RLIMIT_AS, ((rlim_t)pages << 12) + (16 << 20)));
  say("small mmap", maps(1 << 20));
  say("big mmap", maps(64 << 20));
  say("malloc", allocates());
  say("fork", forks());
}
static void small_stack(void) {
  say("limit", limit(RLIMIT_STACK, 64 << 10));
  try_all();
}
static void no_processes(void) {
  need_root();
  say("limit", limit(RLIMIT_NPROC, 0));
  say("user", setresgid(64999, 64999, 64999) == 0 && setresuid(64999, 64999, 64999) == 0);
  say("malloc", allocates());
  say("mmap", maps(100000));
  say("thread", threads());
  say("fork", forks());
}
static void locked(void) {
  say("mlockall", mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
  try_all();
}
static void locked_under_limit(void) {
  need_root();
  say("limit", limit(RLIMIT_MEMLOCK, 8 << 20));
  say("user", setresgid(64999, 64999, 64999) == 0 && setresuid(64999, 64999, 64999) == 0);
  say("mlockall", mlockall(MCL_FUTURE) == 0);
  say("malloc", allocates());
  say("mmap", maps(100000));
  say("mmap beyond", maps(64 << 20));
  say("fork", forks());
}
static void jail(void) {
  need_root();
  char folder[] = "/var/tmp/ovcshim-jail.XXXXXX";
  if (!mkdtemp(folder) || chroot(folder) != 0 || chdir("/") != 0) exit(3);
  say("user", setresgid(64999, 64999, 64999) == 0 && setresuid(64999, 64999, 64999) == 0);
  try_all();
  FILE* nothing = fopen("/etc/passwd", "r");
  say("nothing here", nothing == NULL && errno == ENOENT);
}
static void new_pid_namespace(void) {
  need_root();
  say("unshare", unshare(CLONE_NEWPID) == 0);
  int status = 0;
  const pid_t pid = fork();
  if (pid == 0) {
    say("first of its namespace", getpid() == 1);
    try_all();
    _exit(0);
  }
  say("its end", waitpid(pid, &status, 0) == pid && status == 0);
  say("fork into a namespace without init", forks());
}
static void new_user_namespace(void) {
  say("unshare", unshare(CLONE_NEWUSER) == 0);
  try_all();
}
static void twice_forked(void) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t pid = fork();
  if (pid == 0) {
    setsid();
    const pid_t second = fork();
    if (second > 0) _exit(0);
    try_all();
    _exit(0);
  }
  int status = 0;
  say("first child", waitpid(pid, &status, 0) == pid && status == 0);
  while (waitpid(-1, NULL, 0) > 0) {}
}
static void not_dumpable(void) {
  say("prctl", prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
  try_all();
}
static void no_clock(void) {
  say("prctl", prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) == 0);
  try_all();
}
static void no_new_code(void) {
  const int refused = 65; /* PR_SET_MDWE, Linux 6.3 */
  say("prctl", prctl(refused, 1, 0, 0, 0) == 0 || errno == EINVAL);
  try_all();
}
// All that this program and libc need is allowed; any other call ends it.
static void filtered(unsigned otherwise) {
  static const int allowed[] = {
      SYS_write,           SYS_mmap,  SYS_munmap,  SYS_mprotect,   SYS_brk,       SYS_clone,
      SYS_clone3,          SYS_wait4, SYS_exit,    SYS_exit_group, SYS_futex,     SYS_rt_sigprocmask,
      SYS_set_robust_list, SYS_rseq,  SYS_madvise, SYS_gettid,     SYS_getrandom, SYS_sched_getaffinity,
      SYS_rt_sigaction};
  enum { kAllowed = sizeof allowed / sizeof *allowed };
  struct sock_filter code[2 * kAllowed + 2];
  size_t n = 0;
  code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (size_t i = 0; i < kAllowed; ++i) {
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], 0, 1);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  }
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, otherwise);
  struct sock_fprog program = {(unsigned short)n, code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) exit(3);
  try_all();
  _exit(0);
}
static void filter_errno(void) { filtered(SECCOMP_RET_ERRNO | EPERM); }
static void filter_kill(void) { filtered(SECCOMP_RET_KILL_PROCESS); }
static void killed(void) {
  try_all();
  raise(SIGKILL);
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    void (*run)(void);
  } cases[] = {{"closefrom", closefrom_all},
               {"close-range", close_range_all},
               {"close-one-by-one", close_one_by_one},
               {"no-files", no_files},
               {"no-file-size", no_file_size},
               {"no-core", no_core},
               {"little-space", little_space},
               {"small-stack", small_stack},
               {"no-processes", no_processes},
               {"locked", locked},
               {"locked-under-limit", locked_under_limit},
               {"jail", jail},
               {"new-pid-namespace", new_pid_namespace},
               {"new-user-namespace", new_user_namespace},
               {"twice-forked", twice_forked},
               {"not-dumpable", not_dumpable},
               {"no-clock", no_clock},
               {"no-new-code", no_new_code},
               {"filter-errno", filter_errno},
               {"filter-kill", filter_kill},
               {"killed", killed}};
  free(malloc(100000));
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    if (argc == 1) printf("%s\n", cases[i].name);
    else if (strcmp(argv[1], cases[i].name) == 0) cases[i].run();
  }
  return 0;
}
