// SPDX-License-Identifier: MIT
// Makes every call that can be refused on request, in a fixed order, each 4 times, and says which
// were refused.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

extern char** environ;
extern pid_t _Fork(void);
extern void* reallocarray(void*, size_t, size_t);

static char page[8192] __attribute__((aligned(4096)));
static volatile size_t size = 200000;  // an event, and not folded away
static void* volatile none;

static int allocated(void* p) {
  const int error = errno;
  free(p);
  return p ? 0 : error;
}
static int mapped(void* p) { return p == MAP_FAILED ? errno : 0; }
static int zero(int result) { return result == 0 ? 0 : errno; }
static int reap(pid_t pid) {
  if (pid < 0) return errno;
  if (pid == 0) _exit(0);
  waitpid(pid, NULL, 0);
  return 0;
}
static int child(void* arg) { return arg != NULL; }
static void* thread_main(void* arg) { return arg; }

static int ask_malloc(void) { return allocated(malloc(size)); }
static int ask_calloc(void) { return allocated(calloc(2, size)); }
static int ask_realloc(void) { return allocated(realloc(none, size)); }
static int ask_reallocarray(void) { return allocated(reallocarray(none, 2, size)); }
static int ask_posix_memalign(void) {
  void* p = NULL;
  const int error = posix_memalign(&p, 64, size);
  free(p);
  return error;
}
static int ask_aligned_alloc(void) { return allocated(aligned_alloc(64, size)); }
static int ask_memalign(void) { return allocated(memalign(64, size)); }
static int ask_valloc(void) { return allocated(valloc(size)); }
static int ask_pvalloc(void) { return allocated(pvalloc(size)); }
static int ask_mmap(void) {
  return mapped(mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}
static int ask_munmap(void) {
  return zero(munmap(mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), size));
}
static int ask_mremap(void) {
  void* p = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return mapped(mremap(p, size, 2 * size, MREMAP_MAYMOVE));
}
static int ask_mprotect(void) { return zero(mprotect(page, 4096, PROT_READ | PROT_WRITE)); }
static int ask_madvise(void) { return zero(madvise(page, 4096, MADV_NORMAL)); }
static int ask_brk(void) { return zero(brk(sbrk(0))); }
static int ask_sbrk(void) { return mapped(sbrk(4096)); }
static int ask_fork(void) { return reap(fork()); }
static int ask_Fork(void) { return reap(_Fork()); }
static int ask_vfork(void) {
  const pid_t pid = vfork();
  if (pid == 0) _exit(0);
  return reap(pid);
}
static int ask_clone(void) { return reap(clone(child, page + sizeof page, SIGCHLD, NULL)); }
static int ask_pthread_create(void) {
  pthread_t thread;
  const int error = pthread_create(&thread, NULL, thread_main, NULL);
  if (!error) pthread_join(thread, NULL);
  return error;
}
static char* program[] = {"true", NULL};
static int ask_posix_spawn(void) {
  pid_t pid = 0;
  const int error = posix_spawn(&pid, "/bin/true", NULL, NULL, program, environ);
  return error ? error : reap(pid);
}
static int ask_posix_spawnp(void) {
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, "true", NULL, NULL, program, environ);
  return error ? error : reap(pid);
}

static int ask_popen(void) {
  FILE* stream = popen("exit 0", "r");
  return stream ? zero(pclose(stream)) : errno;
}
static int ask_system(void) {  // as libc says that no shell could be started
  const int status = system("exit 0");
  return status == 127 << 8 ? errno : status;
}
static int ask_forkpty(void) {
  int terminal = -1;
  const int error = reap(forkpty(&terminal, NULL, NULL, NULL));
  close(terminal);
  return error;
}
static int c11_main(void* arg) { return arg != NULL; }
static int ask_thrd_create(void) {
  thrd_t thread;
  const int code = thrd_create(&thread, c11_main, NULL);
  if (code != thrd_success) return code == thrd_nomem ? ENOMEM : EAGAIN;
  thrd_join(thread, NULL);
  return 0;
}
static int descriptor(int fd) {
  const int error = fd < 0 ? errno : 0;
  if (fd >= 0) close(fd);
  return error;
}
static int ask_shmget(void) {
  const int id = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);
  return id < 0 ? errno : zero(shmctl(id, IPC_RMID, NULL));
}
static int ask_shmat(void) {
  const int id = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);
  void* at = shmat(id, NULL, 0);
  const int error = mapped(at);
  if (!error) shmdt(at);
  shmctl(id, IPC_RMID, NULL);
  return error;
}
static int ask_mlock(void) { return zero(mlock(page, 4096)); }
static int ask_mlockall(void) { return zero(mlockall(MCL_CURRENT | MCL_ONFAULT)); }
static int ask_memfd_create(void) { return descriptor(memfd_create("asks", 0)); }
static int ask_shm_open(void) {
  const int error = descriptor(shm_open("/ovcshim-asks", O_CREAT | O_RDWR, 0600));
  shm_unlink("/ovcshim-asks");
  return error;
}
static int on_file(int (*ask)(int fd)) {
  const int fd = memfd_create("asks", 0), error = ask(fd);
  close(fd);
  return error;
}
static int cut(int fd) { return zero(ftruncate(fd, 4096)); }
static int fill(int fd) { return zero(fallocate(fd, 0, 0, 4096)); }
static int fill_posix(int fd) { return posix_fallocate(fd, 0, 4096); }
static int ask_ftruncate(void) { return on_file(cut); }
static int ask_fallocate(void) { return on_file(fill); }
static int ask_posix_fallocate(void) { return on_file(fill_posix); }
// By their numbers.
static int ask_numbered_clone(void) {
  return reap((pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL));
}
static int ask_numbered_mmap(void) {
  return mapped(
      (void*)syscall(SYS_mmap, NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

#define ROW(name) \
  { #name, ask_##name }
static const struct {
  const char* name;
  int (*ask)(void);
} calls[] = {
    ROW(malloc),
    ROW(calloc),
    ROW(realloc),
    ROW(reallocarray),
    ROW(posix_memalign),
    ROW(aligned_alloc),
    ROW(memalign),
    ROW(valloc),
    ROW(pvalloc),
    ROW(mmap),
    ROW(munmap),
    ROW(mremap),
    ROW(mprotect),
    ROW(madvise),
    ROW(brk),
    ROW(sbrk),
    ROW(fork),
    {"_Fork", ask_Fork},
    ROW(vfork),
    ROW(clone),
    ROW(pthread_create),
    ROW(posix_spawn),
    ROW(posix_spawnp),
    ROW(popen),
    ROW(system),
    ROW(forkpty),
    ROW(thrd_create),
    ROW(shmget),
    ROW(shmat),
    ROW(mlock),
    ROW(mlockall),
    ROW(memfd_create),
    ROW(shm_open),
    ROW(ftruncate),
    ROW(fallocate),
    ROW(posix_fallocate),
    {"clone-by-number", ask_numbered_clone},
    {"mmap-by-number", ask_numbered_mmap},
};

// With names: those only. "NAME:0 0 12 0": errno of each try.
int main(int argc, char** argv) {
  for (size_t i = 0; i < sizeof calls / sizeof calls[0]; ++i) {
    int wanted = argc == 1;
    for (int a = 1; a < argc; ++a) wanted |= strcmp(argv[a], calls[i].name) == 0;
    if (!wanted) continue;
    int got[4];
    for (int n = 0; n < 4; ++n) errno = 0, got[n] = calls[i].ask();
    printf("%s:%d %d %d %d\n", calls[i].name, got[0], got[1], got[2], got[3]);
    fflush(stdout);
  }
  return 0;
}
