// SPDX-License-Identifier: MIT
// Makes its own surroundings hostile, as servers and sandboxes do, and goes on allocating, mapping
// and forking there. surroundings | surroundings HOME [KB] Prints what it did and what came of it:
// results and errno, so that runs with and without the shim can be compared.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kPage = 4096, kMark = 4242, kNobody = 65534 };
static char report[4096];  // kept until the end: descriptors may be gone meanwhile
static size_t reported;
static int output = 1;

static void say(const char* what, long result) {
  const int err = errno;
  const int n = snprintf(report + reported, sizeof report - reported, "%s: %ld, errno %d\n", what,
                         result, err == kMark ? 0 : err);
  if (n > 0) reported += (size_t)n;
  errno = kMark;
}
#define SAY(expression)                   \
  do {                                    \
    errno = kMark;                        \
    const long got_ = (long)(expression); \
    say(#expression, got_);               \
  } while (0)

static long forked(void) {
  int status = 0;
  const pid_t child = fork();
  if (child == 0) _exit(7);
  if (child < 0) return -1;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -2;
}
static long mapped(size_t pages) {
  char* memory =
      mmap(NULL, pages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return -1;
  memory[0] = 1;
  return munmap(memory, pages * kPage);
}
static long allocated(size_t bytes) {
  char* block = malloc(bytes);
  if (block == NULL) return -1;
  memset(block, 1, bytes < kPage ? bytes : kPage);
  free(block);
  return 0;
}
static void live(void) {
  for (size_t size = 1; size < (size_t)4 << 20; size *= 4) SAY(allocated(size));
  SAY(mapped(1234));
  SAY(forked());
}
static long limit(__rlimit_resource_t resource, rlim_t bytes) {
  const struct rlimit wanted = {bytes, bytes};
  return setrlimit(resource, &wanted);
}
static long lowest_descriptor(void) {
  const int fd = open("/dev/null", O_RDONLY);
  if (fd >= 0) close(fd);
  return fd;
}

static void closes_from(void) {
  closefrom(0);
  live();
  SAY(lowest_descriptor());
}
static void closes_range(void) {
  SAY(close_range(0, ~0u, 0));
  live();
  SAY(lowest_descriptor());
}
static void closes_each(void) {
  for (int fd = 0; fd < 4096; fd++) close(fd);
  live();
  SAY(lowest_descriptor());
}
static void no_descriptors(void) {
  SAY(limit(RLIMIT_NOFILE, 0));
  live();
  SAY(lowest_descriptor());
}
static void no_files(void) {
  SAY(limit(RLIMIT_FSIZE, 0));
  live();
}
static void little_stack(void) {
  SAY(limit(RLIMIT_STACK, 64 * 1024));
  live();
}
static void no_core(void) {
  SAY(limit(RLIMIT_CORE, 0));
  live();
}
static void few_processes(void) {  // as a user other than root, who is exempt
  SAY(setresuid(kNobody, kNobody, kNobody));
  SAY(limit(RLIMIT_NPROC, 0));
  live();
}
// The memory left is counted from what is mapped now: the shim's log is not the program's, but
// counts as address space.
static void little_memory(void) {
  SAY(limit(RLIMIT_AS, (rlim_t)256 << 20));
  live();
  SAY(mapped(((size_t)256 << 20) / kPage));
  SAY(allocated((size_t)256 << 20));
  live();
}
static void little_data(void) {
  SAY(limit(RLIMIT_DATA, (rlim_t)4 << 20));
  live();
  SAY(mapped(2048));
  SAY(allocated((size_t)8 << 20));
}
static void elsewhere(void) {
  SAY(chroot("/var/empty-of-homes") == 0 || chroot("/proc/self/fdinfo") == 0);
  SAY(chdir("/"));
  SAY(setgroups(0, NULL) + setresgid(kNobody, kNobody, kNobody) +
      setresuid(kNobody, kNobody, kNobody));
  live();
  SAY(daemon(1, 1));
  live();
}
static void new_pids(void) {
  SAY(unshare(CLONE_NEWPID));
  SAY(forked());
  live();
}
static void new_user(void) {
  SAY(unshare(CLONE_NEWUSER));
  live();
}
static void double_fork(void) {
  int ends[2], status = 0;
  SAY(pipe(ends));
  const pid_t child = fork();
  if (child == 0) {
    if (setsid() == -1) _exit(1);
    if (fork() != 0) _exit(7);
    output = ends[1];
    live();
    if (write(output, report, reported) != (ssize_t)reported) _exit(1);
    _exit(0);
  }
  close(ends[1]);
  SAY(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);
  for (ssize_t n; (n = read(ends[0], report + reported, sizeof report - reported)) > 0;)
    reported += (size_t)n;
}
static void locked(void) {
  SAY(limit(RLIMIT_MEMLOCK, (rlim_t)8 << 20));
  SAY(setresuid(kNobody, kNobody, kNobody));
  SAY(mlockall(MCL_FUTURE));
  live();
  SAY(mapped(((size_t)96 << 20) / kPage));
  SAY(munlockall());
}
// MCL_CURRENT is allowed if all that is mapped fits in the limit, whatever of it is locked.
static rlim_t more_kb;
static void locked_now(void) {
  if (limit(RLIMIT_MEMLOCK, ((rlim_t)3 << 20) + (more_kb << 10)) != 0) return;
  SAY(setresuid(kNobody, kNobody, kNobody));
  SAY(mlockall(MCL_CURRENT));
  live();
  SAY(munlockall());
}
// What counts as locked then.
static void locked_kb(void) {
  char line[256];
  SAY(mlockall(MCL_CURRENT));
  FILE* status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status))
    if (strncmp(line, "VmLck:", 6) == 0) say("VmLck", strtol(line + 6, NULL, 10));
}
static void not_dumpable(void) {
  SAY(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
  live();
}
static void no_counter(void) {
#if defined(__x86_64__)
  SAY(prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0));
#endif
  live();
}
static void no_counter_by_number(void) {
#if defined(__x86_64__)
  SAY(syscall(SYS_prctl, PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0));
#endif
  live();
}
static void locked_by_number(void) {
  SAY(syscall(SYS_mlockall, MCL_CURRENT | MCL_FUTURE));
  live();
}
// How programs ask what the kernel can do: none of it enters seccomp, and all goes on as before.
static void only_asks_for_seccomp(void) {
  const unsigned action = SECCOMP_RET_KILL_PROCESS;
  SAY(prctl(PR_GET_SECCOMP));
  SAY(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL));
  SAY(prctl(PR_SET_SECCOMP, 99, NULL));
  SAY(syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL));
  SAY(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, NULL));
  SAY(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL));
  SAY(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
  live();
}
static void no_new_privileges(void) {
  SAY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  live();
}
static void no_writable_code(void) {
  SAY(prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0));
  live();
}
// The system calls of this program and of libc beneath it; another one ends it, or fails with
// EPERM.
#define ALLOW(nr) \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
static void filtered(unsigned otherwise) {
  struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
                               ALLOW(SYS_mmap),
                               ALLOW(SYS_munmap),
                               ALLOW(SYS_mremap),
                               ALLOW(SYS_brk),
                               ALLOW(SYS_madvise),
                               ALLOW(SYS_clone),
                               ALLOW(SYS_wait4),
                               ALLOW(SYS_write),
                               ALLOW(SYS_exit_group),
                               ALLOW(SYS_set_robust_list),
                               ALLOW(SYS_rt_sigprocmask),  // fork() of glibc 2.41
                               BPF_STMT(BPF_RET | BPF_K, otherwise)};
  free(malloc(1));  // the allocator has asked for its random number
  const struct sock_fprog program = {sizeof code / sizeof code[0], code};
  SAY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  SAY(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
  live();
}
static void refused(void) { filtered(SECCOMP_RET_ERRNO | EPERM); }
static void killed(void) { filtered(SECCOMP_RET_KILL_PROCESS); }
static void killed_without_prctl(
    void) {  // the filter put in place by syscall(): no wrapper of prctl is asked
  struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
                               ALLOW(SYS_mmap),
                               ALLOW(SYS_munmap),
                               ALLOW(SYS_brk),
                               ALLOW(SYS_madvise),
                               ALLOW(SYS_clone),
                               ALLOW(SYS_wait4),
                               ALLOW(SYS_write),
                               ALLOW(SYS_exit_group),
                               ALLOW(SYS_set_robust_list),
                               ALLOW(SYS_rt_sigprocmask),  // fork() of glibc 2.41
                               BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
  free(malloc(1));  // the allocator has asked for its random number
  const struct sock_fprog program = {sizeof code / sizeof code[0], code};
  SAY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  SAY(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
  live();
}
static void ended(void) {
  live();
  if (write(output, report, reported) != (ssize_t)reported) _exit(1);
  kill(getpid(), SIGKILL);
}

static const struct {
  const char* name;
  void (*live)(void);
} homes[] = {{"closefrom", closes_from},
             {"close_range", closes_range},
             {"close", closes_each},
             {"nofile", no_descriptors},
             {"fsize", no_files},
             {"stack", little_stack},
             {"core", no_core},
             {"nproc", few_processes},
             {"as", little_memory},
             {"data", little_data},
             {"chroot", elsewhere},
             {"newpid", new_pids},
             {"newuser", new_user},
             {"double_fork", double_fork},
             {"mlockall", locked},
             {"mlock_current", locked_now},
             {"mlock_kb", locked_kb},
             {"dumpable", not_dumpable},
             {"tsc", no_counter},
             {"tsc_number", no_counter_by_number},
             {"mlockall_number", locked_by_number},
             {"asks_seccomp", only_asks_for_seccomp},
             {"no_new_privs", no_new_privileges},
             {"mdwe", no_writable_code},
             {"seccomp_errno", refused},
             {"seccomp_kill", killed},
             {"seccomp_syscall", killed_without_prctl},
             {"kill", ended}};

int main(int argc, char** argv) {
  if (argc == 1)
    for (size_t i = 0; i < sizeof homes / sizeof homes[0]; i++) puts(homes[i].name);
  if (argc < 2) return 0;
  if (argc == 3) more_kb = strtoul(argv[2], NULL, 10);
  output = fcntl(1, F_DUPFD, 100);
  for (size_t i = 0; i < sizeof homes / sizeof homes[0]; i++)
    if (strcmp(argv[1], homes[i].name) == 0) homes[i].live();
  if (reported == 0) return 3;
  // Where the descriptors are gone there is still the status: the sum of what was to be printed.
  if (write(output, report, reported) == (ssize_t)reported) return 0;
  unsigned sum = 0;
  for (size_t i = 0; i < reported; i++) sum = sum * 31 + (unsigned char)report[i];
  _exit((int)(sum % 251) + 1);
}
