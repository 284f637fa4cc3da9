// SPDX-License-Identifier: MIT
#if defined(__x86_64__) || defined(__aarch64__)  // elsewhere: elsewhere.cc
#include "tools/attach/stopped.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "tools/attach/process_facts.h"

namespace ovc {
namespace {

constexpr size_t kStackBytes = 256 * 1024;  // deeper frames are read from the process as it runs on

}  // namespace

Memory::Memory(uint32_t pid)
    : fd_(open(fmt::format("/proc/{}/mem", pid).c_str(), O_RDWR | O_CLOEXEC)) {}

Memory::~Memory() {
  if (fd_ >= 0) close(fd_);
}

size_t Memory::read(uint64_t from, void* to, size_t bytes) const {
  size_t have = 0;
  while (have < bytes) {
    const ssize_t n =
        pread(fd_, static_cast<char*>(to) + have, bytes - have, static_cast<off_t>(from + have));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    have += static_cast<size_t>(n);
  }
  return have;
}

bool Memory::write(uint64_t to, const void* from, size_t bytes) const {
  return pwrite(fd_, from, bytes, static_cast<off_t>(to)) == static_cast<ssize_t>(bytes);
}

ThreadState copy_state(uint32_t pid, uint32_t tid, const Memory& memory) {
  ThreadState state;
  state.tid = tid;
  state.name = thread_name(pid, tid);
  state.error = get_registers(tid, state.registers);
  if (state.error) return state;
  state.stack.resize(kStackBytes);
  state.stack.resize(memory.read(stack_pointer(state.registers), state.stack.data(), kStackBytes));
  return state;
}

// True if none of the threads there was new. A thread that has ended between is none.
bool StoppedProcess::seize_new(uint32_t pid, uint32_t except, std::vector<size_t>& fresh) {
  for (const uint32_t tid : thread_ids(pid)) {
    const auto known = [tid](const Tracee& thread) { return thread.tid() == tid; };
    if (tid == except || std::any_of(threads_.begin(), threads_.end(), known)) continue;
    Tracee& thread = threads_.emplace_back(tid);
    const int failed = thread.seize();
    if (!failed) {
      fresh.push_back(threads_.size() - 1);
      continue;
    }
    threads_.pop_back();
    if (failed == ESRCH) continue;
    error_ = failed;
    return false;
  }
  return true;
}

// A thread that stands still starts no other: when a look at all finds none that is new, all stand.
bool StoppedProcess::stop(uint32_t pid, Deadline until, uint32_t except) {
  threads_.reserve(1024);
  error_ = 0, stubborn_ = 0;
  for (;;) {
    std::vector<size_t> fresh;
    if (!seize_new(pid, except, fresh)) return false;
    if (fresh.empty()) break;
    for (const size_t i : fresh) {
      if (threads_[i].wait_stopped(until) || threads_[i].is_gone()) continue;
      stubborn_ = threads_[i].tid();
      return false;
    }
  }
  if (threads_.empty() && !except) error_ = ESRCH;
  return !error_;
}

}  // namespace ovc

#endif
