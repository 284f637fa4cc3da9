// SPDX-License-Identifier: MIT
//
// The shim's unwinder where no honest program gets: wild registers, overwritten stacks, no kernel
// to ask, rules forgotten under its feet. Most of these tests pass by not crashing. Also what a
// walk costs, on request: [.timing].
#include <dlfcn.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include "shim/sys/sys.h"
#include "shim/unwind/backtrace.h"
#include "tests/unit/catch.h"
#include "tests/unit/traces.h"

using namespace ovcshim;
using namespace ovcshim::traces;

TEST_CASE("backtrace: a bad program counter ends the walk") {
  for (uint64_t pc : {uint64_t{0}, uint64_t{1}, uint64_t{0x1234}, UINT64_MAX,
                      uint64_t{0xdeadbeefdeadbeef}, reinterpret_cast<uint64_t>(&sink)}) {
    FrameState state = here();
    uint64_t frames[8];
    bool cut = false;
    state.pc = pc;
    CHECK(backtrace(modules(), state, frames, 8, true, &cut) == 1);
    CHECK(frames[0] == pc);
    CHECK(cut);
  }
}

TEST_CASE("backtrace: a bad stack pointer ends the walk") {
  Stack stack(kPage);
  for (uint64_t sp : {uint64_t{0}, uint64_t{8}, UINT64_MAX, UINT64_MAX - 7,
                      uint64_t{0x7fffffffeff8}, reinterpret_cast<uint64_t>(stack.at + kPage - 8),
                      reinterpret_cast<uint64_t>(stack.at + kPage), uint64_t{0x8000000000000000}}) {
    FrameState state = here();
    uint64_t frames[8];
    bool cut = false;
    state.sp = state.fp = sp;
    CHECK(backtrace(modules(), state, frames, 8, true, &cut) == 1);
    CHECK(cut);
  }
}

TEST_CASE("backtrace: an overwritten stack ends the walk") {
  std::mt19937_64 random(3);
  Stack stack(2 * kPage);
  auto* words = reinterpret_cast<uint64_t*>(stack.at);
  uint64_t text = reinterpret_cast<uint64_t>(dlsym(RTLD_DEFAULT, "qsort"));
  for (int round = 0; round < 2000; ++round) {
    for (size_t i = 0; i < 2 * kPage / 8; ++i)
      words[i] = random() % 2 ? text + random() % 100000
                              : reinterpret_cast<uint64_t>(words + random() % 1100);
    FrameState state{text + random() % 100000,
                     reinterpret_cast<uint64_t>(words + random() % 1024),
                     words[0],
                     0,
                     0,
                     0,
                     0,
                     0};
    uint64_t frames[64];
    bool cut;
    unsigned count = backtrace(modules(), state, frames, 64, true, &cut);
    CHECK((count >= 1 && count <= 64));
  }
}

TEST_CASE("backtrace: a hundred thousand random states do no harm") {
  std::mt19937_64 random(11);
  const ModuleTable& table = modules();
  FrameState base = here();
  unsigned long total = 0;
  for (int round = 0; round < 100000; ++round) {
    auto value = [&]() -> uint64_t {
      switch (random() % 5) {
        case 0: return random();
        case 1: return random() & 0x7fffffffffff;
        case 2: return base.sp + random() % 65536 * 8;
        case 3: return base.sp - random() % 65536 * 8;
        default: return random() % 65536;
      }
    };
    const Module& module = table.modules[random() % table.count];
    uint64_t pc = random() % 4
                      ? module.text_start + random() % (module.text_end - module.text_start)
                      : value();
    FrameState state{pc, value(), value(), value(), value(), value(), value(), value()};
    if (random() % 4 == 0) state.sp = base.sp;
    uint64_t frames[32];
    bool cut;
    total += backtrace(table, state, frames, 32, true, &cut);
  }
  CHECK(total >= 100000);
  backtrace_forget();
}

#if !defined(__SANITIZE_ADDRESS__)  // whose frames do not fit on one page
// Three times from one place, on one page: cold without the kernel, with it, and warm without.
[[gnu::noinline]] static void three_times(Trace (&traces)[3], void (*before)(int)) {
  for (int i = 0; i < 3; ++i) {
    asm volatile("" : "+r"(i));  // not unrolled
    before(i);
    small_outer(traces[i], i == 1);
  }
}

