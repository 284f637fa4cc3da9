// SPDX-License-Identifier: MIT
//
// The rows of exec, limits and waits. See errno_rows.h.
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>

#include "tools/causes/errno_rows.h"

namespace ovc::causes {

using ovcshim::FactKey;

namespace on_exec {
namespace {

constexpr uint64_t kLongestString = 32 * 4096;  // include/uapi/linux/binfmts.h MAX_ARG_STRLEN
constexpr uint64_t kMostByStack = 6 << 20, kLeast = 128 << 10;  // fs/exec.c bprm_stack_limits()

// ---- exec: args: argc, LD_PRELOAD, strings of the environment, bytes of all, of the longest ----
// A spawn has the child before them, a shell command (popen, system) something of its own.

uint64_t given(const Evidence& e, size_t arg) {
  return args_of(e)[arg + (is_exec(op_of(e)) ? 0 : 1)];
}
bool was_measured(const Evidence& e) { return given(e, 3) != 0; }

std::optional<uint64_t> room_for_strings(const Evidence& e) {
  const auto stack = e.fact(FactKey::kRlimitStack);
  if (!stack) return std::nullopt;
  return std::max(std::min(*stack / 4, kMostByStack), kLeast);
}
Holds one_too_long(const Evidence& e) {
  return was_measured(e) ? holds_if(given(e, 4) > kLongestString) : Holds::kMaybe;
}
Holds all_too_long(const Evidence& e) {
  const auto room = room_for_strings(e);
  if (one_too_long(e) == Holds::kYes) return Holds::kNo;
  if (!room || !was_measured(e)) return Holds::kMaybe;
  return given(e, 3) + 8 * (given(e, 0) + given(e, 2)) > *room ? Holds::kYes : Holds::kMaybe;
}
// Before glibc 2.37 popen says ENOMEM for it, too: then only what was measured tells.
Holds popen_one_too_long(const Evidence& e) {
  return holds_if(was_measured(e) && one_too_long(e) == Holds::kYes);
}
Holds popen_all_too_long(const Evidence& e) {
  return holds_if(was_measured(e) && all_too_long(e) == Holds::kYes);
}
void say_strings(const Evidence& e, Finding& finding) {
  if (!was_measured(e)) return;
  add_figure(finding, "arguments and environment", given(e, 3), "bytes", "the call");
  add_figure(finding, "longest string", given(e, 4), "bytes", "the call");
  if (one_too_long(e) == Holds::kYes) return;
  add_figure(finding, "room for them", room_for_strings(e), "bytes",
             "a quarter of RLIMIT_STACK, 128 KiB to 6 MiB");
}
void say_tasks(const Evidence& e, Finding& finding) {
  add_figure(finding, "RLIMIT_NPROC", e.fact(FactKey::kRlimitNproc), "tasks", "getrlimit");
  add_figure(finding, "uid", e.fact(FactKey::kUid), "", "/proc/self/status");
}

// ---- setrlimit(resource, soft, hard), prlimit(pid, resource, soft, hard) ----

struct LimitCall {
  uint64_t resource, soft, hard;
};
LimitCall limit_of(const Evidence& e) {
  const auto& args = args_of(e);
  const unsigned at = op_of(e) == Op::kPrlimit ? 1 : 0;
  return {args[at], args[at + 1], args[at + 2]};
}
Holds resource_unknown(const Evidence& e) { return holds_if(limit_of(e).resource > 15); }
Holds soft_over_hard(const Evidence& e) {
  const LimitCall call = limit_of(e);
  return holds_if(call.soft != ovcshim::kUnknown && call.hard != ovcshim::kUnknown &&
                  call.soft > call.hard);
}
Holds raises_hard(const Evidence& e) {
  const auto hard = e.fact(FactKey::kRlimitHard);
  if (!hard) return Holds::kMaybe;
  return holds_if(limit_of(e).hard != ovcshim::kUnknown && limit_of(e).hard > *hard);
}
Holds over_nr_open(const Evidence& e) {
  return maybe_if(limit_of(e).resource == RLIMIT_NOFILE && raises_hard(e) != Holds::kYes);
}
Holds other_process(const Evidence& e) {
  return maybe_if(op_of(e) == Op::kPrlimit && args_of(e)[0] != 0);
}
void say_hard(const Evidence& e, Finding& finding) {
  add_figure(finding, "hard limit asked for", limit_of(e).hard, "", "the call");
  add_figure(finding, "hard limit now", e.fact(FactKey::kRlimitHard), "", "getrlimit");
}

// ---- waits ----

Holds wait_options(const Evidence& e) {
  constexpr uint64_t kKnown = WNOHANG | WUNTRACED | WCONTINUED | WEXITED | WNOWAIT | 0xe0000000;
  const Op op = op_of(e);
  const uint64_t options = args_of(e)[op == Op::kWaitid ? 2 : 1] & UINT32_MAX;
  const bool waits_for_nothing =
      op == Op::kWaitid && !(options & (WEXITED | WSTOPPED | WCONTINUED));
  return holds_if((options & ~kKnown) || waits_for_nothing);
}

constexpr std::string_view kStrings = "fs/exec.c copy_strings()",
                           kOpen = "fs/exec.c do_open_execat()",
                           kRlimit = "kernel/sys.c do_prlimit()", kWaits = "kernel/exit.c";
using enum Op;

// clang-format off
#define LIMIT_ROWS(op) \
    {op, EINVAL, resource_unknown, kBadArgument, "there is no such resource", kRlimit}, \
    {op, EINVAL, soft_over_hard, kBadArgument, "the soft limit is larger than the hard limit", kRlimit}, \
    {op, EPERM, raises_hard, kNotPermitted, "only CAP_SYS_RESOURCE may raise a hard limit", kRlimit, say_hard}, \
    {op, EPERM, over_nr_open, kNotPermitted, "RLIMIT_NOFILE cannot be larger than fs.nr_open", kRlimit}, \
    {op, EPERM, other_process, kNotPermitted, "the other process is not the caller's (CAP_SYS_RESOURCE)", "kernel/sys.c check_prlimit_permission()"}, \
    {op, EFAULT, nullptr, kBadArgument, "the pointer to the limit cannot be read or written", kRlimit}

constexpr std::string_view kOneTooLong = "one argument or environment string is longer than 128 KiB",
                           kAllTooLong = "the arguments and the environment together are too long: they get a quarter of RLIMIT_STACK",
                           kStackLimits = "fs/exec.c bprm_stack_limits()";
#define LENGTH_ROWS(op) \
    {op, E2BIG, one_too_long, kTooLong, kOneTooLong, kStrings, say_strings}, \
    {op, E2BIG, all_too_long, kTooLong, kAllTooLong, kStackLimits, say_strings}

constexpr ErrnoRow kRows[] = {
    LENGTH_ROWS(kExecve),
    LENGTH_ROWS(kPosixSpawn),
    LENGTH_ROWS(kPopen),
    {kPopen, ENOMEM, popen_one_too_long, kTooLong, kOneTooLong, kStrings, say_strings},
    {kPopen, ENOMEM, popen_all_too_long, kTooLong, kAllTooLong, kStackLimits, say_strings},
    {kExecve, EAGAIN, nullptr, "rlimit-nproc", "the user has more tasks than RLIMIT_NPROC allows, checked again at the exec after a change of user id", "fs/exec.c do_execveat_common()", say_tasks},
    {kExecve, ENOMEM, nullptr, "unknown", "the kernel found no memory for the new image (the host is out of memory, or the memory limit of the control group is reached)", "fs/exec.c alloc_bprm()"},
    {kExecve, ENOENT, nullptr, kBadArgument, "there is no such file, or its interpreter (#!, the dynamic loader) is missing", kOpen},
    {kExecve, EACCES, nullptr, kNotPermitted, "the file may not be executed (its mode, a directory above it, or a file system mounted noexec)", kOpen},
    {kExecve, ENOEXEC, nullptr, kBadArgument, "the file is no program that the kernel can run", "fs/exec.c search_binary_handler()"},
    {kExecve, ENOTDIR, nullptr, kBadArgument, "a part of the path is not a directory", kOpen},
    {kExecve, ETXTBSY, nullptr, kBadArgument, "the file is open for writing", kOpen},
    {kExecve, ELOOP, nullptr, kBadArgument, "too many symbolic links, or interpreters that name each other", kOpen},
    {kExecve, ENAMETOOLONG, nullptr, kBadArgument, "the path is too long", kOpen},
    {kExecve, EISDIR, nullptr, kBadArgument, "the interpreter of the program is a directory", kOpen},
    {kExecve, EFAULT, nullptr, kBadArgument, "a pointer among the arguments cannot be read", kStrings},
    {kExecve, EMFILE, nullptr, kOpenFiles, "the process has as many open files as RLIMIT_NOFILE allows", kOpen},
    {kExecve, ENFILE, nullptr, "file-max", "the host has as many open files as fs.file-max allows", kOpen},
    {kExecve, EINVAL, nullptr, kBadArgument, "a flag is not known, or the program names more than one interpreter", kOpen},
    {kExecve, EPERM, nullptr, kNotPermitted, "the program would gain privileges that are not permitted (set-user-id under a tracer, file capabilities)", "security/commoncap.c"},
    {kExecve, EBADF, nullptr, kBadArgument, "the descriptor is not open (execveat, fexecve)", kOpen},
    {kExecve, EIO, nullptr, kBadArgument, "the file could not be read", kOpen},
    {kPosixSpawn, ENOEXEC, nullptr, kBadArgument, "the file is no program that the kernel can run", "fs/exec.c search_binary_handler()"},
    {kPosixSpawn, ENOTDIR, nullptr, kBadArgument, "a part of the path is not a directory", kOpen},
    {kPosixSpawn, ETXTBSY, nullptr, kBadArgument, "the file is open for writing", kOpen},
    {kPosixSpawn, EBADF, nullptr, kBadArgument, "a file action names a descriptor that is not open", "sysdeps/unix/sysv/linux/spawni.c"},
    {kPosixSpawn, ENOENT, nullptr, kBadArgument, "there is no such file, or its interpreter is missing", kOpen},
    {kPosixSpawn, EACCES, nullptr, kNotPermitted, "the file may not be executed (its mode, a directory above it, or a file system mounted noexec)", kOpen},
    LIMIT_ROWS(kSetrlimit),
    LIMIT_ROWS(kPrlimit),
    {kPrlimit, ESRCH, nullptr, kBadArgument, "there is no such process", kRlimit},
    {kWait, ECHILD, nullptr, kBadArgument, "there is no child to wait for (or SIGCHLD is ignored, so that children are not kept)", kWaits},
    {kWait, EINTR, nullptr, kBadArgument, "a signal came first", kWaits},
    {kWait, EINVAL, wait_options, kBadArgument, "an option is not known, or none of WEXITED, WSTOPPED and WCONTINUED is given to waitid", kWaits},
    {kWait, EBADF, nullptr, kBadArgument, "the pidfd is not open (waitid, P_PIDFD)", kWaits},
    {kWait, EAGAIN, nullptr, kBadArgument, "the pidfd was opened with PIDFD_NONBLOCK, and the process still runs", kWaits},
    {kWait, ESRCH, nullptr, kBadArgument, "there is no such process group", kWaits},
};
#undef LIMIT_ROWS
#undef LENGTH_ROWS
// clang-format on

}  // namespace
}  // namespace on_exec

std::span<const ErrnoRow> exec_errnos() { return on_exec::kRows; }

bool larger_stack_helps(const Evidence& evidence) {
  using namespace on_exec;
  const auto room = room_for_strings(evidence);
  const uint64_t wanted = given(evidence, 3) + 8 * (given(evidence, 0) + given(evidence, 2));
  return was_measured(evidence) && one_too_long(evidence) == Holds::kNo && room &&
         *room < kMostByStack && wanted <= kMostByStack;
}

}  // namespace ovc::causes
