// SPDX-License-Identifier: MIT
//
// The shim's unwinder against libunwind's remote one, frame by frame, in states of a program as it
// works: its threads are stopped at moments of chance and then go on instruction by instruction.
//   unwind_oracle PID STATES SEED      how many states; which moments
// One line: what came of it. Exit status 1 where a frame of the shim's is contradicted.
// The shim may stop where no table covers the code (libunwind guesses there); it may never give
// another frame.
#include <signal.h>
#include <sys/ptrace.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "shim/unwind/backtrace.h"
#include "tests/trust/unwind/remote_process.h"
#include "tests/trust/unwind/start.h"
#include "tools/attach/process_facts.h"
#include "tools/attach/walker.h"

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr unsigned kFrames = 256, kMostSteps = 150, kMostTold = 10;
constexpr auto kStop = 2s;       // for a thread to stop
constexpr auto kNoStates = 60s;  // without one there is nothing to stop any more

struct Tally {
  uint64_t states = 0, frames = 0, same = 0, shim_earlier = 0, libunwind_earlier = 0, guessed = 0,
           wrong = 0, signal_frames = 0;
  std::map<std::string, uint64_t> earlier_in;  // by the file whose frame the shim stops at
};

std::string place_name(const std::vector<ovc::MapLine>& lines, uint64_t address) {
  const ovc::MapLine* line = ovc::line_at(lines, address);
  if (!line) return "nothing";
  const auto name = ovc::file_name_of(line->path);
  return name.empty() ? "memory of no file" : std::string(name);
}

class Oracle {
 public:
  Oracle(uint32_t pid, uint64_t states, uint32_t seed)
      : pid_(pid), wanted_(states), chance_(seed), walker_(pid), memory_(pid) {
    table_ = std::make_unique<ovcshim::ModuleTable>();
  }

  int run() {
    auto last = Clock::now();
    while (tally_.states < wanted_ && Clock::now() - last < kNoStates) {
      const uint64_t before = tally_.states;
      burst(pick_thread());
      if (tally_.states != before) last = Clock::now();
      std::this_thread::sleep_for(std::chrono::microseconds(chance_() % 3000));
    }
    tell();
    return tally_.wrong || tally_.states < wanted_ ? 1 : 0;
  }

 private:
  // Mostly one that runs.
  uint32_t pick_thread() {
    std::vector<uint32_t> all, running;
    std::error_code error;
    const std::string tasks = "/proc/" + std::to_string(pid_) + "/task";
    for (const auto& entry : std::filesystem::directory_iterator(tasks, error)) {
      const std::string name = entry.path().filename();
      all.push_back(static_cast<uint32_t>(std::stoul(name)));
      if (state_of(entry.path()) == 'R') running.push_back(all.back());
    }
    if (all.empty()) return pid_;
    const auto& from = !running.empty() && chance_() % 8 ? running : all;
    return from[chance_() % from.size()];
  }
  static char state_of(const std::filesystem::path& task) {
    char text[512]{};
    FILE* file = fopen((task / "stat").c_str(), "r");
    if (!file) return '?';
    const size_t got = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    const char* behind = got ? strrchr(text, ')') : nullptr;
    return behind && behind[1] ? behind[2] : '?';
  }

  void burst(uint32_t tid) {
    ovc::Tracee thread(tid);
    if (thread.seize() != 0 || !thread.wait_stopped(Clock::now() + kStop)) return;
    renew_objects();
    const auto steps = static_cast<unsigned>(1 + chance_() % kMostSteps);
    for (unsigned i = 0; i < steps && tally_.states < wanted_; ++i) {
      compare(tid);
      if (!one_instruction(thread)) return;
    }
  }

  // False: it is about to make a system call, which may wait (the kernel would have the trap ready
  // for it when it is let go), or it is gone.
  bool one_instruction(ovc::Tracee& thread) {
    ovc::Registers r{};
    if (ovc::get_registers(thread.tid(), r) != 0 || oracle::is_at_call(r, memory_)) return false;
    int signal = 0;
    for (unsigned tries = 0; tries < 8; ++tries) {
      if (thread.resume(PTRACE_SINGLESTEP, signal) != 0) return false;
      const int status = thread.wait_next(Clock::now() + kStop);
      if (status < 0) return false;
      if (status >> 16 == PTRACE_EVENT_STOP) continue;
      signal = status >> 8 & 0x7f;
      if (signal == SIGTRAP) return true;
    }
    return false;
  }

