// SPDX-License-Identifier: MIT
//
// What was copied of a thread while it stood still: enough to walk its stack after it has gone on.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "tools/attach/tracee.h"

namespace ovc {

struct ThreadState {
  uint32_t tid = 0;
  std::string name;  // raw
  Registers registers{};
  std::vector<unsigned char> stack;  // from the stack pointer on
  int error = 0;                     // why it could not be read; the rest is empty then
};

// The memory of a process, by /proc/PID/mem.
class Memory {
 public:
  explicit Memory(uint32_t pid);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  bool is_open() const { return fd_ >= 0; }
  // How many bytes could be read; written: all or nothing is promised.
  size_t read(uint64_t from, void* to, size_t bytes) const;
  bool write(uint64_t to, const void* from, size_t bytes) const;
  template <typename T>
  bool get(uint64_t from, T& value) const {
    return read(from, &value, sizeof value) == sizeof value;
  }

 private:
  int fd_;
};

// Of a thread that is stopped.
ThreadState copy_state(uint32_t pid, uint32_t tid, const Memory& memory);

// All threads of a process at one moment. Throws Error with the reason where that cannot be had.
class StoppedProcess {
 public:
  // False: a thread did not stop by then (a child of vfork runs, or a disk is waited for); its id
  // is in stubborn(). Threads that end meanwhile are no failure.
  // `except`: a thread that is held already.
  bool stop(uint32_t pid, Deadline until, uint32_t except = 0);
  void let_go() { threads_.clear(); }
  std::vector<Tracee>& threads() { return threads_; }
  int error() const { return error_; }  // of the call that was refused
  uint32_t stubborn() const { return stubborn_; }

 private:
  bool seize_new(uint32_t pid, uint32_t except, std::vector<size_t>& fresh);
  std::vector<Tracee> threads_;
  int error_ = 0;
  uint32_t stubborn_ = 0;
};

}  // namespace ovc
