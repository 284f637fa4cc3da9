// SPDX-License-Identifier: MIT
//
// A file of /proc or /sys, open for as long as the object lives. Its number is the program's to use
// and to close at any time, so the shim takes care of three who could meet it: other threads (it is
// moved out of their way, and closed only while it is still ours), forked children
// (close_inherited_files), signal handlers (they wait where there is one thread).
// Rules: as event_lane.cc. No libc, no lock, nothing waits.
#pragma once
#include <cstdint>

namespace ovcshim {

// While one lives, this thread's signals wait, where nobody else runs in the process (is_alone()).
// Around several files one does for all: those inside it cost nothing.
class SignalsWait {
 public:
  SignalsWait();
  ~SignalsWait();
  SignalsWait(const SignalsWait&) = delete;
  SignalsWait& operator=(const SignalsWait&) = delete;

 private:
  bool held_ = false;
  uint64_t mask_ = 0;  // the thread's signal mask, if held_
};

class ProcFile {
 public:
  explicit ProcFile(const char* path);
  ~ProcFile();
  ProcFile(const ProcFile&) = delete;
  ProcFile& operator=(const ProcFile&) = delete;
  bool ok() const { return number_ >= 0; }
  // The kernel's result: bytes, 0 at the end, or -errno.
  long read(void* to, uint64_t bytes);
  // The same of a list of /proc/PID, of which the kernel gives a page at a time: several pages a
  // call. Elsewhere it is as read().
  long read_list(void* to, uint64_t bytes);
  // The same at a place of its own; what read() goes on from is behind it then.
  long read_at(void* to, uint64_t bytes, long offset) {
    offset_ = offset;
    return read(to, bytes);
  }

 private:
  void get_out_of_the_way();
  long taken(long n);  // a reading's result, looked at
  SignalsWait wait_;
  bool alone_;  // no other thread can touch the descriptors: that signals wait is all it takes
  unsigned reads_ = 0;
  long number_, offset_ = 0;
};

// A child forked while another thread had one open: closes what it inherited.
void close_inherited_files();

// libc's __libc_single_threaded: not 0 while it has started no second thread. Without it there may
// always be one.
void note_single_threaded(const char* flag);

// Nobody else runs in this process, as far as libc and note_shared_descriptors() know.
bool is_alone();

// A clone without libc's knowledge that shares the descriptors, or the memory while its parent goes
// on: from now on there may always be another thread.
constexpr bool may_run_beside_us(uint64_t clone_flags) {
  constexpr uint64_t kVm = 0x100, kFiles = 0x400, kVfork = 0x4000;
  return (clone_flags & kFiles) || (clone_flags & (kVm | kVfork)) == kVm;
}
void note_shared_descriptors();

}  // namespace ovcshim
