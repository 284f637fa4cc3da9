// SPDX-License-Identifier: MIT
//
// Calls of a function, or of a system call, in a stopped thread of another process. No code of the
// process is changed, none is added. A call is one setting of the registers, made when all it needs
// lies in memory below the thread's stack pointer (beyond the 128 bytes that code may use there) or
// in memory that was mapped for it:
//     [return address: libc's own `mov $15,%eax; syscall`][the thread's registers as a signal
//     frame]
// so whatever was called comes back by rt_sigreturn, which gives the thread all of its registers,
// its signal mask and the state of its floating point unit, with us or without us. If ovc dies at
// any moment, the thread ends the call by itself and goes on where it stood.
// With us the rt_sigreturn is caught at its entry and not made: the registers are then set as the
// kernel had them, with a system call that is to be started again as it was.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/attach/process_facts.h"
#include "tools/attach/stopped.h"

namespace ovc {

// Code of the process that a call is made with.
struct Gadgets {
  uint64_t system_call = 0;  // syscall; ret
  uint64_t come_back = 0;    // mov $15,%rax; syscall
};
// Both in libc; nullopt if they are not there.
std::optional<Gadgets> find_gadgets(const Memory& memory, const std::vector<MapLine>& lines);

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
  // The thread stands still, in a state that is_callable(). `filtered`: a seccomp filter is in
  // force.
  RemoteCaller(Tracee& thread, const Memory& memory, Gadgets gadgets, bool filtered)
      : thread_(thread), memory_(memory), gadgets_(gadgets), filtered_(filtered) {}

  CallResult system_call(long nr, std::array<uint64_t, 6> args, Deadline until);
  // On a stack that ends at `stack_top`, 0: on the thread's own. What it returns is not known.
  // `turn`: address of an AttachTurn by which the function tells that it is done; it runs without a
  // stop until then. 0: it does not, and stops twice for each system call that it makes.
  CallResult function(uint64_t entry, std::array<uint64_t, 6> args, uint64_t stack_top,
                      Deadline until, uint64_t turn = 0);

 private:
  CallResult call(Registers start, uint64_t frame_top, Deadline until, uint64_t turn = 0);
  bool save();
  bool write_frame(uint64_t at) const;
  std::optional<CallResult> run_to_turn(uint64_t turn, Deadline until);
  CallResult run(uint64_t frame, Deadline until);
  CallResult come_back(CallResult result, Deadline until);
  CallResult rescue(int signal);

  Tracee& thread_;
  const Memory& memory_;
  Gadgets gadgets_;
  bool filtered_;
  Registers before_{};  // as the kernel has them
  uint64_t mask_ = 0;
  std::vector<unsigned char> floats_;  // as a signal frame has them
};

// Can a call be made in this state, so that the thread notices nothing of it?
bool is_callable(const Registers& registers, bool filtered);

}  // namespace ovc
