// SPDX-License-Identifier: MIT
#if defined(__x86_64__)
#include <elf.h>
#include <errno.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include <iterator>

#include "tools/attach/registers.h"

namespace ovc {
namespace {

// include/linux/errno.h: what a system call returns within the kernel to be started again
constexpr int kRestartSys = 512, kRestartNoHand = 514, kRestartBlock = 516;

unsigned long long Registers::*const kByNumber[] = {  // libunwind-x86_64.h, which is DWARF's order
    &Registers::rax, &Registers::rdx, &Registers::rcx, &Registers::rbx, &Registers::rsi,
    &Registers::rdi, &Registers::rbp, &Registers::rsp, &Registers::r8,  &Registers::r9,
    &Registers::r10, &Registers::r11, &Registers::r12, &Registers::r13, &Registers::r14,
    &Registers::r15, &Registers::rip};

unsigned long long Registers::*const kArguments[] = {&Registers::rdi, &Registers::rsi,
                                                     &Registers::rdx, &Registers::r10,
                                                     &Registers::r8,  &Registers::r9};

int errno_of(long value) { return value == -1 ? errno : 0; }

}  // namespace

int get_registers(uint32_t tid, Registers& to) {
  iovec all{&to, sizeof to};
  return errno_of(ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &all));
}

int set_registers(uint32_t tid, const Registers& from) {
  iovec all{const_cast<Registers*>(&from), sizeof from};
  return errno_of(ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &all));
}

uint64_t stack_pointer(const Registers& r) { return r.rsp; }
uint64_t instruction_pointer(const Registers& r) { return r.rip; }
uint64_t unsaved_return(const Registers&) { return 0; }

long call_number(const Registers& r) { return static_cast<long>(r.orig_rax); }

uint64_t call_argument(const Registers& r, unsigned index) { return r.*kArguments[index]; }

std::optional<uint64_t> numbered_register(const Registers& r, int number) {
  if (number < 0 || static_cast<size_t>(number) >= std::size(kByNumber)) return std::nullopt;
  return r.*kByNumber[number];
}

uint64_t without_signature(uint64_t address) { return address; }

uint64_t thread_pointer(uint32_t, const Registers& r) { return r.fs_base; }

bool is_restarted(const Registers& r) {
  const auto result = static_cast<long>(r.rax);
  return call_number(r) >= 0 && result <= -kRestartSys && result >= -kRestartBlock;
}

bool is_call_end(const Registers& r) { return r.rax != static_cast<uint64_t>(-ENOSYS); }

bool is_interrupted(const Registers& r) { return static_cast<long>(r.rax) == -EINTR; }

// In this state the kernel starts the call again, or answers EINTR if a handler comes first after
// all (arch/x86/kernel/signal.c handle_signal()).
std::optional<Registers> made_again(uint32_t, const Registers& r) {
  Registers again = r;
  again.rax = static_cast<uint64_t>(-long{kRestartNoHand});
  return again;
}

}  // namespace ovc

#endif
