// SPDX-License-Identifier: MIT
// The functions of refused_errno.h that are about locks, segments and clone3.
#pragma once
#include "tests/programs/refused_errno_setup.h"

// ---- locks ----

static void memlock_of(rlim_t bytes) {
  char drop[] = "nocaps";
  const struct rlimit limit = {bytes, bytes};
  make_step(drop);
  must(setrlimit(RLIMIT_MEMLOCK, &limit), "setrlimit");
}
static int64_t mlock_no_access(void) { return mlock(map_kind(kind_named("none"), kPage), kPage); }
static int64_t mlock_beyond_file(void) {
  const int fd = temporary_file(kPage);
  void* at = mmap(NULL, 4 * kPage, kRw, MAP_SHARED, fd, 0);
  return mlock(at, 4 * kPage);
}
static int64_t mlock_hole(void) {
  char* at = three_pages();
  munmap(at + kPage, kPage);
  return mlock(at, 3 * kPage);
}
static int64_t mlock_limit(void) {
  char* at = map_kind(kind_named("anon"), 1 << 20);
  memlock_of(64 << 10);
  return mlock(at, 1 << 20);
}
static int64_t mlock2_limit(void) {
  char* at = map_kind(kind_named("anon"), 1 << 20);
  memlock_of(64 << 10);
  return mlock2(at, 1 << 20, MLOCK_ONFAULT);
}
static int64_t mlock_zero(void) {
  char* at = three_pages();
  memlock_of(0);
  return mlock(at, kPage);
}
static int64_t mlock_mappings(void) {
  char full[] = "many:0";
  char* at = three_pages();
  make_step(full);
  return mlock(at + kPage, kPage);
}
static int64_t mlockall_limit(void) {
  memlock_of(64 << 10);
  return mlockall(MCL_CURRENT);
}
static int64_t mlockall_zero(void) {
  memlock_of(0);
  return mlockall(MCL_FUTURE);
}
static void lock_future(void) {
  memlock_of(1 << 20);
  must(mlockall(MCL_FUTURE | MCL_ONFAULT), "mlockall");
}
static int64_t mmap_future(void) {
  lock_future();
  return as_result(mmap(NULL, 4 << 20, kRw, kAnon, -1, 0));
}
static int64_t mmap_locked_zero(void) {
  memlock_of(0);
  return as_result(mmap(NULL, kPage, kRw, kAnon | MAP_LOCKED, -1, 0));
}
static int64_t mremap_future(void) {
  lock_future();
  char* at = three_pages();
  return as_result(mremap(at, kPage, 4 << 20, MREMAP_MAYMOVE));
}
static int segment(size_t bytes, int mode) {
  must(unshare(CLONE_NEWIPC), "unshare");  // gone with the process
  const int id = shmget(4711, bytes, IPC_CREAT | mode);
  if (id < 0) defect("shmget");
  return id;
}
static int64_t shmat_future(void) {
  const int id = segment(4 << 20, 0600);
  lock_future();
  return as_result(shmat(id, NULL, 0));
}

static int64_t shmat_mappings(void) {
  char full[] = "many:1";
  const int id = segment(kPage, 0600);
  make_step(full);
  return as_result(shmat(id, NULL, 0));
}

// ---- tasks ----

static int64_t clone3_with(struct clone_args args) {
  return syscall(SYS_clone3, &args, sizeof args);
}
static int64_t clone3_no_size(void) {
  return clone3_with((struct clone_args){.stack = (uintptr_t)three_pages()});
}
static int64_t clone3_large(void) {
  char args[256];
  memset(args, 1, sizeof args);
  return syscall(SYS_clone3, args, sizeof args);
}
static int64_t clone3_descriptors(void) {
  const struct rlimit none = {0, 4096};
  int pidfd = 0;
  must(setrlimit(RLIMIT_NOFILE, &none), "setrlimit");
  return clone3_with((struct clone_args){
      .flags = CLONE_PIDFD, .pidfd = (uintptr_t)&pidfd, .exit_signal = SIGCHLD});
}
static int64_t clone3_group(void) {  // no descriptor of a control group
  return clone3_with((struct clone_args){
      .flags = 0x200000000 /* CLONE_INTO_CGROUP */, .cgroup = 987, .exit_signal = SIGCHLD});
}
static int64_t clone_ipc_sysvsem(void) { return bad_clone(CLONE_NEWIPC | CLONE_SYSVSEM | SIGCHLD); }
static int64_t clone_thread_elsewhere(void) {
  must(unshare(CLONE_NEWPID), "unshare");
  return bad_clone(CLONE_THREAD | CLONE_SIGHAND | CLONE_VM);
}
static int64_t clone_second_pidns(void) {
  must(unshare(CLONE_NEWPID), "unshare");
  return bad_clone(CLONE_NEWPID | SIGCHLD);
}
static int64_t clone_pidfd_detached(void) {
  return bad_clone(CLONE_PIDFD | 0x400000 /* CLONE_DETACHED */ | SIGCHLD);
}
static int64_t clone_pidfd_id(void) {
  return bad_clone(CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD);
}

// ---- addresses and files ----

static int64_t mmap_beyond_last(void) {
  return (int64_t)mmap((void*)0x7fffffffe000, 2 * kPage, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}
static int64_t fallocate_huge(void) {
  return code(posix_fallocate(memory_file(kMfdHuge), 0, (off_t)1 << 36));
}
