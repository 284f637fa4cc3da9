// SPDX-License-Identifier: MIT
//
// The shim's unwinder against libgcc's, frame for frame, wherever an honest program can stand.
#include "shim/unwind/backtrace.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tests/unit/catch.h"
#include "tests/unit/traces.h"

using namespace ovcshim;
using namespace ovcshim::traces;

namespace {

// Uses every callee-saved register and has no frame pointer.
[[gnu::noinline]] long busy_registers(Pair& pair, long a, long b, long c, long d, long e) {
  long f = a * b, g = c * d, h = e * a;
  nested(pair, 2, plain);
  sink = static_cast<int>(a);
  return a + 3 * b + 5 * c + 7 * d + 11 * e + 13 * f + 17 * g + 19 * h;
}

// A frame of variable size, so with a frame pointer, and over-aligned, so with a computed CFA in
// some compilers.
[[gnu::noinline]] void realigned(Pair& pair, size_t size) {
  alignas(64) char aligned[128];
  char* variable = static_cast<char*>(alloca(size));
  variable[0] = aligned[0] = 1;
  asm volatile("" : : "r"(variable), "r"(aligned) : "memory");
  nested(pair, 1, plain);
  sink = variable[0] + aligned[0];
}

[[gnu::noinline]] void big_frame(Pair& pair) {
  volatile char big[512 * 1024];
  big[0] = 1;
  nested(pair, 1, plain);
  sink = big[0];
}

Pair* current;  // of callbacks that have no argument for it
int compare(const void* a, const void* b) {
  if (current->ours.count == 0) plain(*current);
  return *static_cast<const int*>(a) - *static_cast<const int*>(b);
}
[[gnu::noinline]] void through_qsort(Pair& pair) {
  int values[] = {5, 3, 9, 1, 7};
  current = &pair;
  qsort(values, 5, sizeof values[0], compare);
  sink = values[0];
}

// Installs a handler for the life of the object.
struct Handler {
  int signal;
  struct sigaction before;
  Handler(int number, void (*handler)(int, siginfo_t*, void*), int flags = 0) : signal(number) {
    struct sigaction action {};
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | flags;
    REQUIRE(sigaction(signal, &action, &before) == 0);
  }
  Handler(const Handler&) = delete;
  ~Handler() { sigaction(signal, &before, nullptr); }
};
void on_signal(int, siginfo_t*, void*) { nested(*current, 1, plain); }
[[gnu::noinline]] void through_raise(Pair& pair) {
  current = &pair;
  raise(SIGUSR1);
  sink = 1;
}

}  // namespace

// Two functions with the same frame: what is above it begins at the same stack pointer.
[[gnu::noinline]] void one_caller(Pair& pair) {
  nested(pair, 3, plain);
  sink = 1;
}
[[gnu::noinline]] void other_caller(Pair& pair) {
  nested(pair, 3, plain);
  sink = 2;
}

TEST_CASE("a walk that was made before is not taken for another", "[unwind]") {
  static Pair pair;
  uint64_t callers[2] = {};
  for (int round = 0; round < 6; ++round) {
    if (round == 4) backtrace_forget();
    const bool other = round % 2;
    other ? other_caller(pair) : one_caller(pair);
    check_same(pair);
    const uint64_t caller = pair.ours.frames[5];
    if (callers[other]) CHECK(callers[other] == caller);
    callers[other] = caller;
  }
  CHECK(callers[0] != callers[1]);
}

TEST_CASE("backtrace: nested calls") {
  Pair pair;
  nested(pair, 12, plain);
  check_same(pair);
  CHECK(pair.ours.count > 13);
}

TEST_CASE("backtrace: the first frame is the state's own") {
  uint64_t frame;
  bool cut;
  FrameState state = here();
  CHECK(backtrace(modules(), state, &frame, 1, true, &cut) == 1);
  CHECK(frame == state.pc);
  CHECK(cut);
  CHECK(backtrace(modules(), state, &frame, 0, true, &cut) == 0);
  CHECK(cut);
}

TEST_CASE("backtrace: no frame pointers, all registers in use") {
  Pair pair;
  sink = static_cast<int>(busy_registers(pair, 1, 2, 3, 4, 5));
  check_same(pair);
}

TEST_CASE("backtrace: frames of variable size and alignment, and large ones") {
  Pair pair, large;
  realigned(pair, 777);
  check_same(pair);
  big_frame(large);
  check_same(large);
}

TEST_CASE("backtrace: through libc") {
  Pair pair;
  through_qsort(pair);
  check_same(pair);
}

