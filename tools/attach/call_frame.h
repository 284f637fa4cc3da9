// SPDX-License-Identifier: MIT
//
// What a call from outside needs of the processor: registers to begin with, and the signal frame
// that rt_sigreturn gives the thread all of its own back from. One file for each processor.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "tools/attach/process_facts.h"
#include "tools/attach/stopped.h"

namespace ovc {

// Code of the process that a call is made with.
struct Gadgets {
  uint64_t system_call = 0;  // a system call; ret
  uint64_t come_back = 0;    // rt_sigreturn
};
// nullopt if they are not there.
std::optional<Gadgets> find_gadgets(const Memory& memory, const std::vector<MapLine>& lines);

using CallArguments = std::array<uint64_t, 6>;

// Can a call be made in this state, so that the thread notices nothing of it? nullptr, or why not.
const char* why_not_callable(const Registers& registers, bool filtered);

// The thread's registers with which it would do, from user mode, what it does now: a system call
// that the kernel would start again is made again.
Registers as_in_user_mode(const Registers& registers);
// The same, while the kernel still knows how much of a sleep is left.
Registers with_rest_of_sleep(const Registers& registers);
// Is the rt_sigreturn to be made, though we are there? The kernel then forgets that rest.
bool comes_back_by_itself(bool filtered);

// The state of the floating point unit as a signal frame has it. False: it cannot be had, or the
// thread is in a state that such a frame does not hold.
bool save_floats(uint32_t tid, std::vector<unsigned char>& floats);

struct SavedThread {
  Registers registers{};  // as the kernel has them
  uint64_t mask = 0;
  std::vector<unsigned char> floats;
};
struct CallFrame {
  uint64_t at = 0;  // the stack pointer to begin with; what follows lies there
  std::vector<unsigned char> bytes;
  uint64_t returned = 0;  // the stack pointer when rt_sigreturn is made
};
CallFrame lay_frame(const SavedThread& thread, const Gadgets& gadgets, uint64_t top);

Registers start_of_system_call(const Registers& before, const CallFrame& frame,
                               const Gadgets& gadgets, long nr, const CallArguments& args);
Registers start_of_function(const Registers& before, const CallFrame& frame, const Gadgets& gadgets,
                            uint64_t entry, const CallArguments& args);

// Where these bytes lie in the code of that object; 0: nowhere.
uint64_t find_code(const Memory& memory, const std::vector<MapLine>& lines, std::string_view object,
                   std::string_view code);

}  // namespace ovc
