// SPDX-License-Identifier: MIT
// A case for each errno and each reason for it that can be made for real, with the words of the
// right reason: what tests/e2e/errno_reasons.sh compares `ovc why` with. Part of refused_calls.h;
// more situations of the same kinds stand in tests/cases/table.py.
#pragma once
#include <spawn.h>

#include <pty.h>
#include <wordexp.h>

#include "tests/programs/refused_errno_more.h"

// ---- mmap ----

static int64_t mmap_o_path(void) {
  return map_fd(open("/", kPath | O_CLOEXEC), PROT_READ, MAP_PRIVATE);
}
static int64_t mmap_negative(void) { return map_fd(-1, PROT_READ, MAP_PRIVATE); }
static int64_t mmap_huge_size(void) {
  return as_result(mmap(NULL, kPage, kRw, kAnon | MAP_HUGETLB | (int)(13u << kHugeShift), -1, 0));
}
static int64_t mmap_huge_file(void) {
  return map_fd(temporary_file(kPage), kRw, MAP_PRIVATE | MAP_HUGETLB);
}
static int64_t mmap_validate_anon(void) {
  return as_result(mmap(NULL, kPage, kRw, kValidate | MAP_ANONYMOUS, -1, 0));
}
static int64_t mmap_growsdown_file(void) {
  return map_fd(temporary_file(kPage), PROT_READ, MAP_PRIVATE | MAP_GROWSDOWN);
}
static int64_t mmap_huge_offset(void) {
  return as_result(mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, memory_file(kMfdHuge), kPage));
}
static int64_t mmap_sync(void) { return map_fd(temporary_file(kPage), kRw, kValidate | kSync); }
static int64_t mmap_pipe(void) {
  int ends[2];
  must(pipe2(ends, O_CLOEXEC), "pipe2");
  return map_fd(ends[0], PROT_READ, MAP_PRIVATE);
}
static int64_t mmap_write_only(void) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", temporary_file(kPage));
  return map_fd(open(path, O_WRONLY | O_CLOEXEC), PROT_WRITE, MAP_SHARED);
}
static int64_t mmap_mdwe(void) {
  deny_write_execute();
  return as_result(mmap(NULL, kPage, kRw | PROT_EXEC, kAnon, -1, 0));
}
static int64_t mmap_mdwe_file(void) {
  deny_write_execute();
  return map_fd(temporary_file(kPage), kRw | PROT_EXEC, MAP_PRIVATE);
}
static int64_t mmap_mdwe_read_only(void) {  // the other reason for the same errno
  deny_write_execute();
  return map_fd(read_only_file(), kRw, MAP_SHARED);
}
static int64_t mmap_noexec(void) {
  char at[64];
  mount_here("tmpfs", MS_NOEXEC, "size=1m", at);
  const int fd = file_on(at, O_RDWR);
  must(ftruncate(fd, kPage), "ftruncate");
  leave(at);
  return map_fd(fd, kExecute, MAP_PRIVATE);
}
static int64_t mmap_sealed_file(void) {
  const int fd = memory_file(kMfdSeal);
  must(ftruncate(fd, kPage) || fcntl(fd, kAddSeals, kSealWrite), "F_ADD_SEALS");
  return map_fd(fd, kRw, MAP_SHARED);
}
static int64_t mmap_seccomp(void) {  // systemd's MemoryDenyWriteExecute= before 253
  filter_call(SYS_mmap, EPERM);
  return as_result(mmap(NULL, kPage, kRw | PROT_EXEC, kAnon, -1, 0));
}
static int64_t mmap_huge_memfd(void) {
  return as_result(mmap(NULL, (size_t)1 << 34, kRw, MAP_PRIVATE, memory_file(kMfdHuge), 0));
}
static int64_t mmap_huge_mount(void) {
  char at[64];
  mount_here("hugetlbfs", 0, NULL, at);
  const int fd = file_on(at, O_RDWR);
  leave(at);
  return as_result(mmap(NULL, (size_t)1 << 34, kRw, MAP_PRIVATE, fd, 0));
}
static int64_t mmap_huge_mount_full(void) {
  char at[64];
  mount_here("hugetlbfs", 0, "size=4M", at);
  const int fd = file_on(at, O_RDWR);
  leave(at);
  return as_result(mmap(NULL, (size_t)1 << 30, kRw, MAP_SHARED, fd, 0));
}

// ---- mprotect, mremap, munmap ----

