// SPDX-License-Identifier: MIT
//
// Functions that make a child inside libc: spawns, popen and system, daemon, forkpty, C11 threads,
// wordexp. Recorded before they are forwarded. The children of the spawning ones run libc's code in
// our memory until their exec: they call nothing of ours.
#include "shim/interpose/interpose.h"
#include "shim/record/exec_args.h"
#include "shim/record/forking.h"

extern "C" char** environ;

using namespace ovcshim;

namespace {

using SpawnFunction = int(int*, const char*, const posix_spawn_file_actions_t*,
                          const posix_spawnattr_t*, char* const*, char* const*);

// `child` gets a pid, or a descriptor of one.
[[gnu::always_inline]] inline int traced_spawn(Op op, uint64_t caller, SpawnFunction* function,
                                               int* child, const char* path,
                                               const posix_spawn_file_actions_t* actions,
                                               const posix_spawnattr_t* attributes,
                                               char* const* argv, char* const* envp) {
  if (!function) return ENOSYS;  // only a weak reference can have found us
  Event event;
  bool on = g.recording;
  if (on) {
    const ExecArgs given = exec_args(argv, envp);
    set_args(event, 0, given.arguments, given.passes_shim_on, given.environment);
    on = begin(event, op, When::kIntent, Freshness::kCheap, caller, here(), path);
  }
  if (!on) return function(child, path, actions, attributes, argv, envp);
  int own = 0;
  beneath_fork(Beneath::kTakesBack);
  const int code = function(child || op >= Op::kPidfdSpawn ? child : &own, path, actions,
                            attributes, argv, envp);
  beneath_fork(Beneath::kNothing);
  if (code == 0) event.base.args[0] = static_cast<uint64_t>(child ? *child : own);
  if (code == E2BIG) {
    const ExecSize size = exec_size(argv, envp);
    event.base.args[4] = size.bytes, event.base.args[5] = size.longest;
  }
  finish<Failure::kCode>(event, code);
  return code;
}

// Of a command that was not started: what the shell would have been given.
[[gnu::cold]] void measure_command(Event& event, const char* command) {
  const char* const argv[] = {"sh", "-c", command, nullptr};
  const auto list = const_cast<char* const*>(argv);
  const ExecSize size = exec_size(list, environ);
  event.base.args[1] = 3, event.base.args[3] = exec_args(list, environ).environment;
  event.base.args[4] = size.bytes, event.base.args[5] = size.longest;
}

}  // namespace

OVC_EXPORT int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                           const posix_spawnattr_t* attributes, char* const* argv,
                           char* const* envp) {
  auto* function = found(next.posix_spawn, "posix_spawn");
  return traced_spawn(Op::kPosixSpawn, OVC_CALLER, function, pid, path, actions, attributes, argv,
                      envp);
}
OVC_EXPORT int posix_spawnp(pid_t* pid, const char* file, const posix_spawn_file_actions_t* actions,
                            const posix_spawnattr_t* attributes, char* const* argv,
                            char* const* envp) {
  auto* function = found(next.posix_spawnp, "posix_spawnp");
  return traced_spawn(Op::kPosixSpawnp, OVC_CALLER, function, pid, file, actions, attributes, argv,
                      envp);
}
OVC_EXPORT int pidfd_spawn(int* pidfd, const char* path, const posix_spawn_file_actions_t* actions,
                           const posix_spawnattr_t* attributes, char* const* argv,
                           char* const* envp) {
  auto* function = found(next.pidfd_spawn, "pidfd_spawn");
  return traced_spawn(Op::kPidfdSpawn, OVC_CALLER, function, pidfd, path, actions, attributes, argv,
                      envp);
}
OVC_EXPORT int pidfd_spawnp(int* pidfd, const char* file, const posix_spawn_file_actions_t* actions,
                            const posix_spawnattr_t* attributes, char* const* argv,
                            char* const* envp) {
  auto* function = found(next.pidfd_spawnp, "pidfd_spawnp");
  return traced_spawn(Op::kPidfdSpawnp, OVC_CALLER, function, pidfd, file, actions, attributes,
                      argv, envp);
}

// ---- a shell

