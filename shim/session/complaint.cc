// SPDX-License-Identifier: MIT
//
// See complaint.h. What descriptor 2 is decides how it is written to:
//   pipe, FIFO   vmsplice, which does not wait however the descriptor is set: a reader that does
//   not
//                read, or none, costs the line
//   file         only with O_APPEND (without, a data file has got the number 2 by chance), and only
//                if RLIMIT_FSIZE lets the whole line in
//   socket       of this machine, and not the one on descriptor 0: a service's peer is no log
//   terminal     through an opening of its own that does not wait; in the background under TOSTOP
//                never; nor to the side of a pseudo-terminal where the user types
//   all else     never: an eventfd counts what it is given, a device does anything
#include "shim/session/complaint.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "shim/proc/proc_files.h"
#include "shim/session/told_once.h"
#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

constexpr long kStandardError = 2;

long word(const void* p) { return reinterpret_cast<long>(p); }

constexpr uint64_t bit(int signal) { return uint64_t{1} << (signal - 1); }
constexpr uint64_t kRaised = bit(SIGPIPE) | bit(SIGXFSZ) | bit(SIGTTOU);

// Holds back what a write can raise, and takes away again what it has raised. A signal that is held
// back anyway and pending already is the program's: nothing is added to it.
class HeldSignals {
 public:
  HeldSignals() {
    sys::call(__NR_rt_sigpending, word(&pending_), sizeof pending_);
    held_ = !sys::failed(
        sys::call(__NR_rt_sigprocmask, SIG_BLOCK, word(&kRaised), word(&mask_), sizeof mask_));
  }
  ~HeldSignals() {
    if (held_) sys::call(__NR_rt_sigprocmask, SIG_SETMASK, word(&mask_), 0, sizeof mask_);
  }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;
  bool held() const { return held_; }
  void settle(long result) const {
    if (result == -EPIPE) take_away(SIGPIPE);
    if (result == -EFBIG) take_away(SIGXFSZ);
  }

 private:
  void take_away(int signal) const {
    if (pending_ & bit(signal)) return;
    const uint64_t set = bit(signal);
    const struct { long sec, nsec; } now{0, 0};
    sys::call(__NR_rt_sigtimedwait, word(&set), 0, word(&now), sizeof set);
  }
  uint64_t pending_ = 0, mask_ = 0;
  bool held_;
};

long plain_write(const char* text, uint64_t n) {
  return sys::call(__NR_write, kStandardError, word(text), static_cast<long>(n));
}

// Only between this look and the write can somebody else take the room that is left.
long write_if_room(const char* text, uint64_t n) {
  pollfd there{static_cast<int>(kStandardError), POLLOUT, 0};
  const struct { long sec, nsec; } now{0, 0};
  if (sys::call(__NR_ppoll, word(&there), 1, word(&now), 0, 0) != 1 || there.revents != POLLOUT)
    return -EAGAIN;
  return plain_write(text, n);
}

// The pipe keeps the page as it is, so it is one that nobody else will ever write to.
long write_pipe(const char* text, uint64_t n) {
  const long page = sys::call(__NR_mmap, 0, kPageBytes, 3 /* RW */, 0x22, -1, 0);
  if (sys::failed(page)) return page;
  sys::copy(reinterpret_cast<void*>(page), text, n);
  const struct {
    long base;
    uint64_t length;
  } piece{page, n};
  const long result =
      sys::call(__NR_vmsplice, kStandardError, word(&piece), 1, 2 /* SPLICE_F_NONBLOCK */);
  sys::call(__NR_munmap, page, kPageBytes);
  const bool not_permitted = result == -EPERM || result == -EACCES || result == -ENOSYS;
  return not_permitted ? write_if_room(text, n) : result;
}

long write_file(const char* text, uint64_t n, uint64_t size) {
  struct {
    uint64_t current, maximum;
  } limit{UINT64_MAX, 0};
  sys::call(__NR_prlimit64, 0, 1 /* RLIMIT_FSIZE */, 0, word(&limit));
  return limit.current < n || size > limit.current - n ? -EFBIG : plain_write(text, n);
}

long write_socket(const char* text, uint64_t n, const FileStat& st) {
  FileStat input{};
  int domain = -1;
  unsigned length = sizeof domain;
  if (file_stat(0, "", input) && input.inode == st.inode && input.mode == st.mode) return -EPERM;
  const long told = sys::call(__NR_getsockopt, kStandardError, SOL_SOCKET, SO_DOMAIN, word(&domain),
                              word(&length));
  if (sys::failed(told) || domain != AF_UNIX) return -EPERM;
  return sys::call(__NR_sendto, kStandardError, word(text), static_cast<long>(n),
                   MSG_NOSIGNAL | MSG_DONTWAIT);
}

// drivers/tty/tty_jobctrl.c __tty_check_change(): then a write stops the process, or (SIGTTOU held
// back) goes where nobody wants it.
bool is_unwanted_there(const struct termios& settings) {
  int foreground = 0;
  if (!(settings.c_lflag & TOSTOP)) return false;
  return !sys::failed(sys::call(__NR_ioctl, kStandardError, TIOCGPGRP, word(&foreground))) &&
         foreground != static_cast<int>(sys::call(__NR_getpgid, 0));
}

long write_terminal(const char* text, uint64_t n) {
  struct {
    struct termios settings;
    char more[64];
  } there{};
  int number = 0;
  if (sys::failed(sys::call(__NR_ioctl, kStandardError, TCGETS, word(&there))) ||
      !sys::failed(sys::call(__NR_ioctl, kStandardError, TIOCGPTN, word(&number))) ||
      is_unwanted_there(there.settings))
    return -EPERM;
  const long fd = sys::call(__NR_openat, AT_FDCWD, word("/proc/self/fd/2"),
                            O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (sys::failed(fd)) return fd;
  const long result = sys::call(__NR_write, fd, word(text), static_cast<long>(n));
  sys::call(__NR_close, fd);
  return result;
}

long write_safely(const char* text, uint64_t n) {
  FileStat st{};
  const long flags = sys::call(__NR_fcntl, kStandardError, F_GETFL);
  if (sys::failed(flags) || (flags & O_ACCMODE) == O_RDONLY || flags & O_PATH ||
      !file_stat(kStandardError, "", st))
    return -EBADF;
  switch (st.mode & S_IFMT) {
    case S_IFIFO: return write_pipe(text, n);
    case S_IFREG: return flags & O_APPEND ? write_file(text, n, st.bytes) : -EPERM;
    case S_IFSOCK: return write_socket(text, n, st);
    case S_IFCHR: return write_terminal(text, n);
    default: return -EPERM;
  }
}

}  // namespace

void Complaint::say() {
  *at_++ = '\n';
  const char* what = about_ == About::kLog ? "log" : "rule";
  if (!is_first_to_tell(what)) return;
  const HeldSignals signals;
  const long result =
      signals.held() ? write_safely(text_, static_cast<uint64_t>(at_ - text_)) : -EPERM;
  signals.settle(result);
  if (sys::failed(result)) leave_it_to_others(what);
}

}  // namespace ovcshim
