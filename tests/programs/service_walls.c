// SPDX-License-Identifier: MIT
// Starts a command behind the walls that Debian's redis-server.service has systemd build, without
// systemd. Needs root.
//   service_walls USER WX TO=FROM... -- [VAR=VALUE...] /PATH/OF/CMD ARGUMENT...
//   USER   who it runs as; no capabilities, PrivateUsers, NoNewPrivileges
//   WX     how memory both writable and executable is refused: prctl (systemd 254 and later) or
//          filter (before, as in Debian 12)
//   TO=FROM, FROM is mounted over TO: writable, nothing in it executable; exec:TO=FROM the other
//   way round VAR=VALUE is the whole environment of the command
// Everything else is read-only, and executable only below /usr/lib and /usr/bin/redis-server. A
// system call outside of what the unit lets through ends the process. Exit status 77: cannot be
// done here, with the reason.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS_BIND_ 4096UL
#define MS_REC_PRIVATE ((1UL << 18) | 16384UL)
#define MDWE_OPTION 65  // PR_SET_MDWE, Linux 6.3

int mount(const char*, const char*, const char*, unsigned long, const void*);

static void skip(const char* what) {
  printf("skipped: %s: %s\n", what, strerror(errno));
  exit(77);
}
static void need(int result, const char* what) {
  if (result < 0) skip(what);
}

static void set_flags(const char* path, unsigned flags, unsigned long long set,
                      unsigned long long clear) {
  struct mount_attr attr = {.attr_set = set, .attr_clr = clear};
  need((int)syscall(SYS_mount_setattr, AT_FDCWD, path, flags, &attr, sizeof attr), path);
}
static void open_up(const char* path, unsigned long long flag) {
  need(mount(path, path, NULL, MS_BIND_, NULL), path);
  set_flags(path, 0, 0, flag);
}

// The folders are fetched before everything becomes read-only and put in place afterwards.
struct folder {
  const char* to;
  int fd, executable;
};
static struct folder fetch(char* word) {
  struct folder folder = {word, -1, strncmp(word, "exec:", 5) == 0};
  if (folder.executable) folder.to += 5;
  char* from = strchr(word, '=');
  if (!from) exit(2);
  *from++ = '\0';
  folder.fd = (int)syscall(SYS_open_tree, AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  need(folder.fd, from);
  return folder;
}
static void put(struct folder folder) {
  need((int)syscall(SYS_move_mount, folder.fd, "", AT_FDCWD, folder.to, MOVE_MOUNT_F_EMPTY_PATH),
       folder.to);
  set_flags(folder.to, 0, folder.executable ? MOUNT_ATTR_RDONLY : MOUNT_ATTR_NOEXEC,
            folder.executable ? MOUNT_ATTR_NOEXEC : MOUNT_ATTR_RDONLY);
}

// ProtectSystem=strict, NoExecPaths=/, ExecPaths, PrivateTmp, ProtectProc=invisible
static void build_mounts(char** folders, int count) {
  struct folder fetched[16];
  need(unshare(CLONE_NEWNS), "unshare");
  need(mount("none", "/", NULL, MS_REC_PRIVATE, NULL), "/ private");
  for (int i = 0; i < count; i++) fetched[i] = fetch(folders[i]);
  mount("proc", "/proc", "proc", 0, "hidepid=invisible");
  need(mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777"), "/tmp");
  need(mount("tmpfs", "/var/tmp", "tmpfs", 0, "mode=1777"), "/var/tmp");
  set_flags("/", AT_RECURSIVE, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC, 0);
  open_up("/usr/lib", MOUNT_ATTR_NOEXEC);
  open_up("/usr/bin/redis-server", MOUNT_ATTR_NOEXEC);
  need(mount("/proc/sys", "/proc/sys", NULL, MS_BIND_, NULL),
       "/proc/sys");  // read-only, as it is by now
  set_flags("/proc", 0, 0, MOUNT_ATTR_RDONLY);
  set_flags("/tmp", 0, 0, MOUNT_ATTR_RDONLY);
  set_flags("/var/tmp", 0, 0, MOUNT_ATTR_RDONLY);
  for (int i = 0; i < count; i++) put(fetched[i]);
}

static void write_file(const char* format, pid_t pid, const char* text) {
  char path[64];
  snprintf(path, sizeof path, format, pid);
  const int fd = open(path, O_WRONLY);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) skip(path);
  close(fd);
}

// PrivateUsers: only root and the user exist. The map of a new namespace is written from outside.
static void private_users(const struct passwd* user) {
  char map[128];
  int ready[2], status = 0;
  const pid_t self = getpid();
  need(pipe(ready), "pipe");
  const pid_t writer = fork();
  if (writer == 0) {
    char byte;
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1) _exit(1);
    snprintf(map, sizeof map, "0 0 1\n%u %u 1\n", user->pw_uid, user->pw_uid);
    write_file("/proc/%d/uid_map", self, map);
    snprintf(map, sizeof map, "0 0 1\n%u %u 1\n", user->pw_gid, user->pw_gid);
    write_file("/proc/%d/gid_map", self, map);
    _exit(0);
  }
  need(unshare(CLONE_NEWUSER), "user namespace");
  if (write(ready[1], "x", 1) != 1 || waitpid(writer, &status, 0) != writer || status != 0)
    exit(77);
  close(ready[0]);
  close(ready[1]);
}

