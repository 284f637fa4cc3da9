// SPDX-License-Identifier: MIT
//
// For programs that check shim/libc/libc_patch.cc, one check per run, in a process of its own:
// `PROGRAM CHECK [SECONDS]`. Prints what is wrong; ends with 0 right, 1 wrong, 77 not possible here
// (the reason is printed).
// Such a program takes the place of the shim: the stubs are linked in, ovcshim_libc_syscall is
// here. A program is mapped far from its libraries, out of a stub's reach, so that it has to be
// started through the loader: `ld.so PROGRAM CHECK`.
#pragma once
#include "shim/libc/code_writer.cc"
#include "shim/libc/libc_patch.cc"
#include "shim/libc/loaded_libc.cc"
#include "shim/sys/loaded_objects.cc"
#include "shim/sys/readable.cc"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// A shim that comes late and lies too far away is for tests/e2e/attach.sh.
uint64_t ovcshim::map_near(uint64_t, uint64_t) { return 0; }

using ovcshim::InternalsState;
namespace sys = ovcshim::sys;

namespace {

struct Seen {
  long nr, args[6], result;
  LibcSyscallFrame frame;
  uint64_t top;  // what the site's stack pointer points at
};
constexpr unsigned kMaxSeen = 4096;
Seen seen[kMaxSeen];
unsigned seen_count;
unsigned long calls_seen[512];
long inject_nr = -1, inject_result;  // what the kernel is not asked
void (*visit)();                     // runs inside the hook

ovcshim::CodeWriting writing;
bool wrong;
double load_seconds = 1;
#define EXPECT(condition)                                                          \
  do {                                                                             \
    if (condition) break;                                                          \
    dprintf(1, "line %d: not true: %s (errno %d)\n", __LINE__, #condition, errno); \
    wrong = true;                                                                  \
  } while (0)

[[noreturn]] void skip(const char* why) {
  dprintf(1, "skipped: %s\n", why);
  _exit(77);
}

}  // namespace

// As bare as the recorder's: an instruction set without vector registers, no errno.
extern "C" [[gnu::target("general-regs-only")]] long ovcshim_libc_syscall(
    long nr, const long a[6], const LibcSyscallFrame* frame) {
  if (nr >= kMarkBase) return nr - kMarkBase;
  long result = nr == inject_nr ? inject_result : sys::call(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
  if (visit) visit();
  __atomic_fetch_add(&calls_seen[nr], 1, __ATOMIC_RELAXED);
  unsigned i = __atomic_fetch_add(&seen_count, 1, __ATOMIC_RELAXED);
  if (i < kMaxSeen)
    seen[i] = {nr,
               {a[0], a[1], a[2], a[3], a[4], a[5]},
               result,
               *frame,
               *reinterpret_cast<const uint64_t*>(frame->sp)};
  return result;
}

namespace {

// Since the last forget(): the first call with this number, or nullptr.
const Seen* find_call(long nr, const Seen* after = nullptr) {
  for (unsigned i = after ? static_cast<unsigned>(after - seen) + 1 : 0;
       i < seen_count && i < kMaxSeen; ++i)
    if (seen[i].nr == nr) return &seen[i];
  return nullptr;
}
void forget() { seen_count = 0; }

// The compiler may leave out a malloc whose block nobody uses.
inline void* keep(void* block) {
  asm volatile("" : "+r"(block));
  return block;
}

// Of this process, as the shim hands them over; kUnknown where /proc does not say.
uint64_t threads_now() {
  const int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  char text[1024]{};
  if (fd < 0 || read(fd, text, sizeof text - 1) <= 0) return ovcshim::kUnknown;
  close(fd);
  unsigned long threads = 0;
  const char* rest = strrchr(text, ')');
  return rest && sscanf(rest, ") %*c%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%lu",
                        &threads) == 1
             ? threads
             : ovcshim::kUnknown;
}

void patch() {
  InternalsState state = ovcshim::patch_libc(threads_now(), writing);
  if (state == InternalsState::kUnknownLibc) skip("patch_libc does not know this libc");
  EXPECT(state == InternalsState::kOn);
  if (wrong) _exit(1);
}

const unsigned char* code_of(const char* function) {
  return static_cast<const unsigned char*>(dlsym(RTLD_DEFAULT, function));
}

inline double seconds() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

struct Check {
  const char* name;
  void (*run)();
};

template <size_t kCount>
int run_check(const Check (&checks)[kCount], int argc, char** argv) {
  if (argc > 2) load_seconds = atof(argv[2]);
  for (const Check& check : checks) {
    if (argc < 2 || strcmp(argv[1], check.name) != 0) continue;
    check.run();
    _exit(wrong);
  }
  dprintf(1, "usage: ld.so %s CHECK [SECONDS], where CHECK is one of", argv[0]);
  for (const Check& check : checks) dprintf(1, " %s", check.name);
  dprintf(1, "\n");
  return 2;
}

}  // namespace