OVC_EXPORT void* popen(const char* command, const char* mode) {
  Event event;
  set_args(event, 0);
  const bool on =
      begin(event, Op::kPopen, When::kIntent, Freshness::kCheap, OVC_CALLER, here(), command);
  if (on) beneath_fork(Beneath::kTakesBack);
  void* stream = found(next.popen, "popen")(command, mode);
  if (!on) return stream;
  beneath_fork(Beneath::kNothing);
  if (!stream && (errno == E2BIG || errno == ENOMEM))  // ENOMEM is all that glibc before 2.37 says
    measure_command(event, command);
  finish<Failure::kNull>(event, to_word(stream));
  return stream;
}

// Where no shell could be started the status is that of a shell that ends with 127, and only errno
// tells the difference (sysdeps/posix/system.c do_system()); an EINTR there is of a wait that was
// taken up again.
OVC_EXPORT int system(const char* command) {
  Event event;
  set_args(event, command != nullptr);
  const bool on =
      begin(event, Op::kSystem, When::kIntent, Freshness::kCheap, OVC_CALLER, here(), command);
  if (!on) return found(next.system, "system")(command);
  const int before = errno;
  errno = 0;
  beneath_fork(Beneath::kTakesBack);
  const int status = found(next.system, "system")(command);
  beneath_fork(Beneath::kNothing);
  const int err = errno;
  if (err == 0) errno = before;
  if (err == E2BIG) measure_command(event, command);
  end(event, status, command && (status == -1 || status == 127 << 8) && err != 0 && err != EINTR,
      err);
  return status;
}

OVC_EXPORT int wordexp(const char* words, void* to, int flags) {
  constexpr int kNoSpace = 1;  // WRDE_NOSPACE
  Event event;
  set_args(event, flags);
  const bool on =
      begin(event, Op::kWordexp, When::kIntent, Freshness::kCheap, OVC_CALLER, here(), words);
  if (on) beneath_fork(Beneath::kFork);
  const int code = found(next.wordexp, "wordexp")(words, to, flags);
  if (!on) return code;
  beneath_fork(Beneath::kNothing);
  end(event, code, code == kNoSpace, ENOMEM);
  return code;
}

// ---- forks

// The child comes back from it and the parent has gone with _exit(0) (misc/daemon.c): the child
// completes its parent's record.
OVC_EXPORT int daemon(int nochdir, int noclose) noexcept {
  Event event;
  set_args(event, nochdir, noclose);
  const bool on = begin(event, Op::kDaemon, When::kIntent, Freshness::kFresh, OVC_CALLER, here());
  const uint32_t parent = event.base.pid;
  if (on) beneath_fork(Beneath::kFork);
  const int result = found(next.daemon, "daemon")(nochdir, noclose);
  if (!on) return result;
  const int err = errno;
  const Private& p = *g_private;
  if (p.registered && p.pid == parent) {
    fork_done(event, result, err);
    return result;
  }
  child_side(event.position);
  if (!g.recording) return result;  // OVCSHIM_FOLLOW=none: the log is not the child's
  event.base.args[5] = kUnknown;
  end(event, result < 0 ? result : static_cast<int64_t>(p.pid), result < 0, err);
  return result;
}

OVC_EXPORT int forkpty(int* master, char* name, const void* termios, const void* size) noexcept {
  Event event;
  set_args(event, 0);
  const bool on = begin(event, Op::kForkpty, When::kIntent, Freshness::kFresh, OVC_CALLER, here());
  if (on) beneath_fork(Beneath::kFork);
  const int pid = found(next.forkpty, "forkpty")(master, name, termios, size);
  if (!on) return pid;
  if (pid == 0) child_side(event.position);
  else fork_done(event, pid, errno);
  return pid;
}

// nptl/thrd_priv.h: whatever pthread_create says but ENOMEM, EBUSY and ETIMEDOUT is thrd_error, and
// with default attributes that is EAGAIN alone (nptl/pthread_create.c).
OVC_EXPORT int thrd_create(unsigned long* thread, int (*start)(void*), void* arg) {
  constexpr int kError = 2, kNoMemory = 3;
  Event event;
  set_args(event, 0, reinterpret_cast<uint64_t>(start));
  const bool on =
      begin(event, Op::kThrdCreate, When::kIntent, Freshness::kCheap, OVC_CALLER, here());
  if (on) beneath_fork(Beneath::kFork);
  const int code = found(next.thrd_create, "thrd_create")(thread, start, arg);
  if (!on) return code;
  beneath_fork(Beneath::kNothing);
  end(event, code, code != 0, code == kNoMemory ? ENOMEM : code == kError ? EAGAIN : 0);
  return code;
}
