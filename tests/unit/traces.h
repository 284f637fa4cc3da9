// SPDX-License-Identifier: MIT
//
// Stacks to walk and walks to compare, for the tests of the unwinder. `take` must be inlined: our
// walk and that of libgcc, which exceptions use, start in one function then, so that all frames but
// the first must be the same.
#pragma once
#include <sys/mman.h>
#include <ucontext.h>
#include <unwind.h>

#include <cstdlib>
#include <cstring>

#include "shim/unwind/backtrace.h"
#include "shim/unwind/walk_memo.h"
#include "tests/unit/catch.h"

namespace ovcshim::traces {

inline constexpr unsigned kMax = 200;
inline constexpr size_t kPage = 4096;
#if defined(__SANITIZE_ADDRESS__)
inline constexpr size_t kSmallStack = 8 * kPage;  // a sanitizer's frames are several times as large
#else
inline constexpr size_t kSmallStack = kPage;
#endif

// Zeroed memory as long as the program runs; not on the stack, for some tests have little of it.
inline const ModuleTable& modules() {
  static ModuleTable* table = [] {
    auto* fresh = static_cast<ModuleTable*>(calloc(1, sizeof(ModuleTable)));
    read_modules(*fresh);
    backtrace_forget();
    return fresh;
  }();
  return *table;
}

struct Trace {
  uint64_t frames[kMax];
  unsigned count = 0;
  bool cut = false;
  WalkNote note;  // what is the same the next time is not walked again
};
struct Pair {
  Trace ours, theirs;
  bool match() const {
    return ours.count == theirs.count && ours.count > 1 &&
           std::memcmp(ours.frames + 1, theirs.frames + 1, (ours.count - 1) * 8) == 0;
  }
};

[[gnu::always_inline]] inline void take(Trace& trace, bool may_call_kernel = true,
                                        unsigned max = kMax) {
  FrameState state = here();
  trace.count =
      backtrace(modules(), state, trace.frames, max, may_call_kernel, &trace.cut, &trace.note);
}
inline _Unwind_Reason_Code add_frame(_Unwind_Context* context, void* to) {
  auto& trace = *static_cast<Trace*>(to);
  uint64_t pc = _Unwind_GetIP(context);
  if (pc && trace.count < kMax) trace.frames[trace.count++] = pc;
  return _URC_NO_REASON;
}
[[gnu::always_inline]] inline void take(Pair& pair) {
  take(pair.ours);
  pair.theirs.count = 0;
  _Unwind_Backtrace(add_frame, &pair.theirs);
}

inline void check_same(const Pair& pair) {
  CHECK_FALSE(pair.ours.cut);
  REQUIRE(pair.ours.count == pair.theirs.count);
  for (unsigned i = 1; i < pair.ours.count; ++i)
    CHECK(pair.ours.frames[i] == pair.theirs.frames[i]);
}

using Inner = void (*)(Pair&);
inline volatile int sink;

[[gnu::noinline]] inline void plain(Pair& pair) {
  take(pair);
  sink = 0;
}

[[gnu::noinline]] inline void nested(Pair& pair, int depth, Inner inner) {
  if (depth == 0) inner(pair);
  else nested(pair, depth - 1, inner);
  sink = depth;
}

struct Stack {  // between two pages nobody may touch
  size_t bytes;
  char* at;
  explicit Stack(size_t n) : bytes(n) {
    void* room = mmap(nullptr, n + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(room != MAP_FAILED);
    at = static_cast<char*>(room) + kPage;
    REQUIRE(mprotect(at, n, PROT_READ | PROT_WRITE) == 0);
  }
  Stack(const Stack&) = delete;
  ~Stack() { munmap(at - kPage, bytes + 2 * kPage); }
};

template <class Run>
void on_context(Stack& stack, Run run) {
  static Run* running;
  static ucontext_t here_context, there;
  running = &run;
  getcontext(&there);
  there.uc_stack.ss_sp = stack.at;
  there.uc_stack.ss_size = stack.bytes;
  there.uc_link = &here_context;
  makecontext(
      &there, +[] { (*running)(); }, 0);
  swapcontext(&here_context, &there);
}

[[gnu::noinline]] inline void small_inner(Trace& trace, bool may_call_kernel) {
  take(trace, may_call_kernel);
  sink = 1;
}
[[gnu::noinline]] inline void small_outer(Trace& trace, bool may_call_kernel = true) {
  small_inner(trace, may_call_kernel);
  sink = 2;
}

inline bool same(const Trace& a, const Trace& b) {
  return a.count == b.count && a.cut == b.cut &&
         std::memcmp(a.frames + 1, b.frames + 1, (a.count - 1) * 8) == 0;
}

}  // namespace ovcshim::traces
