// SPDX-License-Identifier: MIT
//
// The registers of a thread that is stopped, and what they tell of the system call that it is in.
// x86-64: the kernel shows a call that it will start again by its number and a result that programs
// never see. aarch64: it shows the thread as it will go on, at the call's own instruction with the
// first argument back in x0 (arch/arm64/kernel/signal.c do_signal()), and no number: which call it
// is, the instructions tell.
#pragma once
#include <sys/user.h>

#include <cstdint>
#include <optional>

namespace ovc {

#if defined(__aarch64__)
struct Registers {
  user_regs_struct user{};
  long call = -1;          // the number in x8, where a call begins or has just ended
  bool restarted = false;  // it begins
};
#else
using Registers = user_regs_struct;
#endif

// The errno of the failed call, 0: it worked.
int get_registers(uint32_t tid, Registers& to);
int set_registers(uint32_t tid, const Registers& from);

uint64_t stack_pointer(const Registers& registers);
uint64_t instruction_pointer(const Registers& registers);
// aarch64: where the function returns to, perhaps on no stack; 0: there is no such register.
uint64_t unsaved_return(const Registers& registers);
long call_number(const Registers& registers);                        // -1: it is in none
uint64_t call_argument(const Registers& registers, unsigned index);  // 0 to 5
// By the number that libunwind has for it, which is DWARF's.
std::optional<uint64_t> numbered_register(const Registers& registers, int number);
// aarch64: return addresses may be signed (PAC), in their upper bits; without that.
uint64_t without_signature(uint64_t address);
// What is in the register that libc has its thread's variables by; 0: not known.
uint64_t thread_pointer(uint32_t tid, const Registers& registers);

// Is this register state in a system call that the kernel will start again?
bool is_restarted(const Registers& registers);
// At a stop by PTRACE_SYSCALL: is it the call's end?
bool is_call_end(const Registers& registers);

// Has the call been answered with EINTR?
bool is_interrupted(const Registers& registers);
// The state from which such a call is made again; nullopt: it cannot be had.
std::optional<Registers> made_again(uint32_t tid, const Registers& registers);
// At a stop by PTRACE_SYSCALL: does the kernel show one of the registers (x7) as something else?
#if defined(__aarch64__)
inline constexpr bool kCallStopsHideRegisters = true;
#else
inline constexpr bool kCallStopsHideRegisters = false;
#endif

}  // namespace ovc