static void drop_privileges(const struct passwd* user) {
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
    prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  need(setgroups(0, NULL), "setgroups");
  need(setresgid(user->pw_gid, user->pw_gid, user->pw_gid), "setresgid");
  need(setresuid(user->pw_uid, user->pw_uid, user->pw_uid), "setresuid");
  need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
  need(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "dumpable");
}

// What @system-service without @privileged and @resources leaves out (`systemd-analyze
// syscall-filter`, version 252).
static const int kForbidden[] = {SYS_mincore,
                                 SYS_fchown,
                                 SYS_ptrace,
                                 SYS_syslog,
                                 SYS_setuid,
                                 SYS_setreuid,
                                 SYS_setgroups,
                                 SYS_setresuid,
                                 SYS_setfsuid,
                                 SYS_capset,
                                 SYS_setpriority,
                                 SYS_sched_setparam,
                                 SYS_sched_setscheduler,
                                 SYS_vhangup,
                                 SYS_pivot_root,
                                 SYS_adjtimex,
                                 SYS_setrlimit,
                                 SYS_chroot,
                                 SYS_acct,
                                 SYS_settimeofday,
                                 SYS_mount,
                                 SYS_umount2,
                                 SYS_swapon,
                                 SYS_swapoff,
                                 SYS_reboot,
                                 SYS_sethostname,
                                 SYS_setdomainname,
                                 SYS_init_module,
                                 SYS_delete_module,
                                 SYS_quotactl,
                                 SYS_nfsservctl,
                                 SYS_sched_setaffinity,
                                 SYS_lookup_dcookie,
                                 SYS_clock_settime,
                                 SYS_mbind,
                                 SYS_set_mempolicy,
                                 SYS_kexec_load,
                                 SYS_ioprio_set,
                                 SYS_migrate_pages,
                                 SYS_fchownat,
                                 SYS_move_pages,
                                 SYS_perf_event_open,
                                 SYS_fanotify_init,
                                 SYS_fanotify_mark,
                                 SYS_open_by_handle_at,
                                 SYS_clock_adjtime,
                                 SYS_finit_module,
                                 SYS_sched_setattr,
                                 SYS_seccomp,
                                 SYS_kexec_file_load,
                                 SYS_bpf,
                                 SYS_pkey_mprotect,
                                 SYS_pkey_alloc,
                                 SYS_pkey_free,
                                 SYS_open_tree,
                                 SYS_move_mount,
                                 SYS_fsopen,
                                 SYS_fsconfig,
                                 SYS_fsmount,
                                 SYS_fspick,
                                 SYS_pidfd_getfd,
                                 SYS_mount_setattr};
