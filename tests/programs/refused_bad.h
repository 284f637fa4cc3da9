// SPDX-License-Identifier: MIT
// Calls of tests/programs/refused.c whose arguments are wrong in themselves, one row each. Part of
// refused_calls.h.
#pragma once
#include "tests/programs/refused_setup.h"

enum { kRw = PROT_READ | PROT_WRITE, kAnon = MAP_PRIVATE | MAP_ANONYMOUS };

static int64_t as_result(void* p) { return (intptr_t)p == -1 || (intptr_t)p == 0 ? -1 : 0; }
static char* three_pages(void) { return map_kind(kind_named("anon"), 3 * kPage); }
static int read_only_file(void) {
  const int fd = temporary_file(kPage);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return open(path, O_RDONLY | O_CLOEXEC);
}
static int code(int err) {
  errno = err;
  return err ? -1 : 0;
}

static int64_t mmap_empty(void) { return as_result(mmap(NULL, 0, kRw, kAnon, -1, 0)); }
static int64_t mmap_no_type(void) {
  return as_result(mmap(NULL, kPage, kRw, MAP_ANONYMOUS, -1, 0));
}
static int64_t mmap_unaligned(void) {
  return as_result(mmap(three_pages() + 8, kPage, kRw, kAnon | MAP_FIXED, -1, 0));
}
static int64_t mmap_offset(void) {
  return as_result(mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, temporary_file(kPage), 100));
}
static int64_t mmap_overflow(void) {
  return as_result(mmap(NULL, 16 * kPage, PROT_READ, MAP_PRIVATE, temporary_file(kPage),
                        INT64_MAX & -(off_t)kPage));
}
static int64_t mmap_no_file(void) {
  return as_result(mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, 987, 0));
}
static int64_t mmap_taken(void) {
  return as_result(mmap(three_pages(), kPage, kRw, kAnon | MAP_FIXED_NOREPLACE, -1, 0));
}
static int64_t mmap_low(void) {
  return as_result(mmap(NULL, kPage, kRw, kAnon | MAP_FIXED, -1, 0));
}
static int64_t mmap_not_writable(void) {
  return as_result(mmap(NULL, kPage, kRw, MAP_SHARED, read_only_file(), 0));
}
static int64_t mmap_directory(void) {
  return as_result(mmap(NULL, kPage, PROT_READ, MAP_PRIVATE,
                        open("/var/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC), 0));
}
static int64_t mprotect_unaligned(void) { return mprotect(three_pages() + 1, kPage, PROT_READ); }
static int64_t mprotect_prot(void) {
  return mprotect(three_pages(), kPage, PROT_READ | PROT_GROWSUP | PROT_GROWSDOWN);
}
static int64_t mprotect_hole(void) {
  char* at = three_pages();
  munmap(at + kPage, kPage);
  return mprotect(at, 3 * kPage, PROT_READ);
}
static int64_t mprotect_unmapped(void) {
  char* at = three_pages();
  munmap(at, 3 * kPage);
  return mprotect(at, kPage, PROT_READ);
}
static int64_t mprotect_not_writable(void) {
  void* at = mmap(NULL, kPage, PROT_READ, MAP_SHARED, read_only_file(), 0);
  return mprotect(at, kPage, kRw);
}
static int64_t munmap_unaligned(void) { return munmap(three_pages() + 4, kPage); }
static int64_t munmap_empty(void) { return munmap(three_pages(), 0); }
static int64_t munmap_outside(void) { return munmap((void*)-(intptr_t)kPage, kPage); }
static int64_t mremap_unmapped(void) {
  char* at = three_pages();
  munmap(at, 3 * kPage);
  return as_result(mremap(at, kPage, 2 * kPage, MREMAP_MAYMOVE));
}
static int64_t mremap_across(void) {
  char* at = three_pages();
  mprotect(at + kPage, kPage, PROT_READ);
  return as_result(mremap(at, 3 * kPage, 4 * kPage, MREMAP_MAYMOVE));
}
static int64_t mremap_empty(void) {
  return as_result(mremap(three_pages(), kPage, 0, MREMAP_MAYMOVE));
}
static int64_t mremap_flags(void) { return as_result(mremap(three_pages(), kPage, 2 * kPage, 64)); }
static int64_t mremap_unaligned(void) {
  return as_result(mremap(three_pages() + 8, kPage, 2 * kPage, MREMAP_MAYMOVE));
}
static int64_t mremap_copy_grow(void) {
  return as_result(
      mremap(three_pages(), kPage, 2 * kPage, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL));
}
static int64_t madvise_hole(void) {
  char* at = three_pages();
  munmap(at + kPage, kPage);
  return madvise(at, 3 * kPage, MADV_DONTFORK);
}
static int sink(void* arg) {
  (void)arg;
  _exit(0);
}
static char bad_stack[4096] __attribute__((aligned(16)));
static int64_t bad_clone(int flags) {
  return clone(sink, bad_stack + sizeof bad_stack, flags, NULL);
}
static int64_t clone_sighand(void) { return bad_clone(CLONE_SIGHAND | SIGCHLD); }
static int64_t clone_thread(void) { return bad_clone(CLONE_THREAD | SIGCHLD); }
static int64_t clone_newns_fs(void) { return bad_clone(CLONE_NEWNS | CLONE_FS | SIGCHLD); }
static int64_t clone_no_stack(void) { return clone(sink, NULL, SIGCHLD, NULL); }
static int64_t clone_no_function(void) {
  return clone(NULL, bad_stack + sizeof bad_stack, SIGCHLD, NULL);
}
static int64_t clone_newnet(void) { return bad_clone(CLONE_NEWNET | SIGCHLD); }
static int64_t clone_newpid(void) { return bad_clone(CLONE_NEWPID | SIGCHLD); }
static int64_t memalign_three(void) {
  void* block = NULL;
  return code(posix_memalign(&block, 3, 100));
}
static int64_t memalign_four(void) {
  void* block = NULL;
  return code(posix_memalign(&block, 4, 1 << 20));
}
static volatile size_t huge = SIZE_MAX;  // the compiler is not to know
static int64_t malloc_huge(void) { return as_result(malloc(huge - kPage)); }
static int64_t calloc_overflow(void) { return as_result(calloc(huge / 2, 4)); }
static int64_t realloc_huge(void) { return as_result(realloc(malloc(10), huge / 2 + 100)); }
static int64_t reallocarray_overflow(void) {
  return as_result(reallocarray(malloc(10), huge / 4, 8));
}
static const struct {
  const char* name;
  int64_t (*make)(void);
} kBadCalls[] = {
    {"mmap-empty", mmap_empty},
    {"mmap-no-type", mmap_no_type},
    {"mmap-unaligned", mmap_unaligned},
    {"mmap-offset", mmap_offset},
    {"mmap-overflow", mmap_overflow},
    {"mmap-no-file", mmap_no_file},
    {"mmap-taken", mmap_taken},
    {"mmap-low", mmap_low},
    {"mmap-not-writable", mmap_not_writable},
    {"mmap-directory", mmap_directory},
    {"mprotect-unaligned", mprotect_unaligned},
    {"mprotect-prot", mprotect_prot},
    {"mprotect-hole", mprotect_hole},
    {"mprotect-unmapped", mprotect_unmapped},
    {"mprotect-not-writable", mprotect_not_writable},
    {"munmap-unaligned", munmap_unaligned},
    {"munmap-empty", munmap_empty},
    {"munmap-outside", munmap_outside},
    {"mremap-unmapped", mremap_unmapped},
    {"mremap-across", mremap_across},
    {"mremap-empty", mremap_empty},
    {"mremap-flags", mremap_flags},
    {"mremap-unaligned", mremap_unaligned},
    {"mremap-copy-grow", mremap_copy_grow},
    {"madvise-hole", madvise_hole},
    {"clone-sighand", clone_sighand},
    {"clone-thread", clone_thread},
    {"clone-newns-fs", clone_newns_fs},
    {"clone-no-stack", clone_no_stack},
    {"clone-no-function", clone_no_function},
    {"clone-newnet", clone_newnet},
    {"clone-newpid", clone_newpid},
    {"posix_memalign-3", memalign_three},
    {"posix_memalign-4", memalign_four},
    {"malloc-huge", malloc_huge},
    {"calloc-overflow", calloc_overflow},
    {"realloc-huge", realloc_huge},
    {"reallocarray-overflow", reallocarray_overflow},
};

static struct outcome bad_call(const char* name) {
  for (size_t i = 0; i < sizeof kBadCalls / sizeof *kBadCalls; i++)
    if (strcmp(kBadCalls[i].name, name) == 0) {
      const int64_t result = kBadCalls[i].make();
      return (struct outcome){result == -1, errno, -1};
    }
  defect(name);
}
