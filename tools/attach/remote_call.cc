// SPDX-License-Identifier: MIT
#if defined(__x86_64__)  // elsewhere: elsewhere.cc
#include "tools/attach/remote_call.h"

#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "shim/format/attach_order.h"

namespace ovc {
namespace {

using ovcshim::AttachTurn;

constexpr uint64_t kRedZone = 128;
constexpr uint64_t kSpares = 64;        // what the floating point state is aligned to
constexpr int64_t kRestOfSleep = -516;  // include/linux/errno.h ERESTART_RESTARTBLOCK
constexpr long kEventStop = PTRACE_EVENT_STOP;

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

// The thread's registers with which it would do, from user mode, what it does now: a system call
// that the kernel would start again is made again.
Registers as_in_user_mode(const Registers& r) {
  Registers user = r;
  if (is_restarted(r)) user.rip -= 2, user.rax = r.orig_rax;
  user.orig_rax = static_cast<uint64_t>(-1);
  return user;
}

// The same, while the kernel still knows how much of a sleep is left.
Registers with_rest_of_sleep(const Registers& r) {
  Registers user = as_in_user_mode(r);
  if (is_restarted(r) && static_cast<int64_t>(r.rax) == kRestOfSleep)
    user.rax = SYS_restart_syscall;
  return user;
}

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

// Signals that code of its own raises stay deliverable: a blocked one would end the program.
uint64_t mask_for_call() {
  uint64_t mask = ~uint64_t{0};
  for (const int raised : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT})
    mask &= ~(uint64_t{1} << (raised - 1));
  return mask;
}

bool is_raised_by_code(int signal) { return !(mask_for_call() >> (signal - 1) & 1); }

bool set_mask(uint32_t tid, uint64_t mask) {
  return ptrace(PTRACE_SETSIGMASK, tid, sizeof mask, &mask) == 0;
}

uint64_t find_code(const Memory& memory, const std::vector<MapLine>& lines, std::string_view code) {
  for (const MapLine& line : lines) {
    if (!line.runs() || !line.is_file() || file_name_of(line.path) != "libc.so.6") continue;
    std::string bytes(line.end - line.start, '\0');
    bytes.resize(memory.read(line.start, bytes.data(), bytes.size()));
    if (const size_t at = bytes.find(code); at != bytes.npos) return line.start + at;
  }
  return 0;
}

}  // namespace

std::optional<Gadgets> find_gadgets(const Memory& memory, const std::vector<MapLine>& lines) {
  Gadgets found;
  found.system_call = find_code(memory, lines, std::string_view("\x0f\x05\xc3", 3));
  found.come_back =
      find_code(memory, lines, std::string_view("\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05", 9));
  if (!found.system_call || !found.come_back) return std::nullopt;
  return found;
}

bool is_callable(const Registers& r, bool filtered) {
  constexpr uint64_t kCode64 = 0x33;
  if (r.cs != kCode64) return false;
  // Under a filter the rt_sigreturn is made, and with it the kernel forgets the rest of a sleep.
  return !(filtered && is_restarted(r) && static_cast<int64_t>(r.rax) == kRestOfSleep);
}

bool RemoteCaller::save() {
  std::vector<unsigned char> state(64 * 1024);
  iovec all{state.data(), state.size()};
  if (get_registers(thread_.tid(), before_) != 0 ||
      ptrace(PTRACE_GETSIGMASK, thread_.tid(), sizeof mask_, &mask_) != 0 ||
      ptrace(PTRACE_GETREGSET, thread_.tid(), NT_X86_XSTATE, &all) != 0)
    return false;
  state.resize(all.iov_len);
  if (state.size() < 576) return false;
  floats_ = signal_floats(std::move(state));
  return true;
}

// [at] the return address, [at + 8] the frame, then the floating point state.
bool RemoteCaller::write_frame(uint64_t at) const {
  SignalFrame frame;
  frame.context = context_of(as_in_user_mode(before_));
  frame.mask = mask_;
  const uint64_t floats_at = (at + 8 + sizeof frame + kSpares - 1) & ~(kSpares - 1);
  std::memcpy(&frame.context.fpstate, &floats_at, sizeof floats_at);
  return memory_.write(floats_at, floats_.data(), floats_.size()) &&
         memory_.write(at + 8, &frame, sizeof frame) &&
         memory_.write(at, &gadgets_.come_back, sizeof gadgets_.come_back);
}

CallResult RemoteCaller::system_call(long nr, std::array<uint64_t, 6> args, Deadline until) {
  CallResult result;
  if (!save()) return result;
  Registers start = before_;
  start.rip = gadgets_.system_call;
  start.rax = static_cast<uint64_t>(nr);
  start.rdi = args[0], start.rsi = args[1], start.rdx = args[2];
  start.r10 = args[3], start.r8 = args[4], start.r9 = args[5];
  return call(start, before_.rsp - kRedZone, until);
}

CallResult RemoteCaller::function(uint64_t entry, std::array<uint64_t, 6> args, uint64_t stack_top,
                                  Deadline until, uint64_t turn) {
  CallResult result;
  if (!save()) return result;
  Registers start = before_;
  start.rip = entry;
  start.rdi = args[0], start.rsi = args[1], start.rdx = args[2];
  start.rcx = args[3], start.r8 = args[4], start.r9 = args[5];
  start.rax = 0;
  return call(start, stack_top ? stack_top : before_.rsp - kRedZone, until, turn);
}

