// SPDX-License-Identifier: MIT
#if defined(__x86_64__) || defined(__aarch64__)  // elsewhere: elsewhere.cc
#include "tools/attach/inside.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <cstring>

#include "tools/host/proc_files.h"

namespace ovc {
namespace {

// /proc/PID/stat, field 28: where the stack of the first thread begins, below its arguments.
uint64_t stack_start(uint32_t pid) {
  constexpr int kFieldsBehindName = 26;
  const auto stat = read_small(fmt::format("/proc/{}/stat", pid));
  if (!stat) return 0;
  size_t at = stat->rfind(')');
  for (int i = 0; i < kFieldsBehindName && at != stat->npos; ++i) at = stat->find(' ', at + 1);
  return at == stat->npos ? 0 : first_number(stat->substr(at)).value_or(0);
}

template <typename T, typename Predicate>
bool any_word(const std::vector<unsigned char>& stack, Predicate is_it) {
  for (size_t at = 0; at + sizeof(T) <= stack.size(); at += sizeof(T)) {
    T word{};
    std::memcpy(&word, stack.data() + at, sizeof word);
    if (is_it(word)) return true;
  }
  return false;
}

// What the kernel writes into the frame of each signal handler
// (arch/x86/kernel/fpu/signal.c save_sw_bytes(), arch/arm64/kernel/signal.c setup_sigframe()):
// other frames may lie on another stack.
#if defined(__aarch64__)
constexpr uint32_t kInSignalFrame = 0x46508001;  // FPSIMD_MAGIC
#else
constexpr uint32_t kInSignalFrame = FP_XSTATE_MAGIC1;
#endif
bool may_hold_signal_frame(const ThreadState& state) {
  return any_word<uint32_t>(state.stack, [](uint32_t word) { return word == kInSignalFrame; });
}

}  // namespace

InsideCheck::InsideCheck(uint32_t pid)
    : pid_(pid), main_stack_top_(stack_start(pid)), memory_(pid), walker_(pid) {}

// Is the copy all of the thread's stack? glibc keeps what the thread pointer points to at the top
// of a thread's stack (nptl/allocatestack.c); the first thread's ends where the kernel began it.
bool InsideCheck::is_whole(const ThreadState& state) const {
  const uint64_t top =
      state.tid == pid_ ? main_stack_top_ : thread_pointer(state.tid, state.registers);
  const uint64_t low = stack_pointer(state.registers);
  return top >= low && top - low <= state.stack.size() && !may_hold_signal_frame(state);
}

// A return address is a word of the stack: where there is none, nothing has to be followed.
// libunwind reads the list of mappings again for each module, and all threads wait for that.
bool InsideCheck::is_inside(uint32_t tid, const std::vector<CodeRange>& ranges) {
  const ThreadState state = copy_state(pid_, tid, memory_);
  if (state.error) return true;
  const auto holds = [&](uint64_t address) {
    return std::any_of(ranges.begin(), ranges.end(), [address](const CodeRange& range) {
      return address >= range.start && address < range.end;
    });
  };
  if (holds(instruction_pointer(state.registers))) return true;
  const bool is_named =
      holds(unsaved_return(state.registers)) || any_word<uint64_t>(state.stack, holds);
  if (!is_named && is_whole(state)) return false;
  const Walk walk = walker_.walk(state);
  if (std::any_of(walk.addresses.begin(), walk.addresses.end(), holds)) return true;
  return walk.end != WalkEnd::kBottom && is_named;
}

}  // namespace ovc

#endif
