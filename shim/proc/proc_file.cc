// SPDX-License-Identifier: MIT
//
// See proc_file.h. The kernel gives out the lowest free number and nothing else (fs/file.c
// alloc_fd()), so a thread that closes numbers it does not own (close_range, closefrom) and then
// opens a file can get ours between any two of our calls. Our files can be told by flags that
// nobody else combines. What is left to chance is the time between that look and the close behind
// it.
#include "shim/proc/proc_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

// The last three mean nothing for a file of /proc that is only read, and the kernel keeps them with
// the open file.
constexpr long kOurFlags = O_RDONLY | O_APPEND | O_SYNC | O_NONBLOCK;

// Numbers that were ours, each +1, in plain memory: a forked child finds them. Its descriptors are
// copied before its memory, so what is open there need not be the last one. Another number in the
// same place is forgotten.
constexpr uint32_t kNumbers = 64;
constinit uint32_t g_numbers[kNumbers]{};
constinit bool g_descriptors_shared = false;
constinit bool g_waiting = false;                   // a SignalsWait holds them
constinit const char* g_single_threaded = nullptr;  // libc's

constexpr uint64_t bit(int signal) { return 1ull << (signal - 1); }

// All but what a fault of the shim itself would raise: those are not held back but fatal where they
// are blocked.
constexpr uint64_t kHeld =
    ~(bit(SIGSEGV) | bit(SIGBUS) | bit(SIGILL) | bit(SIGFPE) | bit(SIGTRAP) | bit(SIGSYS));

// False: refused (a sandbox), `before` is not known, and nothing may be released.
bool hold_signals(uint64_t& before) {
  const long answer = sys::call(__NR_rt_sigprocmask, SIG_BLOCK, reinterpret_cast<long>(&kHeld),
                                reinterpret_cast<long>(&before), sizeof before);
  return !sys::failed(answer);
}

void release_signals(uint64_t mask) {
  sys::call(__NR_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&mask), 0, sizeof mask);
}

// Where the look itself is refused (a sandbox), ours is assumed: to leave each one open would be
// felt for certain.
bool is_ours(long number) {
  const long flags = sys::call(__NR_fcntl, number, F_GETFL);
  if (sys::failed(flags)) return flags != -EBADF;
  return (flags & (kOurFlags | O_ACCMODE)) == kOurFlags;
}

void close_if_ours(long number) {
  if (is_ours(number)) sys::call(__NR_close, number);
}

void remember(long number) {
  __atomic_store_n(&g_numbers[number % kNumbers], static_cast<uint32_t>(number + 1),
                   __ATOMIC_RELAXED);
}

// A free number near the top of the 64 that `number` is among: nobody's next file lands there soon,
// and the kernel's table need not grow.
long out_of_the_way(long number) {
  constexpr long kBlock = 64, kTop = 8;
  const long wanted = (number & ~(kBlock - 1)) + kBlock - kTop;
  if (number >= wanted) return number;
  const long moved = sys::call(__NR_fcntl, number, F_DUPFD_CLOEXEC, wanted);
  if (sys::failed(moved)) return number;
  remember(moved);
  close_if_ours(number);
  return moved;
}

}  // namespace

bool is_alone() {
  return g_single_threaded && *g_single_threaded &&
         !__atomic_load_n(&g_descriptors_shared, __ATOMIC_RELAXED);
}

// The flag is written by the one thread there is. A vfork child that is killed here leaves it
// behind: its parent's signals do not wait any more then, and nothing else changes.
SignalsWait::SignalsWait() {
  if (g_waiting || !is_alone()) return;
  held_ = hold_signals(mask_);
  g_waiting = held_;
}

SignalsWait::~SignalsWait() {
  if (!held_) return;
  g_waiting = false;
  release_signals(mask_);
}

ProcFile::ProcFile(const char* path) : alone_(is_alone()) {
  number_ = sys::call(__NR_openat, AT_FDCWD, reinterpret_cast<long>(path), kOurFlags | O_CLOEXEC);
  if (!alone_ && ok()) remember(number_);
}

ProcFile::~ProcFile() {
  if (!alone_) {
    if (ok()) close_if_ours(number_);
    return;
  }
  if (ok()) sys::call(__NR_close, number_);
}

// Short files are read and closed sooner than they could be moved.
void ProcFile::get_out_of_the_way() {
  constexpr unsigned kShort = 2;
  if (!alone_ && reads_++ == kShort) number_ = out_of_the_way(number_);
}

// If the number is somebody else's by now, a read at an offset of ours moves none of theirs and
// takes nothing out of a pipe or socket (pread, preadv: ESPIPE); this look behind it keeps their
// bytes from being taken for the kernel's.
long ProcFile::taken(long n) {
  if (n <= 0) return n;
  offset_ += n;
  return alone_ || is_ours(number_) ? n : -EBADF;
}

long ProcFile::read(void* to, uint64_t bytes) {
  get_out_of_the_way();
  return taken(sys::call(__NR_pread64, number_, reinterpret_cast<long>(to),
                         static_cast<long>(bytes), offset_));
}

// Such a file is read anew for each part (fs/read_write.c do_loop_readv_writev()) as long as the
// part before came back full. It does: the rest of an entry that did not fit comes first, and then
// entries are added until the part is full or the kernel's page is (fs/seq_file.c seq_read_iter()).
// So a part must leave room in the page for a whole entry; one that is longer ends the call early.
long ProcFile::read_list(void* to, uint64_t bytes) {
  constexpr uint64_t kPart = 2048, kMostParts = 4;
  struct {
    uint64_t base, bytes;
  } parts[kMostParts];
  long count = 0;
  for (uint64_t at = 0; at < bytes && count < static_cast<long>(kMostParts); at += kPart)
    parts[count++] = {reinterpret_cast<uint64_t>(to) + at, bytes - at < kPart ? bytes - at : kPart};
  get_out_of_the_way();
  const long n = sys::call(__NR_preadv, number_, reinterpret_cast<long>(parts), count, offset_, 0);
  return sys::failed(n) && n != -EBADF ? read(to, bytes) : taken(n);
}

void close_inherited_files() {
  for (uint32_t& number : g_numbers) {
    if (number) close_if_ours(number - 1);
    number = 0;
  }
}

void note_single_threaded(const char* flag) { g_single_threaded = flag; }

void note_shared_descriptors() { __atomic_store_n(&g_descriptors_shared, true, __ATOMIC_RELAXED); }

}  // namespace ovcshim
