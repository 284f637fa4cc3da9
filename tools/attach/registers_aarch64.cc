// SPDX-License-Identifier: MIT
#if defined(__aarch64__)
#include <elf.h>
#include <errno.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "tools/attach/registers.h"
#include "tools/host/proc_files.h"

namespace ovc {
namespace {

constexpr uint32_t kSvc = 0xd4000001;       // svc #0
constexpr unsigned kNumber = 8, kStop = 7;  // x8: the call's number; x7 at a stop by it: 0, 1
constexpr long kEpollPwait2 = 441;
constexpr uint64_t kAtEnd = 1;  // arch/arm64/kernel/ptrace.c PTRACE_SYSCALL_EXIT

int errno_of(long value) { return value == -1 ? errno : 0; }

int get_set(uint32_t tid, int kind, void* to, size_t bytes) {
  iovec all{to, bytes};
  return errno_of(ptrace(PTRACE_GETREGSET, tid, kind, &all));
}

// Of a thread that stands still; false: no code can be read there.
bool is_call_at(uint32_t tid, uint64_t pc) {
  errno = 0;
  const long word = ptrace(PTRACE_PEEKTEXT, tid, pc, nullptr);
  return !errno && static_cast<uint32_t>(word) == kSvc;
}

bool take_as_in_call(uint32_t tid, int number) {
  iovec one{&number, sizeof number};
  return ptrace(PTRACE_SETREGSET, tid, NT_ARM_SYSTEM_CALL, &one) == 0;
}

// The second word of /proc/TID/syscall: x0 as it was when the call began, which the kernel tells of
// a thread that it takes to be in a call. It has forgotten that (forget_syscall()) and forgets it
// again; if ovc ends between, the thread goes on with its EINTR.
std::optional<uint64_t> first_argument(uint32_t tid, int number) {
  if (!take_as_in_call(tid, number)) return std::nullopt;
  const auto text = read_small(fmt::format("/proc/{}/syscall", tid));
  take_as_in_call(tid, -1);
  const size_t at = text ? text->find(" 0x") : std::string::npos;
  if (at == std::string::npos || strtol(text->c_str(), nullptr, 10) != number) return std::nullopt;
  return strtoull(text->c_str() + at, nullptr, 16);
}

// A handler may have just returned to behind a call that it had interrupted: then that word is one
// of the handler's, which is hardly ever a descriptor of the call's kind.
bool is_for(uint32_t tid, long call, uint64_t first) {
  if (call == SYS_semop || call == SYS_semtimedop || call == SYS_rt_sigtimedwait ||
      call == SYS_io_getevents)
    return true;
  char kind[64]{};
  const std::string name = fmt::format("/proc/{}/fd/{}", tid, first);
  if (readlink(name.c_str(), kind, sizeof kind - 1) < 0) return false;
  const bool polls = call == SYS_epoll_pwait || call == kEpollPwait2;
  return !polls || std::string_view(kind) == "anon_inode:[eventpoll]";
}

}  // namespace

int get_registers(uint32_t tid, Registers& to) {
  if (const int failed = get_set(tid, NT_PRSTATUS, &to.user, sizeof to.user)) return failed;
  to.restarted = is_call_at(tid, to.user.pc);
  const bool in_call = to.restarted || is_call_at(tid, to.user.pc - sizeof kSvc);
  to.call = in_call ? static_cast<long>(static_cast<int>(to.user.regs[kNumber])) : -1;
  return 0;
}

int set_registers(uint32_t tid, const Registers& from) {
  iovec all{const_cast<user_regs_struct*>(&from.user), sizeof from.user};
  return errno_of(ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &all));
}

uint64_t stack_pointer(const Registers& r) { return r.user.sp; }
uint64_t instruction_pointer(const Registers& r) { return r.user.pc; }
uint64_t unsaved_return(const Registers& r) { return r.user.regs[30]; }

long call_number(const Registers& r) { return r.call; }

uint64_t call_argument(const Registers& r, unsigned index) { return r.user.regs[index]; }

std::optional<uint64_t> numbered_register(const Registers& r, int number) {
  constexpr int kGeneral = 31, kStack = 31, kProgram = 32;
  if (number >= 0 && number < kGeneral) return r.user.regs[number];
  if (number == kStack) return r.user.sp;
  if (number == kProgram) return r.user.pc;
  return std::nullopt;
}

// Where the signature is, is the same in all processes. The hint (xpaclri) is a no-op on processors
// without it.
uint64_t without_signature(uint64_t address) {
  register uint64_t x30 asm("x30") = address;
  asm("hint 7" : "+r"(x30));
  return x30;
}

uint64_t thread_pointer(uint32_t tid, const Registers&) {
  uint64_t pointer[2]{};  // the second, where the processor has one, is of no use here
  return get_set(tid, NT_ARM_TLS, pointer, sizeof pointer) ? 0 : pointer[0];
}

bool is_restarted(const Registers& r) { return r.restarted; }

bool is_call_end(const Registers& r) { return r.user.regs[kStop] == kAtEnd; }

bool is_interrupted(const Registers& r) {
  return !r.restarted && static_cast<long>(r.user.regs[0]) == -EINTR;
}

// The kernel knows nothing of it: a handler that comes before the thread is there, microseconds
// later, finds a call that begins, not one that ends with EINTR.
std::optional<Registers> made_again(uint32_t tid, const Registers& r) {
  const auto first = first_argument(tid, static_cast<int>(r.call));
  if (!first || !is_for(tid, r.call, *first)) return std::nullopt;
  Registers again = r;
  again.user.regs[0] = *first;
  again.user.pc -= sizeof kSvc;
  again.restarted = true;
  return again;
}

}  // namespace ovc

#endif
