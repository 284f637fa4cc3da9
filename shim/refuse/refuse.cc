// SPDX-License-Identifier: MIT
//
// See refuse.h. The stand-ins have the signatures of what they stand for; the wrappers before them
// record as always.
#include "shim/refuse/refuse.h"

#include <errno.h>
#include <sys/mman.h>

#include "shim/providers/providers.h"
#include "shim/record/refusal.h"
#include "shim/refuse/rehearse.h"

namespace ovcshim {

namespace {

constinit InjectSpec injections;
constinit Next real{};  // behind the stand-ins

int inject(Op op, uint64_t size) {
  const OpSet bit = OpSet{1} << static_cast<unsigned>(op);
  for (unsigned i = 0; i < injections.count; ++i) {
    const InjectRule& rule = injections.rules[i];
    if (!(rule.ops & bit) || size < rule.min_size) continue;
    const uint64_t n = __atomic_add_fetch(&g_private->injected[i], 1, __ATOMIC_RELAXED);
    if (!refuses_call(rule, n)) continue;
    t_refusal = {tick_now(), op, kInjected, kUnknown, kUnknown, kUnknown, kUnknown};
    return rule.err;
  }
  return 0;
}

bool refuses(Op op, uint64_t size = 0) {
  const int err = refused(op, nullptr, size);
  if (err) errno = err;
  return err;
}

uint64_t total_size(size_t nmemb, size_t size) {
  size_t total = 0;
  return __builtin_mul_overflow(nmemb, size, &total) ? SIZE_MAX : total;
}

// ---- malloc family: only injected; what the kernel would refuse beneath is refused beneath

void* stand_malloc(size_t size) { return refuses(Op::kMalloc, size) ? nullptr : real.malloc(size); }
void* stand_calloc(size_t nmemb, size_t size) {
  return refuses(Op::kCalloc, total_size(nmemb, size)) ? nullptr : real.calloc(nmemb, size);
}
void* stand_realloc(void* old, size_t size) {
  return refuses(Op::kRealloc, size) ? nullptr : real.realloc(old, size);
}
void* stand_reallocarray(void* old, size_t nmemb, size_t size) {
  return refuses(Op::kReallocarray, total_size(nmemb, size)) ? nullptr
                                                             : real.reallocarray(old, nmemb, size);
}
int stand_posix_memalign(void** to, size_t alignment, size_t size) {
  const int err = refused(Op::kPosixMemalign, nullptr, size);
  return err ? err : real.posix_memalign(to, alignment, size);
}
void* stand_aligned_alloc(size_t alignment, size_t size) {
  return refuses(Op::kAlignedAlloc, size) ? nullptr : real.aligned_alloc(alignment, size);
}
void* stand_memalign(size_t alignment, size_t size) {
  return refuses(Op::kMemalign, size) ? nullptr : real.memalign(alignment, size);
}
void* stand_valloc(size_t size) { return refuses(Op::kValloc, size) ? nullptr : real.valloc(size); }
void* stand_pvalloc(size_t size) {
  return refuses(Op::kPvalloc, size) ? nullptr : real.pvalloc(size);
}

// ---- address space

template <typename... Args>
bool refuses_memory(Op op, uint64_t size, Args... args) {
  const uint64_t list[6] = {(uint64_t)(args)...};
  const int err = refused(op, list, size);
  if (err) errno = err;
  return err;
}

void* stand_mmap(void* addr, size_t len, int prot, int flags, int fd, off_t offset) {
  if (refuses_memory(Op::kMmap, len, addr, len, prot, flags, fd, offset)) return MAP_FAILED;
  return real.mmap(addr, len, prot,
                   static_cast<int>(rehearsed_mmap_flags(static_cast<uint64_t>(flags))), fd,
                   offset);
}
int stand_munmap(void* addr, size_t len) {
  return refuses_memory(Op::kMunmap, len, addr, len) ? -1 : real.munmap(addr, len);
}
int stand_mprotect(void* addr, size_t len, int prot) {
  return refuses_memory(Op::kMprotect, len, addr, len, prot) ? -1 : real.mprotect(addr, len, prot);
}
int stand_madvise(void* addr, size_t len, int advice) {
  return refuses_memory(Op::kMadvise, len, addr, len, advice) ? -1
                                                              : real.madvise(addr, len, advice);
}
int stand_brk(void* addr) { return refuses_memory(Op::kBrk, 0, addr) ? -1 : real.brk(addr); }
void* stand_sbrk(intptr_t increment) {
  const uint64_t size = increment > 0 ? static_cast<uint64_t>(increment) : 0;
  return refuses_memory(Op::kSbrk, size, increment) ? MAP_FAILED : real.sbrk(increment);
}
void* stand_mremap(void* old, size_t old_len, size_t new_len, int flags, ...) {
  __builtin_va_list list;
  __builtin_va_start(list, flags);
  void* to = __builtin_va_arg(list, void*);
  __builtin_va_end(list);
  if (refuses_memory(Op::kMremap, new_len, old, old_len, new_len, flags, to)) return MAP_FAILED;
  return real.mremap(old, old_len, new_len, flags, to);
}

// ---- fork family. vfork asks refused() itself: see interpose_process.cc

pid_t stand_fork() { return refuses(Op::kFork) ? -1 : real.fork(); }
pid_t stand_Fork() { return refuses(Op::kUnderscoreFork) ? -1 : real._Fork(); }
int stand_clone(int (*fn)(void*), void* stack, int flags, void* arg, ...) {
  __builtin_va_list list;
  __builtin_va_start(list, arg);
  auto* parent_tid = __builtin_va_arg(list, void*);
  auto* tls = __builtin_va_arg(list, void*);
  auto* child_tid = __builtin_va_arg(list, void*);
  __builtin_va_end(list);
  if (refuses_memory(Op::kClone, 0, flags, stack)) return -1;
  return real.clone(fn, stack, flags, arg, parent_tid, tls, child_tid);
}
int stand_pthread_create(pthread_t* thread, const pthread_attr_t* attr, void* (*start)(void*),
                         void* arg) {
  const int err = refused(Op::kPthreadCreate, nullptr, 0);
  return err ? err : real.pthread_create(thread, attr, start, arg);
}
int stand_posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                      const posix_spawnattr_t* attr, char* const* argv, char* const* envp) {
  const int err = refused(Op::kPosixSpawn, nullptr, 0);
  return err ? err : real.posix_spawn(pid, path, actions, attr, argv, envp);
}
int stand_posix_spawnp(pid_t* pid, const char* file, const posix_spawn_file_actions_t* actions,
                       const posix_spawnattr_t* attr, char* const* argv, char* const* envp) {
  const int err = refused(Op::kPosixSpawnp, nullptr, 0);
  return err ? err : real.posix_spawnp(pid, file, actions, attr, argv, envp);
}

void* stand_popen(const char* command, const char* mode) {
  return refuses(Op::kPopen) ? nullptr : real.popen(command, mode);
}
// As libc when it cannot start the shell: see interpose_spawn.cc.
int stand_system(const char* command) {
  return command && refuses(Op::kSystem) ? 127 << 8 : real.system(command);
}
int stand_daemon(int nochdir, int noclose) {
  return refuses(Op::kDaemon) ? -1 : real.daemon(nochdir, noclose);
}
int stand_forkpty(int* master, char* name, const void* termios, const void* size) {
  return refuses(Op::kForkpty) ? -1 : real.forkpty(master, name, termios, size);
}
int stand_thrd_create(unsigned long* thread, int (*start)(void*), void* arg) {
  constexpr int kError = 2, kNoMemory = 3;
  const int err = refused(Op::kThrdCreate, nullptr, 0);
  return err ? err == ENOMEM ? kNoMemory : kError : real.thrd_create(thread, start, arg);
}

// ---- shared memory, locks, files

int stand_shmget(key_t key, size_t size, int flags) {
  return refuses_memory(Op::kShmget, size, key, size, flags) ? -1 : real.shmget(key, size, flags);
}
void* stand_shmat(int id, const void* addr, int flags) {
  return refuses(Op::kShmat) ? MAP_FAILED : real.shmat(id, addr, flags);
}
int stand_mlock(const void* addr, size_t len) {
  return refuses(Op::kMlock, len) ? -1 : real.mlock(addr, len);
}
int stand_mlock2(const void* addr, size_t len, unsigned flags) {
  return refuses(Op::kMlock2, len) ? -1 : real.mlock2(addr, len, flags);
}
int stand_mlockall(int flags) { return refuses(Op::kMlockall) ? -1 : real.mlockall(flags); }
int stand_memfd_create(const char* name, unsigned flags) {
  return refuses(Op::kMemfdCreate) ? -1 : real.memfd_create(name, flags);
}
int stand_shm_open(const char* name, int oflag, mode_t mode) {
  return refuses(Op::kShmOpen) ? -1 : real.shm_open(name, oflag, mode);
}
int stand_ftruncate(int fd, off_t length) {
  return refuses(Op::kFtruncate) ? -1 : real.ftruncate(fd, length);
}
int stand_fallocate(int fd, int mode, off_t offset, off_t len) {
  return refuses(Op::kFallocate) ? -1 : real.fallocate(fd, mode, offset, len);
}
int stand_posix_fallocate(int fd, off_t offset, off_t len) {
  const int err = refused(Op::kPosixFallocate, nullptr, 0);
  return err ? err : real.posix_fallocate(fd, offset, len);
}

}  // namespace

