// SPDX-License-Identifier: MIT
#include "tests/trust/unwind/remote_process.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "shim/proc/proc_file.h"
#include "shim/sys/sys.h"
#include "shim/sys/vdso.h"
#include "shim/unwind/known_stack.h"
#include "shim/unwind/memory.h"

#ifdef __clang__  // those of ProcFile that only its other implementation uses
#pragma clang diagnostic ignored "-Wunused-private-field"
#endif

namespace oracle {
namespace {

uint32_t process = 0;

bool read_there(void* to, uint64_t from, size_t len) {
  const iovec local{to, len}, remote{reinterpret_cast<void*>(from), len};
  return process_vm_readv(static_cast<pid_t>(process), &local, 1, &remote, 1, 0) ==
         static_cast<ssize_t>(len);
}

// /proc/self/X and /proc/thread-self/X are the process's.
std::string path_there(const char* path) {
  const char* name = strrchr(path, '/');
  return "/proc/" + std::to_string(process) + (name ? name : "");
}

}  // namespace

void read_from_process(uint32_t pid) { process = pid; }

namespace {
struct Work {
  void (*work)(void*);
  void* argument;
};
void* run(void* all) {
  const auto* it = static_cast<const Work*>(all);
  it->work(it->argument);
  return nullptr;
}
}  // namespace

void on_a_stack_apart(void (*work)(void*), void* argument) {
  constexpr size_t kBytes = 8u << 20;
  auto* const wanted = reinterpret_cast<void*>(uint64_t{0x10'0000'0000});
  void* at = mmap(wanted, kBytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  Work it{work, argument};
  pthread_attr_t attributes;
  pthread_t thread;
  if (at != wanted || pthread_attr_init(&attributes) != 0 ||
      pthread_attr_setstack(&attributes, at, kBytes) != 0 ||
      pthread_create(&thread, &attributes, run, &it) != 0) {
    perror("a stack apart");
    exit(2);
  }
  pthread_join(thread, nullptr);
}

}  // namespace oracle

// ---- in place of the shim's

namespace ovcshim {

bool copy_memory(void* to, uint64_t from, size_t len) {
  return len != 0 && oracle::read_there(to, from, len);
}
bool copy_by_kernel(void* to, uint64_t from, size_t len) { return copy_memory(to, from, len); }

uint64_t known_stack_top(uint64_t) { return 0; }
uint64_t deepen_known_stack(uint64_t, uint64_t high) { return high; }

namespace sys {
bool readable(const void*) { return false; }  // what is not ours is read by copies
}  // namespace sys

SignalsWait::SignalsWait() = default;
SignalsWait::~SignalsWait() { mask_ = 0; }

ProcFile::ProcFile(const char* path) : alone_(true) {
  number_ = open(oracle::path_there(path).c_str(), O_RDONLY | O_CLOEXEC);
}
ProcFile::~ProcFile() {
  if (ok()) close(static_cast<int>(number_));
}
long ProcFile::read(void* to, uint64_t bytes) {
  const ssize_t got = pread(static_cast<int>(number_), to, bytes, offset_);
  if (got > 0) offset_ += got;
  return got;
}
long ProcFile::read_list(void* to, uint64_t bytes) { return read(to, bytes); }

}  // namespace ovcshim
