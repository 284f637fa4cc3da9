// SPDX-License-Identifier: MIT
// Calls of tests/programs/refused.c that take the kind of thing as a word: namespaces, arguments of
// an exec, memory of huge pages, memory under PR_SET_MDWE. Part of refused_calls.h.
#pragma once
#include <spawn.h>

#include "tests/programs/refused_errno.h"

// ---- namespaces; words: which, and how many the user may have ----

static const struct {
  const char* name;
  int flag;
} kNamespaces[] = {{"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS},  {"pid", CLONE_NEWPID},
                   {"net", CLONE_NEWNET},   {"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS},
                   {"time", 0x80},          {"cgroup", 0x02000000}};
static int namespace_flag(const char* name) {
  for (size_t i = 0; i < sizeof kNamespaces / sizeof *kNamespaces; i++)
    if (strcmp(kNamespaces[i].name, name) == 0) return kNamespaces[i].flag;
  defect(name);
}
static struct outcome call_unshare_none(char** words) {
  user_namespace_with(words[0], "0");
  return from_int(unshare(namespace_flag(words[0])), -1);
}
static struct outcome call_unshare_full(char** words) {
  user_namespace_with(words[0], "1");
  must(unshare(namespace_flag(words[0])), "the only one");
  return from_int(unshare(namespace_flag(words[0])), -1);
}
static struct outcome call_clone_none(char** words) {
  user_namespace_with(words[0], "0");
  return from_int((int)bad_clone(namespace_flag(words[0]) | SIGCHLD), -1);
}

// ---- exec; words: how many strings of how many bytes ----

static char** long_arguments(char** words) {
  const size_t count = (size_t)atoll(words[0]), bytes = (size_t)atoll(words[1]);
  char** argv = calloc(count + 1, sizeof *argv);
  char* text = malloc(bytes);
  if (!argv || !text) defect("long_arguments");
  for (size_t i = 0; i < count; i++) argv[i] = run_with(text, bytes);
  return argv;
}
static struct outcome call_execve(char** words) {
  return from_int(execve("/bin/true", long_arguments(words), environ), -1);
}
static struct outcome call_execv(char** words) {
  return from_int(execv("/bin/true", long_arguments(words)), -1);
}
static struct outcome call_execvp(char** words) {
  return from_int(execvp("true", long_arguments(words)), -1);
}
static struct outcome call_execvpe(char** words) {
  return from_int(execvpe("true", long_arguments(words), environ), -1);
}
static struct outcome call_fexecve(char** words) {
  return from_int(fexecve(open("/bin/true", O_RDONLY), long_arguments(words), environ), -1);
}
static struct outcome call_execveat(char** words) {
  return from_int(execveat(AT_FDCWD, "/bin/true", long_arguments(words), environ, 0), -1);
}
static struct outcome call_spawn_long(char** words) {
  pid_t child;
  return from_code(posix_spawn(&child, "/bin/true", NULL, NULL, long_arguments(words), environ),
                   -1);
}

// ---- huge pages; words: amount ----

static struct outcome map_huge(int type, int fd, const char* amount) {
  const int flags = type | (fd < 0 ? MAP_ANONYMOUS | MAP_HUGETLB : 0);
  return from_pointer(mmap(NULL, bytes_of(amount), kRw, flags, fd, 0), -1);
}
static struct outcome call_mmap_huge_private(char** words) {
  return map_huge(MAP_PRIVATE, -1, words[0]);
}
static struct outcome call_mmap_huge_shared(char** words) {
  return map_huge(MAP_SHARED, -1, words[0]);
}
static struct outcome call_mmap_huge_memory(char** words) {
  return map_huge(MAP_PRIVATE, memory_file(kMfdHuge), words[0]);
}
static struct outcome call_mmap_huge_memory_shared(char** words) {
  return map_huge(MAP_SHARED, memory_file(kMfdHuge), words[0]);
}
static struct outcome call_mmap_huge_on_mount(char** words) {
  char at[64];
  mount_here("hugetlbfs", 0, NULL, at);
  const int fd = file_on(at, O_RDWR);
  leave(at);
  return map_huge(MAP_PRIVATE, fd, words[0]);
}
static struct outcome call_shmget_huge(char** words) {
  return from_int(shmget(IPC_PRIVATE, bytes_of(words[0]), SHM_HUGETLB | IPC_CREAT | 0600), -1);
}

// ---- made executable; words: what kind of memory, amount. denied: under PR_SET_MDWE ----

static struct outcome map_executable(char** words, void (*deny)(void)) {
  const struct kind* kind = kind_named(words[0]);
  const size_t bytes = bytes_of(words[1]);
  const int fd = kind->flags & MAP_ANONYMOUS ? -1 : temporary_file(bytes);
  deny();
  return from_pointer(mmap(NULL, bytes, kRw | PROT_EXEC, kind->flags, fd, 0), -1);
}
static struct outcome make_executable(char** words, void (*deny)(void)) {
  const size_t bytes = bytes_of(words[1]);
  char* at = map_kind(kind_named(words[0]), bytes);
  deny();
  return from_int(mprotect(at, bytes, kExecute), -1);
}
static void deny_nothing(void) {}
static struct outcome call_mmap_denied(char** words) {
  return map_executable(words, deny_write_execute);
}
static struct outcome call_mprotect_denied(char** words) {
  return make_executable(words, deny_write_execute);
}
static struct outcome call_mmap_executable(char** words) {
  return map_executable(words, deny_nothing);
}
static struct outcome call_mprotect_executable(char** words) {
  return make_executable(words, deny_nothing);
}
// Words: amount. The heap, and a program's own file that was written to.
static struct outcome call_heap_executable(char** words) {
  const size_t bytes = bytes_of(words[0]);
  char* at = sbrk((intptr_t)(bytes + kPage));
  at = (char*)(((uintptr_t)at + kPage - 1) & ~(uintptr_t)(kPage - 1));
  return from_int(mprotect(at, bytes, kExecute), -1);
}
static struct outcome call_written_file_executable(char** words) {
  char* at = map_kind(kind_named("file"), bytes_of(words[0]));
  *at = 1;
  return from_int(mprotect(at, bytes_of(words[0]), kExecute), -1);
}

// ---- locked; words: what kind of memory, amount ----

static struct outcome call_mlock_of(char** words) {
  const size_t bytes = bytes_of(words[1]);
  return from_int(mlock(map_kind(kind_named(words[0]), bytes), bytes), -1);
}

// ---- memory files that are full; words: size of the file system, amount ----

static struct outcome call_fallocate_tmpfs(char** words) {
  char at[64], options[64];
  snprintf(options, sizeof options, "size=%lldk", (long long)amount_kb(words[0]));
  mount_here("tmpfs", 0, options, at);
  const int fd = file_on(at, O_RDWR);
  leave(at);
  return from_code(posix_fallocate(fd, 0, (off_t)bytes_of(words[1])), -1);
}