// Only when everything lies in memory are the registers set, all at once. The mask comes after them
// and goes before them: a thread must not be left with signals held back.
CallResult RemoteCaller::call(Registers start, uint64_t frame_top, Deadline until, uint64_t turn) {
  CallResult result;
  const uint64_t room = 8 + sizeof(SignalFrame) + kSpares + floats_.size();
  const uint64_t frame = ((frame_top - room) & ~uint64_t{15}) - 8;  // as behind a call instruction
  if (!write_frame(frame)) {
    result.error = EFAULT;
    return result;
  }
  constexpr uint64_t kTrap = 0x100, kBackwards = 0x400;
  start.rsp = frame;
  start.eflags &= ~(kTrap | kBackwards);
  start.orig_rax = static_cast<uint64_t>(-1);
  result.error = set_registers(thread_.tid(), start);
  if (result.error) return result;
  set_mask(thread_.tid(), mask_for_call());
  if (turn)
    if (const auto ended = run_to_turn(turn, until)) return *ended;
  return run(frame, until);
}

// Until the function waits for us, and the thread is stopped there; what came between, if anything.
std::optional<CallResult> RemoteCaller::run_to_turn(uint64_t turn, Deadline until) {
  const auto whose = [&] {
    AttachTurn now{};
    return memory_.get(turn, now) ? now : AttachTurn::kShim;
  };
  CallResult result;
  bool is_asked = false;
  for (int signal = 0;;) {
    if (thread_.resume(PTRACE_CONT, signal) != 0) break;
    // what was asked for is taken back by any other stop
    if (is_asked) thread_.interrupt();
    int status =
        thread_.wait_next(until, [&] { return !is_asked && whose() != AttachTurn::kShim; });
    if (status == Tracee::kEnough) {
      is_asked = true;
      thread_.interrupt();
      status = thread_.wait_next(until);
    }
    if (status == -1) return result.end = CallEnd::kSlow, result;
    if (status < 0) break;
    signal = 0;
    if (status >> 16 != kEventStop) {
      signal = status >> 8 & 0xff;
      if (is_raised_by_code(signal)) return rescue(signal);
      continue;
    }
    if (!is_asked) continue;
    if (whose() == AttachTurn::kAlone) return result.end = CallEnd::kAlone, result;
    constexpr AttachTurn kBack = AttachTurn::kBack;
    if (!memory_.write(turn, &kBack, sizeof kBack)) break;
    return std::nullopt;
  }
  result.end = CallEnd::kGone;
  return result;
}

CallResult RemoteCaller::run(uint64_t frame, Deadline until) {
  CallResult result;
  uint64_t nr = 0;  // of the system call it is in
  for (int signal = 0;;) {
    if (thread_.resume(PTRACE_SYSCALL, signal) != 0) break;
    signal = 0;
    const int status = thread_.wait_next(until);
    if (status == -1) return result.end = CallEnd::kSlow, result;
    if (status < 0) break;
    const int stopped_by = status >> 8 & 0xff;
    if (status >> 16 == kEventStop) continue;
    if (stopped_by != (SIGTRAP | 0x80)) {
      if (is_raised_by_code(stopped_by)) return rescue(stopped_by);
      signal = stopped_by;  // SIGSTOP: cannot be held back
      continue;
    }
    __ptrace_syscall_info info{};
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread_.tid(), sizeof info, &info) <= 0) break;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) nr = info.entry.nr;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) result.value = info.exit.rval;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT && nr == SYS_mmap) result.mapped = info.exit.rval;
    const bool is_back = info.op == PTRACE_SYSCALL_INFO_ENTRY &&
                         info.entry.nr == SYS_rt_sigreturn && info.stack_pointer == frame + 8;
    if (is_back) return come_back(result, until);
  }
  result.end = CallEnd::kGone;
  return result;
}

// At the entry of the rt_sigreturn. The stop that is asked for now comes before the thread runs one
// instruction, in the place of the kernel where system calls are started again; from here to there
// it has the registers it would go on with by itself.
CallResult RemoteCaller::come_back(CallResult result, Deadline until) {
  const uint32_t tid = thread_.tid();
  thread_.interrupt();
  // Where the kernel refuses one of these, the rt_sigreturn does it.
  if (set_mask(tid, mask_) && !filtered_) set_registers(tid, with_rest_of_sleep(before_));
  result.end = CallEnd::kDone;
  for (int signal = 0;;) {
    if (thread_.resume(PTRACE_CONT, signal) != 0) return result.end = CallEnd::kGone, result;
    const int status = thread_.wait_next(until);
    if (status < 0) return result.end = status == -1 ? CallEnd::kSlow : CallEnd::kGone, result;
    if (status >> 16 == kEventStop) break;
    signal = status >> 8 & 0xff;
  }
  set_registers(tid, before_);
  return result;
}

CallResult RemoteCaller::rescue(int signal) {
  CallResult result;
  result.end = CallEnd::kCrashed;
  result.signal = signal;
  set_mask(thread_.tid(), mask_);
  set_registers(thread_.tid(), as_in_user_mode(before_));
  return result;
}

}  // namespace ovc

#endif