int refused(Op op, const uint64_t* args, uint64_t size) {
  if (!g.recording) return 0;
  if (const int err = inject(op, size)) return err;
  // sbrk is brk beneath. Where libc's own calls are visible, fork is refused at its clone, as by
  // the kernel.
  const bool forks =
      op == Op::kFork || op == Op::kUnderscoreFork || op == Op::kDaemon || op == Op::kForkpty;
  if (op == Op::kSbrk || (forks && g.internals)) return 0;
  return rehearsal_refuses(op, args) ? ENOMEM : 0;
}

int refused_syscall(Op op, long* args) {
  const auto* list = reinterpret_cast<const uint64_t*>(args);
  const bool sized = op < Op::kFork && op != Op::kBrk && op != Op::kMlockall &&
                     op != Op::kMunlockall && op != Op::kShmdt;
  const uint64_t size = sized ? list[op == Op::kMremap ? 2 : 1] : 0;
  if (!g.recording) return 0;
  if (const int err = inject(op, size)) return err;
  if (rehearsal_refuses(op, list)) return ENOMEM;
  if (op == Op::kMmap) args[3] = static_cast<long>(rehearsed_mmap_flags(list[3]));
  return 0;
}

void install_refusals(const InjectSpec& inject_spec, const RehearseSpec& rehearse_spec) {
  if (inject_spec.count == 0 && rehearse_spec.mode == kUnknown) return;
  injections = inject_spec;
  if (rehearse_spec.mode != kUnknown) set_rehearsal(rehearse_spec);
  found(next.shm_open, "shm_open");
  found(next.forkpty, "forkpty");
  found(next.thrd_create, "thrd_create");
  real = next;
  set_unrefused(real);
#define STAND(symbol) \
  if (next.symbol) next.symbol = stand_##symbol
  STAND(malloc);
  STAND(calloc);
  STAND(realloc);
  STAND(reallocarray);
  STAND(posix_memalign);
  STAND(aligned_alloc);
  STAND(memalign);
  STAND(valloc);
  STAND(pvalloc);
  STAND(mmap);
  STAND(munmap);
  STAND(mprotect);
  STAND(madvise);
  STAND(brk);
  STAND(sbrk);
  STAND(mremap);
  STAND(fork);
  STAND(clone);
  STAND(pthread_create);
  STAND(posix_spawn);
  STAND(posix_spawnp);
  STAND(popen);
  STAND(system);
  STAND(daemon);
  STAND(forkpty);
  STAND(thrd_create);
  STAND(shmget);
  STAND(shmat);
  STAND(mlock);
  STAND(mlock2);
  STAND(mlockall);
  STAND(memfd_create);
  STAND(shm_open);
  STAND(ftruncate);
  STAND(fallocate);
  STAND(posix_fallocate);
#undef STAND
  if (next._Fork) next._Fork = stand_Fork;
  g.refuses = true;
}

}  // namespace ovcshim