static int64_t mprotect_nothing(void) {  // a length of 0 is no reason
  return mprotect(three_pages(), 0, PROT_READ | PROT_GROWSUP | PROT_GROWSDOWN);
}
static int64_t mprotect_growsdown(void) {
  return mprotect(three_pages(), kPage, PROT_READ | PROT_GROWSDOWN);
}
static int64_t mprotect_growsup(void) {
  return mprotect(three_pages(), kPage, PROT_READ | PROT_GROWSUP);
}
static int64_t mprotect_unknown(void) { return mprotect(three_pages(), kPage, 0x100); }
static int64_t mprotect_key(void) { return pkey_mprotect(three_pages(), kPage, PROT_READ, 15); }
static int64_t mprotect_wraps(void) { return mprotect(three_pages(), (size_t)-kPage, PROT_READ); }
static int64_t mprotect_mdwe(void) {
  char* at = three_pages();
  deny_write_execute();
  return mprotect(at, kPage, kExecute);
}
static int64_t mprotect_mdwe_write(void) {
  char* at = three_pages();
  deny_write_execute();
  return mprotect(at, kPage, kRw | PROT_EXEC);
}
static int64_t mprotect_noexec(void) {
  char where[64];
  mount_here("tmpfs", MS_NOEXEC, "size=1m", where);
  const int fd = file_on(where, O_RDWR);
  must(ftruncate(fd, kPage), "ftruncate");
  leave(where);
  void* at = mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, fd, 0);
  return mprotect(at, kPage, kExecute);
}
static char* shared_pages(void) { return map_kind(kind_named("shared"), 3 * kPage); }
static int64_t mremap_shared_flag(void) {  // the old length of 0 is no reason
  return as_result(mremap(shared_pages(), 0, kPage, MREMAP_MAYMOVE | 64));
}
static int64_t mremap_private_zero(void) {
  return as_result(mremap(three_pages(), 0, kPage, MREMAP_MAYMOVE));
}
static int64_t mremap_fixed_stays(void) {
  char* at = three_pages();
  return as_result(mremap(at, kPage, kPage, MREMAP_FIXED, at + 2 * kPage));
}
static int64_t mremap_new_unaligned(void) {
  char* at = three_pages();
  return as_result(mremap(at, kPage, kPage, MREMAP_FIXED | MREMAP_MAYMOVE, at + 2 * kPage + 8));
}
static int64_t mremap_overlap(void) {
  char* at = three_pages();
  return as_result(mremap(at, 2 * kPage, 2 * kPage, MREMAP_FIXED | MREMAP_MAYMOVE, at + kPage));
}
static int64_t mremap_outside(void) {
  return as_result(mremap(three_pages(), kPage, kPage, MREMAP_FIXED | MREMAP_MAYMOVE,
                          (void*)-(intptr_t)(2 * kPage)));
}
static int64_t mremap_vdso(void) {
  char* at = (char*)getauxval(AT_SYSINFO_EHDR);
  if (!at) defect("no vdso");
  return as_result(mremap(at, kPage, 64 * kPage, MREMAP_MAYMOVE));
}
static int64_t mremap_huge(void) {
  void* at = mmap(NULL, (size_t)1 << 21, kRw, kAnon | MAP_HUGETLB | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) defect("huge pages");
  return as_result(mremap(at, (size_t)1 << 21, (size_t)1 << 22, MREMAP_MAYMOVE));
}
static int64_t munmap_huge(void) {
  char* at = mmap(NULL, (size_t)1 << 21, kRw, kAnon | MAP_HUGETLB | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) defect("huge pages");
  return munmap(at + kPage, kPage);
}

// ---- segments, files ----

