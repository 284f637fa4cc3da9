// SPDX-License-Identifier: MIT
#if defined(__x86_64__) || defined(__aarch64__)  // elsewhere: elsewhere.cc
#include "tools/attach/chosen_thread.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include <algorithm>
#include <thread>

#include "tools/attach/remote_call.h"
#include "tools/attach/waiting_calls.h"
#include "tools/host/proc_files.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
constexpr auto kOneStop = 500ms;  // the machine may be busy

// Those that wait for work come first, by what the kernel says of them without a stop.
std::vector<uint32_t> waiting_first(uint32_t pid) {
  std::vector<uint32_t> ids = thread_ids(pid);
  const auto waits = [pid](uint32_t tid) {
    const auto call = read_small(fmt::format("/proc/{}/task/{}/syscall", pid, tid));
    const auto nr = call ? first_number(*call) : std::nullopt;
    return nr && (waits_for_work(static_cast<long>(*nr)) || *nr == SYS_futex);
  };
  std::stable_partition(ids.begin(), ids.end(), waits);
  return ids;
}

// A thread that does not stop waits in the kernel.
const char* why_restless(uint32_t pid, uint32_t tid) {
  const auto call = read_small(fmt::format("/proc/{}/task/{}/syscall", pid, tid));
  const auto nr = call ? first_number(*call) : std::nullopt;
#ifdef SYS_vfork
  constexpr long kVfork = SYS_vfork;
#else
  constexpr long kVfork = SYS_clone;
#endif
  return nr == kVfork || nr == SYS_clone || nr == SYS_clone3 ? "it waits for its child of vfork"
                                                             : "it does not stop";
}

bool is_by_call(int status) { return (status >> 8 & 0xff) == (SIGTRAP | 0x80); }

}  // namespace

ThreadChooser::ThreadChooser(const ProcessFacts& facts)
    : facts_(facts), memory_(facts.pid), walker_(facts.pid) {}

bool ThreadChooser::is_safe(uint32_t tid) {
  const ThreadState state = copy_state(facts_.pid, tid, memory_);
  const char* why = state.error ? nullptr : why_not_callable(state.registers, facts_.seccomp != 0);
  if (why) {
    in_the_way_.emplace_back(tid, why);
    return false;
  }
  const Walk walk = walker_.walk(state);
  std::vector<Frame> functions;
  for (size_t i = 0; i < walk.addresses.size(); ++i) {
    const bool exact = i == 0 || walk.handler_below[i] || walk.handler_below[i - 1];
    functions.push_back(
        symbols_
            ->resolve(0, walk.addresses[i], exact ? Pc::kExact : Pc::kReturnAddress, Detail::kNames)
            .back());
  }
  Place place = judge_place(state, walk, functions, lines_);
  if (!place.safe) in_the_way_.emplace_back(tid, std::move(place.why_not));
  return place.safe;
}

std::unique_ptr<Tracee> ThreadChooser::try_waiting(uint32_t tid) {
  auto asked = restless_.extract(tid);
  auto thread = asked ? std::move(asked.mapped()) : std::make_unique<Tracee>(tid);
  if (const int failed = asked ? 0 : thread->seize()) {
    if (failed != ESRCH) error_ = failed;
    return nullptr;
  }
  if (!thread->wait_stopped(Clock::now() + kOneStop)) {
    if (thread->is_gone()) return nullptr;
    in_the_way_.emplace_back(tid, why_restless(facts_.pid, tid));
    restless_[tid] = std::move(thread);
    return nullptr;
  }
  return is_safe(tid) ? std::move(thread) : nullptr;
}

// A thread that is never found waiting is looked at whenever a system call has just ended.
std::unique_ptr<Tracee> ThreadChooser::try_next_calls(uint32_t tid, Deadline until) {
  auto thread = std::make_unique<Tracee>(tid);
  if (thread->seize() != 0 || !thread->wait_stopped(Clock::now() + kOneStop)) return nullptr;
  bool inside = false;  // its next stop by a system call is the end of one
  for (int signal = 0; Clock::now() < until;) {
    Registers r{};
    if (get_registers(tid, r) != 0) return nullptr;
    if (inside && !is_restarted(r) && waits_for_work(call_number(r)) && thread->settle() &&
        is_safe(tid))
      return thread;
    if (thread->resume(PTRACE_SYSCALL, signal) != 0) return nullptr;
    const int status = thread->wait_next(until);
    if (status < 0) return nullptr;
    signal = 0;
    if (is_by_call(status)) inside = get_registers(tid, r) == 0 && is_call_end(r);
    else if (status >> 16 == 0) signal = status >> 8 & 0xff, inside = false;
    else inside = false;
  }
  return nullptr;
}

std::unique_ptr<Tracee> ThreadChooser::choose(Deadline until) {
  for (auto pause = 1ms; Clock::now() < until && !error_; pause = std::min(pause * 2, 20ms)) {
    in_the_way_.clear();
    lines_ = read_map_lines(facts_.pid);
    symbols_ = std::make_unique<Symbols>(live_modules(facts_.pid, lines_));
    const std::vector<uint32_t> ids = waiting_first(facts_.pid);
    if (ids.empty()) error_ = ESRCH;
    for (const uint32_t tid : ids) {
      if (error_ || Clock::now() > until) break;
      if (auto thread = try_waiting(tid)) return thread;
    }
    if (error_) break;
    for (const uint32_t tid : ids) {
      if (Clock::now() > until) break;
      if (auto thread = try_next_calls(tid, Clock::now() + 100ms)) return thread;
    }
    std::this_thread::sleep_for(pause);
  }
  return nullptr;
}

std::string ThreadChooser::why_none() const {
  constexpr size_t kNamed = 3;
  std::string text;
  for (size_t i = 0; i < in_the_way_.size() && i < kNamed; ++i)
    text +=
        fmt::format("{}thread {}: {}", i ? "; " : "", in_the_way_[i].first, in_the_way_[i].second);
  return text.empty() ? "no thread stopped" : text;
}

}  // namespace ovc

#endif
