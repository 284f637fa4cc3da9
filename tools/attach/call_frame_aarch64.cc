// SPDX-License-Identifier: MIT
#if defined(__aarch64__)
#include <elf.h>
#include <errno.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <time.h>

#include <cstddef>
#include <cstring>
#include <string_view>

#include "tools/attach/call_frame.h"

namespace ovc {
namespace {

// arch/arm64/include/uapi/asm/sigcontext.h; the records behind sigcontext in any order, an empty
// one behind the last.
struct RecordHead {
  uint32_t magic, bytes;
};
struct FloatRecord {
  RecordHead head{0x46508001, sizeof(FloatRecord)};  // FPSIMD_MAGIC
  uint32_t status = 0, control = 0;
  unsigned char vectors[32][16]{};
};
static_assert(sizeof(FloatRecord) == 528);

// arch/arm64/kernel/signal.c rt_sigframe: siginfo, ucontext.
struct SignalFrame {
  unsigned char info[128]{};
  uint64_t flags = 0, link = 0;
  uint64_t alt_stack = 0;
  uint32_t alt_flags = 7, padding = 0;  // no such mode: the thread's own stays (restore_altstack())
  uint64_t alt_size = 0;
  uint64_t mask = 0;
  unsigned char more_mask[120]{};
  alignas(16) uint64_t fault_address = 0;
  user_regs_struct registers{};
  alignas(16) FloatRecord floats;
  RecordHead end{};
};
static_assert(offsetof(SignalFrame, fault_address) == 128 + 176 &&
              offsetof(SignalFrame, floats) == 128 + 176 + 288);

bool get_set(uint32_t tid, int kind, void* to, size_t bytes) {
  iovec all{to, bytes};
  return ptrace(PTRACE_GETREGSET, tid, kind, &all) == 0;
}

// include/uapi/linux/elf.h NT_ARM_GCS: a return address that no call has put there is refused then.
bool has_guarded_stack(uint32_t tid) {
  constexpr int kGuardedStack = 0x410;
  uint64_t state[3]{};  // features enabled, locked; the pointer
  return get_set(tid, kGuardedStack, state, sizeof state) && (state[0] & 1);
}

// A sleep for a time, of which the kernel has the rest: it shows the call as made from the start.
bool is_rest_of_sleep(const Registers& r) {
  if (!r.restarted) return false;
  switch (r.call) {
    case SYS_restart_syscall:
    case SYS_nanosleep: return true;
    case SYS_clock_nanosleep: return !(r.user.regs[1] & TIMER_ABSTIME);
    case SYS_futex: {
      constexpr uint64_t kCommand = 127, kWait = 0;
      return (r.user.regs[1] & kCommand) == kWait && r.user.regs[3] != 0;
    }
    default: return false;
  }
}

Registers begun(const Registers& before, const CallFrame& frame, const Gadgets& gadgets,
                uint64_t at, const CallArguments& args) {
  constexpr unsigned kLink = 30;
  Registers r = before;
  r.user.pc = at;
  r.user.sp = frame.at;
  r.user.regs[kLink] = gadgets.come_back;
  for (unsigned i = 0; i < args.size(); ++i) r.user.regs[i] = args[i];
  return r;
}

}  // namespace

std::optional<Gadgets> find_gadgets(const Memory& memory, const std::vector<MapLine>& lines) {
  Gadgets found;  // svc #0; ret   and   mov x8, #139; svc #0
  found.system_call = find_code(memory, lines, "libc.so.6",
                                std::string_view("\x01\x00\x00\xd4\xc0\x03\x5f\xd6", 8));
  found.come_back =
      find_code(memory, lines, "[vdso]", std::string_view("\x68\x11\x80\xd2\x01\x00\x00\xd4", 8));
  if (!found.system_call || !found.come_back) return std::nullopt;
  return found;
}

const char* why_not_callable(const Registers& r, bool) {
  return is_rest_of_sleep(r) ? "it sleeps for a time, of which the kernel alone knows the rest"
                             : nullptr;
}

Registers as_in_user_mode(const Registers& r) { return r; }
Registers with_rest_of_sleep(const Registers& r) { return r; }
bool comes_back_by_itself(bool) { return true; }

bool save_floats(uint32_t tid, std::vector<unsigned char>& floats) {
  if (has_guarded_stack(tid)) return errno = EOPNOTSUPP, false;
  floats.resize(sizeof(user_fpsimd_struct));
  return get_set(tid, NT_FPREGSET, floats.data(), floats.size());
}

CallFrame lay_frame(const SavedThread& thread, const Gadgets&, uint64_t top) {
  SignalFrame signal;
  signal.mask = thread.mask;
  signal.registers = thread.registers.user;
  user_fpsimd_struct floats;
  std::memcpy(&floats, thread.floats.data(), sizeof floats);
  signal.floats.status = floats.fpsr, signal.floats.control = floats.fpcr;
  std::memcpy(signal.floats.vectors, floats.vregs, sizeof signal.floats.vectors);
  CallFrame frame;
  frame.at = frame.returned = (top - sizeof signal) & ~uint64_t{15};
  frame.bytes.resize(sizeof signal);
  std::memcpy(frame.bytes.data(), &signal, sizeof signal);
  return frame;
}

Registers start_of_system_call(const Registers& before, const CallFrame& frame,
                               const Gadgets& gadgets, long nr, const CallArguments& args) {
  constexpr unsigned kNumber = 8;
  Registers r = begun(before, frame, gadgets, gadgets.system_call, args);
  r.user.regs[kNumber] = static_cast<uint64_t>(nr);
  return r;
}

Registers start_of_function(const Registers& before, const CallFrame& frame, const Gadgets& gadgets,
                            uint64_t entry, const CallArguments& args) {
  return begun(before, frame, gadgets, entry, args);
}

}  // namespace ovc

#endif
