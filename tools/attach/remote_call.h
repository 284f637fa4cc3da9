// SPDX-License-Identifier: MIT
//
// Calls of a function, or of a system call, in a stopped thread of another process. No code of the
// process is changed, none is added. A call is one setting of the registers, made when all it needs
// lies in memory below the thread's stack pointer (beyond the 128 bytes that code may use there) or
// in memory that was mapped for it: the thread's registers as a signal frame, with libc's own
// rt_sigreturn (aarch64: the vdso's) as the return address,
// so whatever was called comes back by rt_sigreturn, which gives the thread all of its registers,
// its signal mask and the state of its floating point unit, with us or without us. If ovc dies at
// any moment, the thread ends the call by itself and goes on where it stood.
// With us the rt_sigreturn is caught at its entry and, on x86-64, not made: the registers are then
// set as the kernel had them, with a system call that is to be started again as it was. On aarch64
// the frame holds all that a thread is shown to have, so it is made; not called in is a thread that
// sleeps for a time, of which the kernel alone knows the rest.
#pragma once
#include <cstdint>

#include "tools/attach/call_frame.h"

namespace ovc {

enum class CallEnd : uint8_t {
  kDone,
  kNotBegun,  // nothing was changed
  kCrashed,   // a signal such as SIGSEGV came; the thread stands where it stood before
  kSlow,      // not back in time: it ends by itself, and the thread goes on by itself
  kAlone,     // done, but it did not wait for us: the thread goes on by itself
  kGone,      // the process has ended
};

struct CallResult {
  CallEnd end = CallEnd::kNotBegun;
  int64_t value = 0;   // of a system call
  int64_t mapped = 0;  // what the last mmap in it returned; 0: there was none
  int signal = 0;      // of kCrashed
  int error = 0;       // of the ptrace call that failed, kNotBegun
};

class RemoteCaller {
 public:
  // The thread stands still, in a state that why_not_callable() knows nothing against. `filtered`:
  // a seccomp filter is in force.
  RemoteCaller(Tracee& thread, const Memory& memory, Gadgets gadgets, bool filtered)
      : thread_(thread), memory_(memory), gadgets_(gadgets), filtered_(filtered) {}

  CallResult system_call(long nr, const CallArguments& args, Deadline until);
  // On a stack that ends at `stack_top`, 0: on the thread's own. What it returns is not known.
  // `turn`: address of an AttachTurn by which the function tells that it is done; it runs without a
  // stop until then. 0: it does not, and stops twice for each system call that it makes.
  CallResult function(uint64_t entry, const CallArguments& args, uint64_t stack_top, Deadline until,
                      uint64_t turn = 0);

 private:
  CallResult call(const Registers& start, const CallFrame& frame, Deadline until,
                  uint64_t turn = 0);
  bool save();
  uint64_t own_stack() const;
  std::optional<CallResult> run_to_turn(uint64_t turn, Deadline until);
  CallResult run(uint64_t returned, Deadline until);
  CallResult come_back(CallResult result, Deadline until);
  CallResult rescue(int signal);

  Tracee& thread_;
  const Memory& memory_;
  Gadgets gadgets_;
  bool filtered_;
  SavedThread before_;
};

}  // namespace ovc
