// SPDX-License-Identifier: MIT
#if defined(__x86_64__)
#include <cpuid.h>
#include <elf.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "tools/attach/call_frame.h"

namespace ovc {
namespace {

constexpr uint64_t kSpares = 64;        // what the floating point state is aligned to
constexpr int64_t kRestOfSleep = -516;  // include/linux/errno.h ERESTART_RESTARTBLOCK

// arch/x86/include/asm/sigframe.h rt_sigframe without its first word: what rt_sigreturn reads.
struct SignalFrame {
  uint64_t flags = 7;  // UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS
  uint64_t link = 0;
  uint64_t alt_stack = 0;
  uint32_t alt_flags = 7, padding = 0;  // no such mode: the thread's own stays (restore_altstack())
  uint64_t alt_size = 0;
  sigcontext context{};
  uint64_t mask = 0;
};
static_assert(offsetof(SignalFrame, context) == 40 && sizeof(sigcontext) == 256);

sigcontext context_of(const Registers& r) {
  sigcontext c{};
  c.r8 = r.r8, c.r9 = r.r9, c.r10 = r.r10, c.r11 = r.r11, c.r12 = r.r12, c.r13 = r.r13;
  c.r14 = r.r14, c.r15 = r.r15, c.rdi = r.rdi, c.rsi = r.rsi, c.rbp = r.rbp, c.rbx = r.rbx;
  c.rdx = r.rdx, c.rax = r.rax, c.rcx = r.rcx, c.rsp = r.rsp, c.rip = r.rip;
  c.eflags = r.eflags;
  c.cs = static_cast<uint16_t>(r.cs), c.__pad0 = static_cast<uint16_t>(r.ss);
  return c;
}

// Bytes of the standard XSAVE layout for these components (Intel SDM vol. 1, 13.4).
uint32_t layout_bytes(uint64_t components) {
  uint32_t most = 576;  // legacy area and header
  for (unsigned i = 2; i < 63; ++i) {
    unsigned size = 0, offset = 0, c = 0, d = 0;
    if (components >> i & 1 && __get_cpuid_count(0xd, i, &size, &offset, &c, &d))
      most = std::max(most, offset + size);
  }
  return most;
}

// What ptrace gives, with the words around it that tell rt_sigreturn what it is
// (arch/x86/kernel/fpu/signal.c check_xstate_in_sigframe()). Without AMX's tiles, for which no task
// has room that has not asked for it.
std::vector<unsigned char> signal_floats(std::vector<unsigned char> state) {
  constexpr size_t kSoftware = 464;
  constexpr uint64_t kTiles = uint64_t{3} << 17;
  uint64_t components = 0;
  std::memcpy(&components, state.data() + kSoftware, sizeof components);
  components &= ~kTiles;
  const uint32_t bytes =
      std::min<uint32_t>(layout_bytes(components), static_cast<uint32_t>(state.size()));
  state.resize(bytes + FP_XSTATE_MAGIC2_SIZE);
  _fpx_sw_bytes words{};
  words.magic1 = FP_XSTATE_MAGIC1;
  words.extended_size = bytes + FP_XSTATE_MAGIC2_SIZE;
  words.xstate_bv = components;
  words.xstate_size = bytes;
  std::memcpy(state.data() + kSoftware, &words, sizeof words);
  const uint32_t last = FP_XSTATE_MAGIC2;
  std::memcpy(state.data() + bytes, &last, sizeof last);
  return state;
}

Registers begun(const Registers& before, const CallFrame& frame) {
  constexpr uint64_t kTrap = 0x100, kBackwards = 0x400;
  Registers r = before;
  r.rsp = frame.at;
  r.eflags &= ~(kTrap | kBackwards);
  r.orig_rax = static_cast<uint64_t>(-1);
  return r;
}

template <typename T>
void put(std::vector<unsigned char>& bytes, uint64_t at, const T& value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

}  // namespace

std::optional<Gadgets> find_gadgets(const Memory& memory, const std::vector<MapLine>& lines) {
  Gadgets found;  // syscall; ret   and   mov $15,%rax; syscall
  found.system_call = find_code(memory, lines, "libc.so.6", std::string_view("\x0f\x05\xc3", 3));
  found.come_back = find_code(memory, lines, "libc.so.6",
                              std::string_view("\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05", 9));
  if (!found.system_call || !found.come_back) return std::nullopt;
  return found;
}

const char* why_not_callable(const Registers& r, bool filtered) {
  constexpr uint64_t kCode64 = 0x33;
  if (r.cs != kCode64) return "it runs 32-bit code";
  // Under a filter the rt_sigreturn is made, and with it the kernel forgets the rest of a sleep.
  if (filtered && is_restarted(r) && static_cast<int64_t>(r.rax) == kRestOfSleep)
    return "it sleeps under a seccomp filter";
  return nullptr;
}

Registers as_in_user_mode(const Registers& r) {
  Registers user = r;
  if (is_restarted(r)) user.rip -= 2, user.rax = r.orig_rax;
  user.orig_rax = static_cast<uint64_t>(-1);
  return user;
}

Registers with_rest_of_sleep(const Registers& r) {
  Registers user = as_in_user_mode(r);
  if (is_restarted(r) && static_cast<int64_t>(r.rax) == kRestOfSleep)
    user.rax = SYS_restart_syscall;
  return user;
}

bool comes_back_by_itself(bool filtered) { return filtered; }

bool save_floats(uint32_t tid, std::vector<unsigned char>& floats) {
  std::vector<unsigned char> state(64 * 1024);
  iovec all{state.data(), state.size()};
  if (ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &all) != 0) return false;
  state.resize(all.iov_len);
  if (state.size() < 576) return false;
  floats = signal_floats(std::move(state));
  return true;
}

// [at] the return address, [at + 8] the frame, then the floating point state.
CallFrame lay_frame(const SavedThread& thread, const Gadgets& gadgets, uint64_t top) {
  const uint64_t room = 8 + sizeof(SignalFrame) + kSpares + thread.floats.size();
  CallFrame frame;
  frame.at = ((top - room) & ~uint64_t{15}) - 8;  // as behind a call instruction
  frame.returned = frame.at + 8;
  const uint64_t floats_at = (frame.returned + sizeof(SignalFrame) + kSpares - 1) & ~(kSpares - 1);
  SignalFrame signal;
  signal.context = context_of(as_in_user_mode(thread.registers));
  signal.mask = thread.mask;
  std::memcpy(&signal.context.fpstate, &floats_at, sizeof floats_at);
  frame.bytes.resize(floats_at - frame.at + thread.floats.size());
  put(frame.bytes, 0, gadgets.come_back);
  put(frame.bytes, 8, signal);
  std::copy(thread.floats.begin(), thread.floats.end(),
            frame.bytes.begin() + static_cast<ptrdiff_t>(floats_at - frame.at));
  return frame;
}

Registers start_of_system_call(const Registers& before, const CallFrame& frame,
                               const Gadgets& gadgets, long nr, const CallArguments& args) {
  Registers r = begun(before, frame);
  r.rip = gadgets.system_call;
  r.rax = static_cast<uint64_t>(nr);
  r.rdi = args[0], r.rsi = args[1], r.rdx = args[2], r.r10 = args[3], r.r8 = args[4];
  r.r9 = args[5];
  return r;
}

Registers start_of_function(const Registers& before, const CallFrame& frame, const Gadgets&,
                            uint64_t entry, const CallArguments& args) {
  Registers r = begun(before, frame);
  r.rip = entry;
  r.rax = 0;
  r.rdi = args[0], r.rsi = args[1], r.rdx = args[2], r.rcx = args[3], r.r8 = args[4];
  r.r9 = args[5];
  return r;
}

}  // namespace ovc

#endif
