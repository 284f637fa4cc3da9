// SPDX-License-Identifier: MIT
//
// The exec family. The record is committed before the call; on success the next thing in the log
// about this pid is a kStart. Nothing is held across the call: a vfork child that execs leaves its
// parent's memory as it found it.
#include <stdarg.h>
#include <unistd.h>

#include "shim/interpose/interpose.h"
#include "shim/record/exec_args.h"

extern "C" char** environ;

// A null first argument is against the headers' attribute, but libc takes it, so it must reach
// libc.
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wnonnull-compare"

using namespace ovcshim;

namespace {

template <typename Call>
[[gnu::always_inline]] inline int traced_exec(Op op, uint64_t caller, const char* path,
                                              char* const* argv, char* const* environment,
                                              Call call) {
  Event event;
  bool on = g.recording;
  if (on) {
    const ExecArgs given = exec_args(argv, environment);
    set_args(event, given.arguments, given.passes_shim_on, given.environment);
    on = begin(event, op, When::kIntent, Freshness::kCheap, caller, here(), path);
  }
  const int result = call();
  if (on && result == -1 && errno == E2BIG) {
    const ExecSize size = exec_size(argv, environment);
    event.base.args[3] = size.bytes, event.base.args[4] = size.longest;
  }
  if (on) finish<Failure::kMinusOne>(event, result);
  return result;
}

// The argument list of an execl call: how many, the terminating null pointer included.
#define OVC_COUNT_LIST(list, first, n)     \
  va_list list;                            \
  va_start(list, first);                   \
  size_t n = 2;                            \
  if (first)                               \
    while (va_arg(list, const char*)) ++n; \
  va_end(list)

// Copies it into `argv`; returns what follows it (execle's environment).
void copy_list(const char* first, va_list list, char** argv) {
  argv[0] = const_cast<char*>(first);
  for (size_t i = 0; argv[i];) argv[++i] = va_arg(list, char*);
}

}  // namespace

OVC_EXPORT int execve(const char* path, char* const* argv, char* const* envp) noexcept {
  return traced_exec(Op::kExecve, OVC_CALLER, path, argv, envp,
                     [=] { return found(next.execve, "execve")(path, argv, envp); });
}
OVC_EXPORT int execveat(int fd, const char* path, char* const* argv, char* const* envp,
                        int flags) noexcept {
  return traced_exec(Op::kExecveat, OVC_CALLER, path, argv, envp,
                     [=] { return found(next.execveat, "execveat")(fd, path, argv, envp, flags); });
}
OVC_EXPORT int fexecve(int fd, char* const* argv, char* const* envp) noexcept {
  return traced_exec(Op::kFexecve, OVC_CALLER, nullptr, argv, envp,
                     [=] { return found(next.fexecve, "fexecve")(fd, argv, envp); });
}
OVC_EXPORT int execv(const char* path, char* const* argv) noexcept {
  return traced_exec(Op::kExecv, OVC_CALLER, path, argv, environ,
                     [=] { return found(next.execv, "execv")(path, argv); });
}
OVC_EXPORT int execvp(const char* file, char* const* argv) noexcept {
  return traced_exec(Op::kExecvp, OVC_CALLER, file, argv, environ,
                     [=] { return found(next.execvp, "execvp")(file, argv); });
}
OVC_EXPORT int execvpe(const char* file, char* const* argv, char* const* envp) noexcept {
  return traced_exec(Op::kExecvpe, OVC_CALLER, file, argv, envp,
                     [=] { return found(next.execvpe, "execvpe")(file, argv, envp); });
}

// The list forms become vector forms on the stack, as libc does it.
OVC_EXPORT int execl(const char* path, const char* arg, ...) noexcept {
  OVC_COUNT_LIST(counted, arg, n);
  auto** argv = static_cast<char**>(__builtin_alloca(n * sizeof(char*)));
  va_list list;
  va_start(list, arg);
  copy_list(arg, list, argv);
  va_end(list);
  return traced_exec(Op::kExecl, OVC_CALLER, path, argv, environ,
                     [=] { return found(next.execv, "execv")(path, argv); });
}
OVC_EXPORT int execlp(const char* file, const char* arg, ...) noexcept {
  OVC_COUNT_LIST(counted, arg, n);
  auto** argv = static_cast<char**>(__builtin_alloca(n * sizeof(char*)));
  va_list list;
  va_start(list, arg);
  copy_list(arg, list, argv);
  va_end(list);
  return traced_exec(Op::kExeclp, OVC_CALLER, file, argv, environ,
                     [=] { return found(next.execvp, "execvp")(file, argv); });
}
OVC_EXPORT int execle(const char* path, const char* arg, ...) noexcept {
  OVC_COUNT_LIST(counted, arg, n);
  auto** argv = static_cast<char**>(__builtin_alloca(n * sizeof(char*)));
  va_list list;
  va_start(list, arg);
  copy_list(arg, list, argv);
  auto** envp = va_arg(list, char**);
  va_end(list);
  return traced_exec(Op::kExecle, OVC_CALLER, path, argv, envp,
                     [=] { return found(next.execve, "execve")(path, argv, envp); });
}