static int64_t shmget_empty(void) { return shmget(IPC_PRIVATE, 0, IPC_CREAT | 0600); }
static int64_t shmget_shmmax(void) {
  segments_with("shmmax", "65536");
  return shmget(IPC_PRIVATE, 65537, IPC_CREAT | 0600);
}
static int64_t shmget_shmall(void) {
  segments_with("shmall", "4");
  return shmget(IPC_PRIVATE, 5 * kPage, IPC_CREAT | 0600);
}
static int64_t shmget_shmmni(void) {
  segments_with("shmmni", "1");
  if (shmget(IPC_PRIVATE, kPage, IPC_CREAT | 0600) < 0) defect("shmget");
  return shmget(IPC_PRIVATE, kPage, IPC_CREAT | 0600);
}
static int64_t shmget_smaller(void) {
  must(unshare(CLONE_NEWIPC), "unshare");
  if (shmget(4711, kPage, IPC_CREAT | 0600) < 0) defect("shmget");
  return shmget(4711, 8 * kPage, 0600);
}
static int64_t shmget_huge(void) {
  return shmget(IPC_PRIVATE, (size_t)1 << 34, SHM_HUGETLB | IPC_CREAT | 0600);
}
static int64_t shmget_huge_size(void) {
  return shmget(IPC_PRIVATE, kPage, SHM_HUGETLB | (int)(13u << kHugeShift) | IPC_CREAT | 0600);
}
static int64_t shmget_huge_user(void) {
  without_privileges();
  return shmget(IPC_PRIVATE, (size_t)1 << 21, SHM_HUGETLB | IPC_CREAT | 0600);
}
static int64_t memfd_huge_size(void) { return memfd_create("errno", kMfdHuge | 13u << kHugeShift); }
static int64_t memfd_no_descriptor(void) {
  const struct rlimit none = {0, 4096};
  must(setrlimit(RLIMIT_NOFILE, &none), "setrlimit");
  return memfd_create("errno", 0);
}
static int64_t fallocate_full(void) {
  char at[64];
  mount_here("tmpfs", 0, "size=1m", at);
  const int fd = file_on(at, O_RDWR);
  leave(at);
  return code(posix_fallocate(fd, 0, 4 << 20));
}
static int64_t ftruncate_limit(void) {
  signal(SIGXFSZ, SIG_IGN);
  const int fd = memory_file(0);
  const struct rlimit limit = {65536, RLIM_INFINITY};
  must(setrlimit(RLIMIT_FSIZE, &limit), "setrlimit");
  return ftruncate(fd, 1 << 20);
}

// ---- tasks, namespaces, exec ----

static int64_t clone_newuser_none(void) {
  user_namespace_with("user", "0");
  return bad_clone(CLONE_NEWUSER | SIGCHLD);
}
static int64_t clone_newuts_none(void) {
  user_namespace_with("uts", "0");
  return bad_clone(CLONE_NEWUTS | SIGCHLD);
}
static int64_t unshare_newuser_none(void) {
  user_namespace_with("user", "0");
  return unshare(CLONE_NEWUSER);
}
static int64_t unshare_newnet(void) {
  without_privileges();
  return unshare(CLONE_NEWNET);
}
static int64_t unshare_not_mapped(void) {
  must(unshare(CLONE_NEWUSER), "unshare");  // nobody has a name in it yet
  return unshare(CLONE_NEWUSER);
}
// Inside chroot into a plain directory that has a /proc.
static int64_t unshare_chroot(void) {
  char at[64], proc[128];
  must(unshare(CLONE_NEWNS), "unshare");
  must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount");
  strcpy(at, "/var/tmp/ovcshim-errno.XXXXXX");
  if (!mkdtemp(at)) defect("mkdtemp");
  snprintf(proc, sizeof proc, "%s/proc", at);
  must(mkdir(proc, 0755) || mount("/proc", proc, NULL, MS_BIND | MS_REC, NULL), "proc");
  const int outside = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  must(chroot(at) || chdir("/"), "chroot");
  const int64_t result = unshare(CLONE_NEWUSER);
  const int err = errno;
  if (fchdir(outside) || umount2(proc + 1, MNT_DETACH) || rmdir(proc + 1) || rmdir(at + 1))
    defect("the end of chroot");
  errno = err;
  return result;
}
static int64_t setns_user(void) {
  const int fd = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
  without_privileges();
  return setns(fd, 0);
}
static int64_t clone3_seccomp(void) {  // as Docker before 20.10.10 answers
  filter_call(SYS_clone3, EPERM);
  struct clone_args args = {.exit_signal = SIGCHLD};
  return syscall(SYS_clone3, &args, sizeof args);
}
// As in a container: the filter is there before the program.
static void start_anew_without_clone3(const char* name) {
  if (getenv("WITHOUT_CLONE3")) return;
  must(setenv("WITHOUT_CLONE3", "1", 1), "setenv");
  filter_call(SYS_clone3, EPERM);
  execl("/proc/self/exe", "refused", name, NULL);
  defect("exec");
}
static int64_t spawn_seccomp(void) {
  start_anew_without_clone3("call:spawn-seccomp");
  char* argv[] = {(char*)(uintptr_t) "true", NULL};
  pid_t child;
  errno = posix_spawn(&child, "/bin/true", NULL, NULL, argv, environ);
  return errno ? -1 : 0;
}
static int64_t popen_seccomp(void) {
  start_anew_without_clone3("call:popen-seccomp");
  return popen("true", "r") ? 0 : -1;
}
static int64_t fork_seccomp(void) {
  filter_call(SYS_clone, EPERM);
  const pid_t child = fork();
  if (child == 0) _exit(0);
  return child;
}