enum { kNewestKnown = 450 /* set_mempolicy_home_node */ };
enum { kForbiddenCount = sizeof kForbidden / sizeof kForbidden[0] };

static struct sock_filter code[2 * kForbiddenCount + 32];
static unsigned code_length;
static void emit(unsigned op, unsigned value, unsigned char when_true, unsigned char when_false) {
  code[code_length++] = (struct sock_filter){(unsigned short)op, when_true, when_false, value};
}
static void load(size_t offset) { emit(BPF_LD | BPF_W | BPF_ABS, (unsigned)offset, 0, 0); }
static void refuse(unsigned action) { emit(BPF_RET | BPF_K, action, 0, 0); }

// call(..., prot, ...) with all of these bits set is refused, as by systemd's filter
static void refuse_prot(int nr, unsigned bits) {
  load(offsetof(struct seccomp_data, nr));
  emit(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 4);
  load(offsetof(struct seccomp_data, args) + 2 * sizeof(__u64));
  emit(BPF_ALU | BPF_AND | BPF_K, bits, 0, 0);
  emit(BPF_JMP | BPF_JEQ | BPF_K, bits, 0, 1);
  refuse(SECCOMP_RET_ERRNO | EPERM);
}

static void filter_calls(int refuse_wx) {
  load(offsetof(struct seccomp_data, arch));
#if defined(__aarch64__)
  emit(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_AARCH64, 1, 0);
#else
  emit(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
#endif
  refuse(SECCOMP_RET_KILL_PROCESS);
  if (refuse_wx) {
    refuse_prot(SYS_mmap, PROT_WRITE | PROT_EXEC);
    refuse_prot(SYS_mprotect, PROT_EXEC);
  }
  load(offsetof(struct seccomp_data, nr));
  emit(BPF_JMP | BPF_JGT | BPF_K, kNewestKnown, 0, 1);
  refuse(SECCOMP_RET_ERRNO | ENOSYS);
  for (int i = 0; i < kForbiddenCount; i++) {
    emit(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)kForbidden[i], 0, 1);
    refuse(SECCOMP_RET_KILL_PROCESS);
  }
  refuse(SECCOMP_RET_ALLOW);
  struct sock_fprog program = {(unsigned short)code_length, code};
  need(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), "seccomp filter");
}

int main(int argc, char** argv) {
  int command = 3;
  while (command < argc && strcmp(argv[command], "--") != 0) command++;
  if (argc < 5 || command + 1 >= argc || command - 3 > 16) return 2;
  if (geteuid() != 0) {
    puts("skipped: only root can build a service's walls");
    return 77;
  }
  const struct passwd* user = getpwnam(argv[1]);
  if (!user) {
    printf("skipped: no user %s\n", argv[1]);
    return 77;
  }
  const struct rlimit files = {65535, 65535};
  build_mounts(argv + 3, command - 3);
  need(chdir("/"), "/");
  setrlimit(RLIMIT_NOFILE, &files);  // as far as the machine goes
  umask(007);
  private_users(user);
  drop_privileges(user);
  const int by_filter = strcmp(argv[2], "filter") == 0;
  if (!by_filter) need(prctl(MDWE_OPTION, 1, 0, 0, 0), "PR_SET_MDWE");
  filter_calls(by_filter);
  char** environment = argv + command + 1;
  char** words = environment;
  while (*words && **words != '/') words++;
  if (!*words) return 2;
  char** arguments = malloc((size_t)(argv + argc - words + 1) * sizeof *arguments);
  memcpy(arguments, words, (size_t)(argv + argc - words + 1) * sizeof *arguments);
  *words = NULL;
  execve(arguments[0], arguments, environment);
  perror(arguments[0]);
  return 1;
}
