// SPDX-License-Identifier: MIT
#if defined(__x86_64__) || defined(__aarch64__)  // elsewhere: elsewhere.cc
#include "tools/attach/waiting_calls.h"

#include <fmt/format.h>
#include <sys/syscall.h>

namespace ovc {
namespace {

struct Row {
  long nr;
  const char* name;
  bool for_work;
};

#define OVC_WORK(name) \
  { SYS_##name, #name, true }
#define OVC_OTHER(name) \
  { SYS_##name, #name, false }
constexpr Row kRows[] = {
    OVC_WORK(read),
    OVC_WORK(pread64),
    OVC_WORK(readv),
    OVC_WORK(preadv),
    OVC_WORK(write),
    OVC_WORK(pwrite64),
    OVC_WORK(writev),
    OVC_WORK(sendto),
    OVC_WORK(sendmsg),
    OVC_WORK(sendfile),
    OVC_WORK(recvfrom),
    OVC_WORK(recvmsg),
    OVC_WORK(accept),
    OVC_WORK(accept4),
    OVC_WORK(ppoll),
    OVC_WORK(pselect6),
    OVC_WORK(epoll_pwait),
    OVC_WORK(semtimedop),
    OVC_WORK(semop),
    OVC_WORK(msgrcv),
    OVC_WORK(nanosleep),
    OVC_WORK(clock_nanosleep),
    OVC_WORK(wait4),
    OVC_WORK(waitid),
    OVC_WORK(fsync),
    OVC_WORK(fdatasync),
    OVC_WORK(rt_sigtimedwait),
    OVC_WORK(rt_sigsuspend),
    OVC_WORK(io_getevents),
    OVC_OTHER(futex),
    OVC_OTHER(mmap),
    OVC_OTHER(munmap),
    OVC_OTHER(mprotect),
    OVC_OTHER(madvise),
    OVC_OTHER(brk),
    OVC_OTHER(mremap),
    OVC_OTHER(openat),
    OVC_OTHER(close),
    OVC_OTHER(fcntl),
    OVC_OTHER(flock),
    OVC_OTHER(connect),
    OVC_OTHER(ioctl),
    OVC_OTHER(exit_group),
    OVC_OTHER(rt_sigreturn),
    OVC_OTHER(clone),
    OVC_OTHER(execve),
    OVC_OTHER(restart_syscall),
#if defined(__x86_64__)
    OVC_WORK(poll),
    OVC_WORK(select),
    OVC_WORK(epoll_wait),
    OVC_WORK(pause),
    OVC_OTHER(open),
    OVC_OTHER(vfork),
    OVC_OTHER(fork),
#endif
#ifdef SYS_epoll_pwait2
    OVC_WORK(epoll_pwait2),
#endif
#ifdef SYS_io_uring_enter
    OVC_WORK(io_uring_enter),
#endif
};
#undef OVC_WORK
#undef OVC_OTHER

const Row* row_of(long nr) {
  for (const Row& row : kRows)
    if (row.nr == nr) return &row;
  return nullptr;
}

}  // namespace

std::string call_name(long nr) {
  const Row* row = row_of(nr);
  return row ? row->name : fmt::format("system call {}", nr);
}

bool waits_for_work(long nr) {
  const Row* row = row_of(nr);
  return row && row->for_work;
}

}  // namespace ovc

#endif