static char* run_with(char* argument, size_t bytes) {
  memset(argument, 'x', bytes - 1);
  argument[bytes - 1] = '\0';
  return argument;
}
static int64_t exec_one_long(void) {
  char* text = malloc(200000);
  char* argv[] = {(char*)(uintptr_t) "true", run_with(text, 131073), NULL};
  return execve("/bin/true", argv, environ);
}
static int64_t exec_all_long(void) {
  enum { kStrings = 100 };
  char* text = run_with(malloc(100000), 100000);
  char* argv[kStrings + 1] = {NULL};
  for (int i = 0; i < kStrings; i++) argv[i] = text;
  return execve("/bin/true", argv, environ);
}
static int64_t spawn_with(char** argv) {
  pid_t pid = 0;
  return code(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ));
}
static int64_t spawn_one_long(void) {
  char* argv[] = {(char*)(uintptr_t) "true", run_with(malloc(200000), 131073), NULL};
  return spawn_with(argv);
}
static int64_t spawn_all_long(void) {
  enum { kStrings = 100 };
  char* text = run_with(malloc(100000), 100000);
  char* argv[kStrings + 1] = {NULL};
  for (int i = 0; i < kStrings; i++) argv[i] = text;
  return spawn_with(argv);
}
static char* long_command(void) {
  char* text = malloc(200000);
  memset(text, 'x', 199999);
  text[199999] = '\0';
  memcpy(text, "echo ", 5);
  return text;
}
static int64_t system_one_long(void) { return system(long_command()) == 0 ? 0 : -1; }
// Not of glibc 2.37, which says E2BIG.
static int64_t popen_one_long(void) {
  return popen(long_command(), "r") || errno != ENOMEM ? 0 : -1;
}
static int64_t forkpty_no_descriptor(void) {
  const struct rlimit none = {0, 4096};
  must(setrlimit(RLIMIT_NOFILE, &none), "setrlimit");
  int terminal = 0;
  return forkpty(&terminal, NULL, NULL, NULL);
}
// A task of the user that is there before.
static void another_task(void) {
  int ready[2];
  char byte = 0;
  must(pipe2(ready, O_CLOEXEC), "pipe2");
  if (quiet_fork() == 0) {
    without_privileges();  // which takes back the wish to end with the parent
    direct(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (write(ready[1], &byte, 1) != 1) _exit(3);
    for (;;) direct(SYS_ppoll, NULL, 0, NULL, NULL, 0);
  }
  if (read(ready[0], &byte, 1) != 1) defect("another task");
}
// kernel/sys.c set_user() marks the process, the exec looks again.
static int64_t exec_nproc(void) {
  another_task();
  char limit[] = "limit:nproc:0";
  make_step(limit);
  without_privileges();
  char* argv[] = {(char*)(uintptr_t) "true", NULL};
  return execve("/bin/true", argv, environ);
}
static int64_t wordexp_nproc(void) {
  another_task();
  char limit[] = "limit:nproc:0";
  make_step(limit);
  without_privileges();
  wordexp_t words;
  return wordexp("$(true)", &words, 0) == 0 ? 0 : -1;
}

static const struct errno_case {
  const char* name;
  int64_t (*make)(void);
  int err;
  const char* cause;
  const char* words;  // part of the reason
} kErrnoCases[] = {
#include "tests/programs/refused_errno_table.h"
};

static struct outcome errno_call(const char* name) {
  for (size_t i = 0; i < sizeof kErrnoCases / sizeof *kErrnoCases; i++)
    if (strcmp(kErrnoCases[i].name, name) == 0) {
      const int64_t result = kErrnoCases[i].make();
      return (struct outcome){result == -1, errno, -1};
    }
  return bad_call(name);
}

static void list_errno_cases(void) {
  for (size_t i = 0; i < sizeof kErrnoCases / sizeof *kErrnoCases; i++) {
    const struct errno_case* c = &kErrnoCases[i];
    printf("%s\t%s\t%s\t%s\n", c->name, strerrorname_np(c->err), c->cause, c->words);
  }
}
