// SPDX-License-Identifier: MIT
// Shows: a fork charges its parent's whole charge once more, written to or not; shared memory, and
// what is marked MADV_DONTFORK, does not count. 256 MiB private, 128 MiB of it kept from the child,
// and 64 MiB shared: the child is charged 128 MiB (131,072 kB) and what a bare program has.
// Run and expect (tests/fixtures/promise.sh checks it; `...` stands for anything):
//   $ ovc run -- fork_doubles
//   $ ovc show --op mmap,madvise,fork
//   ... mmap(NULL, 268435456, ..., MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x... charge 262,144 kB ...
//   ... mmap(NULL, 67108864, ..., MAP_SHARED|MAP_ANONYMOUS, -1, 0) = 0x... charge 65,536 kB ...
//   ... madvise(0x..., 134217728, MADV_DONTFORK) = 0 ...
//   ... fork() = ... Committed_AS ... -> ... <- main+... (fork_doubles)
//   $ ovc forks
//   ... fork ... ... kB ... exited, 0; ... page faults main
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  const size_t mib = (size_t)1 << 20;
  char* mine = mmap(NULL, 256 * mib, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  void* ours = mmap(NULL, 64 * mib, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (mine == MAP_FAILED || ours == MAP_FAILED || madvise(mine, 128 * mib, MADV_DONTFORK) != 0)
    return 1;
  pid_t child = fork();
  if (child == 0) _exit(0);
  return child == -1 || waitpid(child, NULL, 0) != child;
}