TEST_CASE("backtrace: through a signal handler into the code it interrupted") {
  Handler handler(SIGUSR1, on_signal);
  Pair pair;
  through_raise(pair);
  check_same(pair);
}

TEST_CASE("backtrace: from a signal stack to the stack that was left") {
  Stack stack(64 * 1024);
  stack_t alternate{}, before;
  alternate.ss_sp = stack.at;
  alternate.ss_size = stack.bytes;
  REQUIRE(sigaltstack(&alternate, &before) == 0);
  Handler handler(SIGUSR1, on_signal, SA_ONSTACK);
  Pair pair;
  through_raise(pair);
  sigaltstack(&before, nullptr);
  check_same(pair);
}

namespace interrupted {

std::atomic<int> taken, differing;
Pair newest, wrong;

void on_interrupt(int, siginfo_t*, void*) {
  int saved = errno;
  take(newest);
  ++taken;
  if (!newest.match() && differing++ == 0) wrong = newest;
  errno = saved;
}

[[gnu::noinline]] long fibonacci(long n) {
  long values[2] = {n, n + 1};
  asm volatile("" : : "r"(values) : "memory");
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2) + (values[0] - n);
}

int by_value(const void* a, const void* b) {
  return *static_cast<const int*>(a) - *static_cast<const int*>(b);
}

// Prologues, epilogues, PLT slots and hand-written assembly.
[[gnu::noinline]] void work() {
  char text[256];
  std::vector<int> values(64);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int>(i * 7919 % 64);
  qsort(values.data(), values.size(), sizeof(int), by_value);
  snprintf(text, sizeof text, "%d %ld %f", values[3], fibonacci(12), 1.5);
  memmove(text + 1, text, strlen(text) + 1);
  sink = text[0] + getppid();
}

}  // namespace interrupted

// Not on aarch64: interrupted where there is no entry, libgcc reads what it takes for code there
// (uw_frame_state_for), and dies of it in one of twenty runs.
#if !defined(__aarch64__)
TEST_CASE("backtrace: interrupted anywhere") {
  using namespace interrupted;
  modules();
  taken = differing = 0;
  Handler handler(SIGALRM, on_interrupt, SA_RESTART);
  itimerval every{{0, 500}, {0, 500}}, never{};
  REQUIRE(setitimer(ITIMER_REAL, &every, nullptr) == 0);
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (taken < 1000 && std::chrono::steady_clock::now() < end) work();
  setitimer(ITIMER_REAL, &never, nullptr);
  CHECK(taken > 100);
  CHECK(differing == 0);
  if (differing > 0) check_same(wrong);
}
#endif

#if defined(__x86_64__)
// With the trap flag set the processor raises SIGTRAP after each instruction.
TEST_CASE("backtrace: at every instruction") {
  using namespace interrupted;
  static volatile bool stepping;
  modules();
  taken = differing = 0;
  Handler handler(SIGTRAP, [](int signal, siginfo_t* info, void* context) {
    constexpr greg_t kTrapFlag = 0x100;
    greg_t& flags = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL];
    flags = stepping ? flags | kTrapFlag : flags & ~kTrapFlag;
    on_interrupt(signal, info, context);
  });
  stepping = true;
  raise(SIGTRAP);
  work();
  stepping = false;
  CHECK(taken > 1000);
  CHECK(differing == 0);
  if (differing > 0) check_same(wrong);
}
#endif

TEST_CASE("backtrace: in a thread") {
  Pair pair;
  pthread_t thread;
  REQUIRE(pthread_create(
              &thread, nullptr,
              [](void* p) -> void* { return nested(*static_cast<Pair*>(p), 3, plain), nullptr; },
              &pair) == 0);
  pthread_join(thread, nullptr);
  check_same(pair);
}

TEST_CASE("backtrace: on a coroutine's stack, down to a single page before a forbidden one") {
  static Pair pair;
  Stack wide(128 * 1024), page(kSmallStack);
  pair = {};
  on_context(wide, [] { nested(pair, 2, plain); });
  check_same(pair);
  static Trace expected, found;
  auto run = [](Trace& into) { small_outer(into); };
  Stack* stacks[] = {&wide, &page};
  for (Stack* stack : stacks) on_context(*stack, [&] { run(stack == &wide ? expected : found); });
  CHECK_FALSE(found.cut);
  CHECK(found.count >= 3);
  CHECK(same(expected, found));
}

TEST_CASE("backtrace: a deep stack is cut") {
  Pair pair;
  nested(pair, 300, plain);
  CHECK(pair.ours.count == kMax);
  CHECK(pair.ours.cut);
  CHECK(pair.match());
}
