// SPDX-License-Identifier: MIT
//
// The rows of the fork family and of namespaces. See errno_rows.h. What asks a namespace of clone
// and unshare is the same code (kernel/nsproxy.c, kernel/user_namespace.c).
#include <sched.h>

#include <csignal>

#include "tools/causes/errno_rows.h"
#include "tools/log/call_text.h"
#include "tools/log/names.h"

namespace ovc::causes {

using ovcshim::FactKey;

namespace on_tasks {
namespace {

constexpr uint64_t kNewTime = 0x80, kNoUid = 65534;  // kernel/sys.c overflowuid
constexpr uint64_t kPrivileged = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                 CLONE_NEWPID | CLONE_NEWNET | kNewTime;
constexpr uint64_t kUnshareKnown = CLONE_THREAD | CLONE_FS | CLONE_SIGHAND | CLONE_VM |
                                   CLONE_FILES | CLONE_SYSVSEM | CLONE_NEWUSER | kPrivileged;

uint64_t flags_of(const Evidence& e) { return args_of(e)[0]; }
bool has(const Evidence& e, uint64_t flags) { return (flags_of(e) & flags) == flags; }
bool new_user(const Evidence& e) { return flags_of(e) & CLONE_NEWUSER; }
bool is_raw(const Evidence& e) { return is_system_call(e.event.base); }

// ---- clone: EINVAL, in the order of copy_process() ----

Holds no_function(const Evidence& e) { return holds_if(!is_raw(e) && args_of(e)[2] == 0); }
Holds no_stack(const Evidence& e) { return holds_if(!is_raw(e) && args_of(e)[1] == 0); }
Holds namespace_and_fs(const Evidence& e) {
  return holds_if(has(e, CLONE_NEWNS | CLONE_FS) || has(e, CLONE_NEWUSER | CLONE_FS));
}
Holds thread_alone(const Evidence& e) {
  return holds_if(has(e, CLONE_THREAD) && !has(e, CLONE_SIGHAND));
}
Holds signals_alone(const Evidence& e) {
  return holds_if(has(e, CLONE_SIGHAND) && !has(e, CLONE_VM));
}
Holds thread_and_namespace(const Evidence& e) {
  return holds_if(has(e, CLONE_THREAD) && (flags_of(e) & (CLONE_NEWUSER | CLONE_NEWPID)));
}
Holds semaphores_and_ipc(const Evidence& e) {
  return holds_if(has(e, CLONE_NEWIPC | CLONE_SYSVSEM));
}
constexpr uint64_t kDetached = 0x400000;  // CLONE_DETACHED, without a meaning since Linux 2.6
constexpr KernelVersion kThreadPidfdSince{6, 9};
Holds pidfd_detached(const Evidence& e) { return holds_if(has(e, CLONE_PIDFD | kDetached)); }
// The descriptor's number goes where the older call has that of the parent's copy of the id.
Holds pidfd_and_id(const Evidence& e) {
  const bool both = has(e, CLONE_PIDFD | CLONE_PARENT_SETTID);
  return is_raw(e) ? maybe_if(both) : holds_if(both);
}
Holds pidfd_of_thread(const Evidence& e) {
  if (!has(e, CLONE_PIDFD | CLONE_THREAD)) return Holds::kNo;
  return e.rules.kernel.known() ? holds_if(e.rules.kernel < kThreadPidfdSince) : Holds::kMaybe;
}
Holds parent_of_init(const Evidence& e) { return maybe_if(has(e, CLONE_PARENT)); }
// Made by number: libc itself gives clone3 nothing unusual.
Holds only_clone3(const Evidence& e) { return maybe_if(e.event.base.flags & ovcshim::kRawSyscall); }

Holds into_group(const Evidence& e) {
  constexpr uint64_t kIntoGroup = 0x200000000;
  return maybe_if(flags_of(e) & kIntoGroup);
}
// Both are libc's: nothing else of what they do ends so.
Holds daemonizes(const Evidence& e) { return holds_if(op_of(e) == Op::kDaemon); }
Holds opens_terminal(const Evidence& e) { return holds_if(op_of(e) == Op::kForkpty); }
Holds terminals(const Evidence& e) { return maybe_if(op_of(e) == Op::kForkpty); }
void say_open_files(const Evidence& e, Finding& finding) {
  add_figure(finding, "RLIMIT_NOFILE", e.fact(FactKey::kRlimitNofile), "descriptors", "getrlimit");
}

// The snapshot of this failure, or the last one before it: processes seldom change their
// namespaces.
std::optional<uint64_t> latest(const Evidence& e, FactKey key) {
  if (const auto value = e.fact(key)) return value;
  return e.baseline ? e.baseline->fact(key) : std::nullopt;
}
bool other_pid_namespace(const Evidence& e) {
  const auto own = latest(e, FactKey::kPidNs), children = latest(e, FactKey::kPidForChildrenNs);
  return own && children && *own != *children;
}
// kernel/pid_namespace.c copy_pid_ns(): only from the namespace that the caller itself is in.
Holds second_pid_namespace(const Evidence& e) {
  return holds_if(has(e, CLONE_NEWPID) && !new_user(e) && other_pid_namespace(e));
}
Holds thread_elsewhere(const Evidence& e) {
  return holds_if(has(e, CLONE_THREAD) && other_pid_namespace(e));
}

// ---- pthread_create ----

bool reached_clone(const Evidence& e) {
  for (const Evidence& inner : e.inner)
    if (inner.event.base.op == Op::kClone) return true;
  return false;
}
// Without attributes, or after the stack was made, it was clone that rejected the thread.
Holds attributes(const Evidence& e) {
  return maybe_if(args_of(e)[0] != 0 && e.inner.empty() && !other_pid_namespace(e));
}
Holds new_thread_elsewhere(const Evidence& e) { return holds_if(other_pid_namespace(e)); }
Holds scheduling(const Evidence& e) { return maybe_if(args_of(e)[0] != 0 && !reached_clone(e)); }
Holds spawn_attributes(const Evidence& e) { return maybe_if(!reached_clone(e)); }

// ---- new namespaces ----

Holds lacks_admin(const Evidence& e) {
  return (flags_of(e) & kPrivileged) && !new_user(e) ? lacks_capability(e, kCapSysAdmin)
                                                     : Holds::kNo;
}
Holds chrooted(const Evidence& e) {
  if (!new_user(e)) return Holds::kNo;
  const auto root = e.fact(FactKey::kChrooted);
  return root ? holds_if(*root == 1) : Holds::kMaybe;
}
Holds id_not_mapped(const Evidence& e) {
  if (!new_user(e)) return Holds::kNo;
  const auto uid = e.fact(FactKey::kUid), gid = e.fact(FactKey::kEgid);
  return maybe_if(!uid || !gid || *uid == kNoUid || *gid == kNoUid);
}
Holds userns_switched_off(const Evidence& e) {
  const auto allowed = e.fact(FactKey::kUsernsClone);
  if (!new_user(e) || allowed != 0) return Holds::kNo;
  return lacks_capability(e, kCapSysAdmin);
}
Holds apparmor_restricts(const Evidence& e) {
  const bool restricted = e.fact(FactKey::kUsernsRestricted).value_or(0) != 0;
  return maybe_if(new_user(e) && restricted && capable(e, kCapSysAdmin) != true);
}
Holds module_denies_user(const Evidence& e) {
  return new_user(e) ? security_module(e) : Holds::kNo;
}
Holds none_allowed(const Evidence& e) {
  const auto limit = e.fact(FactKey::kNamespaceLimit);
  return limit ? holds_if(*limit == 0) : Holds::kMaybe;
}
Holds as_many_as_allowed(const Evidence& e) { return maybe_if(none_allowed(e) != Holds::kYes); }
Holds nested_too_deep(const Evidence& e) {
  return maybe_if(none_allowed(e) != Holds::kYes && (flags_of(e) & (CLONE_NEWUSER | CLONE_NEWPID)));
}
void say_limit(const Evidence& e, Finding& finding) {
  struct Kind {
    uint64_t flag;
    std::string_view label;
  };
  constexpr Kind kKinds[] = {
      {CLONE_NEWUSER, "user.max_user_namespaces"},     {CLONE_NEWNS, "user.max_mnt_namespaces"},
      {CLONE_NEWPID, "user.max_pid_namespaces"},       {CLONE_NEWNET, "user.max_net_namespaces"},
      {CLONE_NEWIPC, "user.max_ipc_namespaces"},       {CLONE_NEWUTS, "user.max_uts_namespaces"},
      {CLONE_NEWCGROUP, "user.max_cgroup_namespaces"}, {kNewTime, "user.max_time_namespaces"},
  };
  for (const Kind& kind : kKinds)
    if (finding.figures.empty() && e.fact(FactKey::kNamespaceLimitKind) == kind.flag)
      add_figure(finding, kind.label, e.fact(FactKey::kNamespaceLimit), "", "/proc/sys/user");
}

// ---- unshare, setns ----

Holds unshare_unknown(const Evidence& e) { return holds_if(flags_of(e) & ~kUnshareKnown); }
Holds has_threads(const Evidence& e) {
  constexpr uint64_t kAlone = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWUSER;
  const auto threads = e.fact(FactKey::kThreads);
  if (!(flags_of(e) & kAlone)) return Holds::kNo;
  return threads ? holds_if(*threads > 1) : Holds::kMaybe;
}
Holds setns_negative(const Evidence& e) { return holds_if(static_cast<int>(flags_of(e)) < 0); }
Holds setns_not_open(const Evidence& e) { return maybe_if(static_cast<int>(flags_of(e)) >= 0); }
Holds setns_lacks_admin(const Evidence& e) { return lacks_capability(e, kCapSysAdmin); }
Holds setns_elsewhere(const Evidence& e) {
  return maybe_if(lacks_capability(e, kCapSysAdmin) != Holds::kYes);
}

constexpr std::string_view kCopy = "kernel/fork.c copy_process()",
                           kNs = "kernel/nsproxy.c copy_namespaces()",
                           kUser = "kernel/user_namespace.c create_user_ns()",
                           kCount = "kernel/ucount.c inc_ucount()",
                           kUnshareSource = "kernel/fork.c check_unshare_flags()",
                           kSetnsSource = "kernel/nsproxy.c setns()";
constexpr std::string_view kLacksAdmin =
    "a new namespace is asked for, and the caller lacks CAP_SYS_ADMIN";
constexpr std::string_view kChroot = "a process inside chroot can make no user namespace";
constexpr std::string_view kNotMapped =
    "the caller's user or group id has no name in its user namespace (uid_map, gid_map)";
constexpr std::string_view kSwitchedOff =
    "user namespaces are for root only here (kernel.unprivileged_userns_clone = 0)";
constexpr std::string_view kAppArmor =
    "AppArmor denies user namespaces to programs without a profile that allows them "
    "(kernel.apparmor_restrict_unprivileged_userns = 1)";
constexpr std::string_view kModuleUser = "a security module does not allow a new user namespace";
constexpr std::string_view kNoneAllowed =
    "no namespace of this kind may be made (user.max_*_namespaces is 0)";
constexpr std::string_view kMost =
    "the user has as many namespaces of this kind as user.max_*_namespaces allows, here or in a "
    "user namespace above";
constexpr std::string_view kDeep = "namespaces are nested 32 deep";
constexpr std::string_view kSecondPidNamespace =
    "after unshare(CLONE_NEWPID) or setns the process has a pid namespace for its children "
    "already: "
    "only they can make another";
constexpr std::string_view kElsewhere =
    "after unshare(CLONE_NEWPID) or setns a process can have no new threads";
using enum Op;

// clang-format off
#define NAMESPACE_ROWS(op) \
    {op, EPERM, lacks_admin, kBadArgument, kLacksAdmin, kNs}, \
    {op, EPERM, chrooted, kNotPermitted, kChroot, kUser}, \
    {op, EPERM, id_not_mapped, kNotPermitted, kNotMapped, kUser}, \
    {op, EPERM, userns_switched_off, kNotPermitted, kSwitchedOff, "Debian's and Arch's kernels"}, \
    {op, EPERM, apparmor_restricts, kSecurityModuleCause, kAppArmor, "security/apparmor/lsm.c apparmor_userns_create()"}, \
    {op, EPERM, module_denies_user, kSecurityModuleCause, kModuleUser, "security/security.c security_create_user_ns()"}, \
    {op, EACCES, apparmor_restricts, kSecurityModuleCause, kAppArmor, "security/apparmor/lsm.c apparmor_userns_create()"}, \
    {op, EACCES, module_denies_user, kSecurityModuleCause, kModuleUser, "security/security.c security_create_user_ns()"}, \
    {op, ENOSPC, none_allowed, kNamespaceLimitCause, kNoneAllowed, kCount, say_limit}, \
    {op, ENOSPC, as_many_as_allowed, kNamespaceLimitCause, kMost, kCount, say_limit}, \
    {op, ENOSPC, nested_too_deep, kNamespaceLimitCause, kDeep, kUser}, \
    {op, EUSERS, nullptr, kNamespaceLimitCause, kDeep, kUser}

constexpr ErrnoRow kRows[] = {
    NAMESPACE_ROWS(kClone),
    {kClone, EINVAL, no_function, kBadArgument, "no function is given", "sysdeps/unix/sysv/linux/x86_64/clone.S"},
    {kClone, EINVAL, no_stack, kBadArgument, "no stack is given", "sysdeps/unix/sysv/linux/x86_64/clone.S"},
    {kClone, EINVAL, namespace_and_fs, kBadArgument, "CLONE_FS excludes CLONE_NEWNS and CLONE_NEWUSER", kCopy},
    {kClone, EINVAL, thread_alone, kBadArgument, "CLONE_THREAD needs CLONE_SIGHAND", kCopy},
    {kClone, EINVAL, signals_alone, kBadArgument, "CLONE_SIGHAND needs CLONE_VM", kCopy},
    {kClone, EINVAL, thread_and_namespace, kBadArgument, "CLONE_THREAD excludes CLONE_NEWUSER and CLONE_NEWPID", kCopy},
    {kClone, EINVAL, semaphores_and_ipc, kBadArgument, "CLONE_NEWIPC excludes CLONE_SYSVSEM", kNs},
    {kClone, EINVAL, thread_elsewhere, kBadArgument, kElsewhere, kCopy},
    {kClone, EINVAL, second_pid_namespace, kBadArgument, kSecondPidNamespace, "kernel/pid_namespace.c copy_pid_ns()"},
    {kClone, EINVAL, pidfd_detached, kBadArgument, "CLONE_PIDFD excludes CLONE_DETACHED", kCopy},
    {kClone, EINVAL, pidfd_and_id, kBadArgument, "CLONE_PIDFD excludes CLONE_PARENT_SETTID (but for clone3): both take the same argument", "kernel/fork.c kernel_clone()"},
    {kClone, EINVAL, pidfd_of_thread, kBadArgument, "CLONE_PIDFD excludes CLONE_THREAD (before Linux 6.9)", kCopy},
    {kClone, EINVAL, parent_of_init, kBadArgument, "CLONE_PARENT is not for the first process of a pid namespace", kCopy},
    {kClone, EINVAL, only_clone3, kBadArgument, "another combination of arguments that the kernel rejects (a stack without a size, an unknown flag, set_tid)", "kernel/fork.c clone3_args_valid()"},
    {kClone, EPERM, only_clone3, kNotPermitted, "set_tid of clone3 needs CAP_CHECKPOINT_RESTORE", "kernel/pid.c alloc_pid()"},
    {kClone, EEXIST, nullptr, kBadArgument, "a process number given in set_tid is in use", "kernel/pid.c alloc_pid()"},
    {kClone, E2BIG, nullptr, kBadArgument, "clone3 was given arguments that are newer than this kernel", "lib/usercopy.c copy_struct_from_user()"},
    {kClone, EMFILE, nullptr, kOpenFiles, "CLONE_PIDFD: the process has as many open files as RLIMIT_NOFILE allows", kCopy, say_open_files},
    {kClone, EBADF, nullptr, kBadArgument, "CLONE_INTO_CGROUP: the descriptor is not one of a control group", "kernel/cgroup/cgroup.c cgroup_css_set_fork()"},
    {kClone, EACCES, into_group, kNotPermitted, "CLONE_INTO_CGROUP: the control group does not permit it", "kernel/cgroup/cgroup.c cgroup_css_set_fork()"},
    {kClone, EOPNOTSUPP, nullptr, kBadArgument, "CLONE_INTO_CGROUP: the group is an invalid one (its cgroup.type)", "kernel/cgroup/cgroup.c cgroup_css_set_fork()"},
    {kClone, EFAULT, nullptr, kBadArgument, "a pointer among the arguments cannot be read or written", kCopy},
    {kFork, ENOSPC, terminals, "file-max", "there are as many terminals as kernel.pty.max allows", "fs/devpts/inode.c devpts_new_index()"},
    {kFork, EMFILE, opens_terminal, kOpenFiles, "the process has as many open files as RLIMIT_NOFILE allows", "fs/file.c alloc_fd()", say_open_files},
    {kFork, ENFILE, opens_terminal, "file-max", "the host has as many open files as fs.file-max allows", "fs/file_table.c alloc_empty_file()"},
    {kFork, EBADF, daemonizes, kBadArgument, "the process was forked, then /dev/null could not be opened: it is missing, or no descriptor is left (RLIMIT_NOFILE)", "misc/daemon.c"},
    {kFork, ENODEV, daemonizes, kBadArgument, "the process was forked, but /dev/null is not the null device", "misc/daemon.c"},
    {kFork, ENOENT, terminals, kBadArgument, "there are no terminals here: /dev/pts or /dev/ptmx is missing", "fs/devpts/inode.c devpts_acquire()"},
    {kClone, EBUSY, nullptr, kBadArgument, "CLONE_INTO_CGROUP: the group hands its resources on to groups below and may hold no process", "kernel/cgroup/cgroup.c cgroup_css_set_fork()"},
    {kPthreadCreate, EINVAL, attributes, kBadArgument, "pthread_create was given invalid attributes", "nptl/pthread_create.c"},
    {kPthreadCreate, EINVAL, new_thread_elsewhere, kBadArgument, kElsewhere, kCopy},
    {kPthreadCreate, EPERM, scheduling, kNotPermitted, "the scheduling policy or priority in the attributes needs CAP_SYS_NICE", "nptl/pthread_create.c"},
    {kPosixSpawn, EPERM, spawn_attributes, kNotPermitted, "an attribute of the spawn (scheduling, session, process group) or the program file is not permitted", "sysdeps/unix/sysv/linux/spawni.c"},
    NAMESPACE_ROWS(kUnshare),
    {kUnshare, EINVAL, unshare_unknown, kBadArgument, "a flag is given that unshare does not know", kUnshareSource},
    {kUnshare, EINVAL, has_threads, kBadArgument, "the process has other threads: then it can have no new user namespace, memory or signal handlers", kUnshareSource},
    {kUnshare, EINVAL, second_pid_namespace, kBadArgument, kSecondPidNamespace, "kernel/pid_namespace.c copy_pid_ns()"},
    {kUnshare, EINVAL, nullptr, kBadArgument, "this kernel is built without a namespace that is asked for", kNs},
    {kSetns, EBADF, setns_negative, kBadArgument, "the descriptor is negative", kSetnsSource},
    {kSetns, EBADF, setns_not_open, kBadArgument, "the descriptor is not open", kSetnsSource},
    {kSetns, EINVAL, nullptr, kBadArgument, "the descriptor is of no namespace or of another kind, or the process has threads or shares its directories", kSetnsSource},
    {kSetns, EPERM, setns_lacks_admin, kNotPermitted, "the caller lacks CAP_SYS_ADMIN", kSetnsSource},
    {kSetns, EPERM, setns_elsewhere, kNotPermitted, "the caller lacks CAP_SYS_ADMIN in the user namespace that owns the other one", kSetnsSource},
    {kSetns, ESRCH, nullptr, kBadArgument, "the process behind the pidfd has ended", kSetnsSource},
};
#undef NAMESPACE_ROWS
// clang-format on

}  // namespace
}  // namespace on_tasks

std::span<const ErrnoRow> task_errnos() { return on_tasks::kRows; }

}  // namespace ovc::causes