  // As the shim has it: rules are kept while the list of objects is the same.
  void renew_objects() {
    auto fresh = std::make_unique<ovcshim::ModuleTable>();
    memset(static_cast<void*>(fresh.get()), 0, sizeof *fresh);
    ovcshim::read_modules(*fresh);
    lines_ = ovc::read_map_lines(pid_);
    if (memcmp(static_cast<const void*>(fresh.get()), table_.get(), sizeof *fresh) == 0) return;
    table_ = std::move(fresh);
    ovcshim::backtrace_forget();
  }

  void compare(uint32_t tid) {
    const ovc::ThreadState state = ovc::copy_state(pid_, tid, memory_);
    if (state.error) return;
    const ovc::Walk theirs = walker_.walk(state);
    uint64_t ours[kFrames];
    bool cut = false;
    const unsigned count =
        ovcshim::backtrace(*table_, oracle::start_of(state.registers), ours, kFrames, true, &cut);
    judge(theirs, ours, count, cut);
  }

  void judge(const ovc::Walk& theirs, const uint64_t* ours, unsigned count, bool cut) {
    const auto& wanted = theirs.addresses;
    const size_t both = std::min<size_t>(count, wanted.size());
    size_t agree = 0;
    while (agree < both && ours[agree] == wanted[agree]) ++agree;
    ++tally_.states, tally_.frames += agree;
    for (const bool handler : theirs.handler_below) tally_.signal_frames += handler;
    if (agree < both || (count < wanted.size() && !cut)) {
      if (comes_through_vdso(theirs, agree))
        return void(cut ? ++tally_.shim_earlier : ++tally_.guessed);
      return contradicted(theirs, ours, count, agree);
    }
    if (count == wanted.size()) ++tally_.same;
    else if (count > wanted.size()) ++tally_.libunwind_earlier;
    else ++tally_.shim_earlier, ++tally_.earlier_in[place_name(lines_, ours[count - 1])];
  }

  // libunwind-ptrace reads tables from files: it guesses there, but where it knows the code that a
  // signal handler returns to.
  bool comes_through_vdso(const ovc::Walk& theirs, size_t agree) const {
    for (size_t i = 0; i < agree; ++i)
      if (!theirs.handler_below[i] && place_name(lines_, theirs.addresses[i]) == "[vdso]")
        return true;
    return false;
  }

  void contradicted(const ovc::Walk& theirs, const uint64_t* ours, unsigned count, size_t agree) {
    if (++tally_.wrong > kMostTold) return;
    printf("contradicted behind %zu frames of the same:\n", agree);
    for (size_t i = agree ? agree - 1 : 0; i < std::max<size_t>(count, theirs.addresses.size());
         ++i) {
      if (i > agree + 2) break;
      const uint64_t a = i < count ? ours[i] : 0;
      const uint64_t b = i < theirs.addresses.size() ? theirs.addresses[i] : 0;
      printf("  %zu: shim %#" PRIx64 " (%s), libunwind %#" PRIx64 " (%s)\n", i, a,
             place_name(lines_, a).c_str(), b, place_name(lines_, b).c_str());
    }
  }

  void tell() const {
    printf("%" PRIu64 " states, %" PRIu64 " frames, %" PRIu64 " of signals: %" PRIu64
           " the same, %" PRIu64 " shim earlier, %" PRIu64 " libunwind earlier, %" PRIu64
           " guessed by libunwind, %" PRIu64 " contradicted",
           tally_.states, tally_.frames, tally_.signal_frames, tally_.same, tally_.shim_earlier,
           tally_.libunwind_earlier, tally_.guessed, tally_.wrong);
    for (const auto& [file, n] : tally_.earlier_in)
      printf("; earlier in %s: %" PRIu64, file.c_str(), n);
    printf("\n");
  }

  uint32_t pid_;
  uint64_t wanted_;
  std::mt19937 chance_;
  ovc::Walker walker_;
  ovc::Memory memory_;
  std::unique_ptr<ovcshim::ModuleTable> table_;
  std::vector<ovc::MapLine> lines_;
  Tally tally_;
};

struct Wish {
  uint32_t pid;
  uint64_t states;
  uint32_t seed;
  int result;
};

void work(void* argument) {
  auto* wish = static_cast<Wish*>(argument);
  wish->result = Oracle(wish->pid, wish->states, wish->seed).run();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return fprintf(stderr, "unwind_oracle PID STATES SEED\n"), 2;
  Wish wish{static_cast<uint32_t>(atoi(argv[1])), strtoull(argv[2], nullptr, 10),
            static_cast<uint32_t>(atoi(argv[3])), 2};
  oracle::read_from_process(wish.pid);
  oracle::on_a_stack_apart(work, &wish);
  return wish.result;
}
