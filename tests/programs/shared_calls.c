// SPDX-License-Identifier: MIT
// Shared memory, locks, files, limits and namespaces: each call once as it should be and once
// badly. Prints errno and what came back.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MARK 4242
#define CALL(expression)                                     \
  do {                                                       \
    errno = MARK;                                            \
    const long got_ = (long)(expression);                    \
    const int err_ = errno;                                  \
    printf("%s = %ld, errno %d\n", #expression, got_, err_); \
    fflush(stdout);                                          \
  } while (0)

static int made(const void* address) { return address != MAP_FAILED; }

int main(void) {
  static char page[8192] __attribute__((aligned(4096)));
  const struct rlimit lower = {100, 200}, upside_down = {300, 100};
  struct rlimit old = {0, 0};
  const int id = shmget(IPC_PRIVATE, 1 << 20, IPC_CREAT | 0600);
  CALL(id >= 0);
  CALL(shmget(IPC_PRIVATE, 0, IPC_CREAT | 0600));
  CALL(shmget(0x7eed5eed, 4096, 0));
  void* segment = shmat(id, NULL, 0);
  CALL(made(segment));
  CALL(shmat(-1, NULL, 0));
  CALL(shmdt(segment));
  CALL(shmdt(page + 1));
  CALL(shmctl(id, IPC_RMID, NULL));
  CALL(mlock(page, 4096));
  CALL(mlock((void*)4096, 4096));
  CALL(mlock2(page, 4096, MLOCK_ONFAULT));
  CALL(mlock2(page, 4096, 64));
  CALL(munlock(page, 4096));
  CALL(mlockall(64));
  CALL(mlockall(MCL_CURRENT | MCL_ONFAULT));
  CALL(munlockall());
  const int memory = memfd_create("a name", MFD_CLOEXEC);
  CALL(memory > 2);
  CALL(memfd_create(NULL, 0));
  CALL(ftruncate(memory, 8192));
  CALL(ftruncate64(-1, 1));
  CALL(fallocate(memory, 0, 0, 4096));
  CALL(fallocate64(memory, FALLOC_FL_PUNCH_HOLE, 0, 4096));
  CALL(posix_fallocate(memory, 0, 100));
  CALL(posix_fallocate64(-1, 0, 100));
  char name[32];
  snprintf(name, sizeof name, "/ovcshim-test.%d", (int)getpid());
  const int object = shm_open(name, O_CREAT | O_RDWR, 0600);
  CALL(object > 2);
  CALL(shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600));
  CALL(shm_unlink(name));
  char* mapped = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  CALL(made(mapped));
  CALL(remap_file_pages(mapped, 4096, 0, 1, 0));
  CALL(remap_file_pages(page, 4096, 0, 1, 0));
  CALL(pkey_mprotect(page, 4096, PROT_READ | PROT_WRITE, -1));
  CALL(pkey_mprotect(page, 4096, PROT_READ | PROT_WRITE, 15));
  CALL(pkey_mprotect(page + 1, 4096, PROT_READ, -1));
  CALL(setrlimit(RLIMIT_CORE, &lower));
  CALL(setrlimit(RLIMIT_CORE, &upside_down));
  CALL(setrlimit64((__rlimit_resource_t)99, (const struct rlimit64*)&lower));
  CALL(setrlimit(RLIMIT_CORE, (const struct rlimit*)8));
  CALL(prlimit(0, RLIMIT_CORE, NULL, &old));
  CALL(old.rlim_cur);
  CALL(prlimit64(0, RLIMIT_CORE, (const struct rlimit64*)&upside_down, NULL));
  CALL(unshare(0));
  CALL(unshare(1));
  CALL(setns(-1, 0));
  void* raw = (void*)syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CALL(made(raw));
  CALL(syscall(SYS_mprotect, raw, 4096, PROT_READ | PROT_WRITE));
  CALL(syscall(SYS_mprotect, (char*)raw + 1, 4096, PROT_READ));
  CALL(syscall(SYS_munmap, raw, 4096));
  CALL(syscall(SYS_mmap, NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  CALL(syscall(SYS_madvise, page, 4096, MADV_NORMAL));
  CALL(syscall(SYS_brk, 0) != 0);
  CALL(syscall(SYS_shmget, IPC_PRIVATE, 0, 0600));
  CALL(syscall(SYS_prlimit64, 0, RLIMIT_CORE, &(struct rlimit){90, 190}, NULL));
  CALL(syscall(SYS_memfd_create, NULL, 0));
  CALL(syscall(SYS_wait4, -1, NULL, 0, NULL));
  CALL(syscall(SYS_waitid, P_PID, 1, NULL, WEXITED, NULL));
  CALL(syscall(9999));
  return 0;
}
