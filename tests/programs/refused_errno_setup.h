// SPDX-License-Identifier: MIT
// What makes the situations of refused_errno.h: denials, filters, namespaces and mounts that end
// with the process.
#pragma once
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/auxv.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "tests/programs/refused_bad.h"

enum {
  kPath = 010000000,  // O_PATH
  kValidate = 3,      // MAP_SHARED_VALIDATE
  kSync = 0x80000,
  kMfdHuge = 4,
  kMfdSeal = 2,
  kHugeShift = 26,
  kExecute = PROT_READ | PROT_EXEC,
  kAddSeals = 1033,
  kSealWrite = 8
};

static void must(int result, const char* what) {
  if (result) defect(what);
}

// ---- what makes a situation ----

static void deny_write_execute(void) {
  must(direct(SYS_prctl, 65, 1, 0, 0, 0) != 0, "PR_SET_MDWE");
}

// From now on `nr` is answered with `err`: a filter that the process did not see coming, as one of
// a container's would be.
static void filter_call(unsigned nr, unsigned err) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  must(direct(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0, "PR_SET_NO_NEW_PRIVS");
  must(direct(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0, "PR_SET_SECCOMP");
}

static void write_to(const char* path, const char* value) {
  char* words[] = {(char*)(uintptr_t)path, (char*)(uintptr_t)value};
  step_write(words);
}

// A directory with a file system of its own on it, gone with the process.
static void mount_here(const char* type, unsigned long flags, const char* options, char* at) {
  must(unshare(CLONE_NEWNS), "unshare");
  must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount");
  strcpy(at, "/var/tmp/ovcshim-errno.XXXXXX");
  if (!mkdtemp(at) || mount("none", at, type, flags, options)) defect(type);
  umask(0);
}
static int file_on(const char* directory, int mode) {
  char path[128];
  snprintf(path, sizeof path, "%s/file", directory);
  const int fd = open(path, mode | O_CREAT | O_CLOEXEC, 0700);
  if (fd < 0) defect(path);
  return fd;
}
static void leave(const char* directory) {  // the mount stays until the process ends
  must(umount2(directory, MNT_DETACH), "umount2");
  must(rmdir(directory), "rmdir");
}

static void without_privileges(void) {
  char text[] = "61234";
  char* words[] = {text};
  step_uid(words);
}
// Root of a user namespace of its own: its limits can be set without touching the machine's.
static void user_namespace_with(const char* limit, const char* value) {
  must(unshare(CLONE_NEWUSER), "unshare");
  char path[64];
  snprintf(path, sizeof path, "/proc/sys/user/max_%s_namespaces", limit);
  write_to(path, value);
}
static void segments_with(const char* limit, const char* value) {
  must(unshare(CLONE_NEWIPC), "unshare");
  char path[64];
  snprintf(path, sizeof path, "/proc/sys/kernel/%s", limit);
  write_to(path, value);
}

static int memory_file(unsigned flags) {
  const int fd = memfd_create("errno", flags | MFD_CLOEXEC);
  if (fd < 0) defect("memfd_create");
  return fd;
}
static int64_t map_fd(int fd, int prot, int flags) {
  return as_result(mmap(NULL, kPage, prot, flags, fd, 0));
}