TEST_CASE("backtrace: without the kernel it uses what it knows, and no more") {
  static Trace traces[3];
  Stack page(kPage);
  modules();
  on_context(page, [] {
    three_times(traces, [](int i) {
      if (i == 0) backtrace_forget();
    });
  });
  CHECK(traces[0].count == 1);
  CHECK(traces[0].cut);
  CHECK(traces[1].count >= 3);
  CHECK_FALSE(traces[1].cut);
  CHECK(same(traces[1], traces[2]));
}

TEST_CASE("backtrace: allowed no system call it makes none") {
  static Trace traces[3];
  Stack page(kPage);
  modules();
  pid_t child = fork();
  if (child == 0) {
    on_context(page, [] {
      three_times(traces, [](int i) {
        if (i == 2) prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);  // read, write, exit, or die
      });
      syscall(SYS_exit, same(traces[1], traces[2]) ? 0 : 1);
    });
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

#endif

TEST_CASE(
    "backtrace: without the kernel it stays on the pages between its own frame and the state's") {
  Stack stack(4 * kPage);
  FrameState state = here();
  Trace trace;
  take(trace);  // warms nothing that matters here
  for (size_t at = 0; at < 4 * kPage; at += 8) {
    state.sp = state.fp = reinterpret_cast<uint64_t>(stack.at + at);
    bool cut = false;
    CHECK(backtrace(modules(), state, trace.frames, kMax, false, &cut) == 1);
    CHECK(cut);
  }
}

TEST_CASE("backtrace: cold, warm, and while others read and forget rules, the same stack") {
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::atomic<long> runs{0};
  auto hammer = [&] {
    Trace traces[2];
    for (int i = 0; !stop; ++i) {
      asm volatile(
          ""
          : "+r"(i));  // no first round peeled off: it would have a return address of its own
      small_outer(traces[i > 0]);
      if (i && !same(traces[0], traces[1])) ++wrong;
      if (i % 64 == 0) backtrace_forget();
      ++runs;
    }
  };
  std::vector<std::thread> threads;
  modules();
  for (int i = 0; i < 4; ++i) threads.emplace_back(hammer);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(runs > 100);
}

#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
TEST_CASE(
    "backtrace: a cold walk, through a signal frame too, needs no more than two kilobytes of "
    "stack") {
  static Trace trace;
  static uint64_t from;
  static Stack stack(16 * kPage);
  modules();
  auto handler = [](int) {
    backtrace_forget();
    FrameState state = here();
    from = state.sp;
    for (auto* at = reinterpret_cast<volatile unsigned char*>(stack.at);
         at < reinterpret_cast<unsigned char*>(state.sp) - 128; ++at)
      *at = 0xa5;
    trace.count = backtrace(modules(), state, trace.frames, kMax, true, &trace.cut);
  };
  struct sigaction action {
  }, before;
  action.sa_handler = handler;
  REQUIRE(sigaction(SIGUSR1, &action, &before) == 0);
  on_context(stack, [] { raise(SIGUSR1); });
  sigaction(SIGUSR1, &before, nullptr);
  const char* touched = stack.at;
  while (*touched == static_cast<char>(0xa5)) ++touched;
  CHECK(trace.count > 3);
  CHECK_FALSE(trace.cut);
  CHECK(from - reinterpret_cast<uint64_t>(touched) <= 2048);
}
#endif

TEST_CASE("backtrace: cost", "[.timing]") {
  modules();
  auto measure = [](auto run) {
    double best = 1e9;
    for (int batch = 0; batch < 200; ++batch) {
      auto begin = std::chrono::steady_clock::now();
      for (int i = 0; i < 100; ++i) run();
      std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
      best = std::min(best, took.count() / 100);
    }
    return best;
  };
  static Trace trace;
  static decltype(measure)* timer = &measure;
  auto deep = [](Pair&) {
    double warm = (*timer)([] { take(trace, true, 16); });
    double cold = (*timer)([] { backtrace_forget(), take(trace, true, 16); });
    double libgcc = (*timer)([] {
      trace.count = 0;
      _Unwind_Backtrace(add_frame, &trace);
    });
    double probe = (*timer)([] { sink = sys::readable(&trace); });
    WARN("16 frames, ns: warm " << warm << " (a page probe is " << probe << " of it), cold " << cold
                                << ", libgcc (all frames) " << libgcc);
  };
  Pair pair;
  nested(pair, 20, deep);
}
