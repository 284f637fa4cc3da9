// SPDX-License-Identifier: MIT
//
// A process of a given shape that forks when told. Arguments: KIND=KB mappings to make, none of
// them touched:
//   ac   private writable            nr    the same with MAP_NORESERVE      dc    the same as ac
//                                          with MADV_DONTFORK
//   sh   shared, with what it maps   wf    the same as ac, MADV_WIPEONFORK  ro    written to once,
//                                          then made read-only
//   huge pages of MAP_HUGETLB
// Then one command a line on standard input, one line of answer each:
//   fork      "passed", or "refused ENOMEM": a child that waits until the next command, so that its
//             charge can be seen
//   grow KB   "grown", or "refused ENOMEM": one more ac mapping
//   end       ends
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int map(const char* kind, size_t bytes) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
  if (strcmp(kind, "nr") == 0) flags |= MAP_NORESERVE;
  if (strcmp(kind, "sh") == 0) flags = MAP_SHARED | MAP_ANONYMOUS;
  if (strcmp(kind, "huge") == 0) flags |= MAP_HUGETLB;
  // A guard on each side keeps the kernel from merging it with a neighbour.
  char* room = mmap(NULL, bytes + 8 * 1048576, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return -1;
  char* aligned = (char*)(((size_t)room + 4 * 1048576) & ~(size_t)(2 * 1048576 - 1));
  char* at = mmap(aligned, bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, -1, 0);
  if (at == MAP_FAILED) return -1;
  if (strcmp(kind, "dc") == 0) return madvise(at, bytes, MADV_DONTFORK);
  if (strcmp(kind, "wf") == 0) return madvise(at, bytes, MADV_WIPEONFORK);
  if (strcmp(kind, "ro") == 0) return at[0] = 1, mprotect(at, bytes, PROT_READ);
  return 0;
}

static pid_t child = -1;
static int to_child = -1;

static void end_child(void) {
  if (child <= 0) return;
  close(to_child);
  waitpid(child, NULL, 0);
  child = -1;
}

static int fork_waiting(void) {
  int ends[2];
  if (pipe(ends) != 0) return -1;
  child = fork();
  if (child == 0) {
    char byte;
    close(ends[1]);
    _exit(read(ends[0], &byte, 1) != 0);
  }
  const int error = errno;
  close(ends[0]);
  to_child = ends[1];
  if (child < 0) close(ends[1]);
  errno = error;
  return child < 0 ? -1 : 0;
}

static void answer(int result, const char* done) {
  if (result == 0) puts(done);
  else printf("refused %s\n", errno == ENOMEM ? "ENOMEM" : strerror(errno));
  fflush(stdout);
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    char* equals = strchr(argv[i], '=');
    if (!equals) return 2;
    *equals = 0;
    if (map(argv[i], strtoull(equals + 1, NULL, 10) * 1024) != 0)
      return printf("%s: %s\n", argv[i], strerror(errno)), 1;
  }
  answer(0, "ready");
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    end_child();
    if (strncmp(line, "fork", 4) == 0) answer(fork_waiting(), "passed");
    else if (strncmp(line, "grow ", 5) == 0)
      answer(map("ac", strtoull(line + 5, NULL, 10) * 1024), "grown");
    else if (strncmp(line, "end", 3) == 0) break;
    else answer(0, "?");
  }
  end_child();
  return 0;
}
