// SPDX-License-Identifier: MIT
//
// Shared memory, locks, limits, namespaces: calls that libc passes to the kernel and never makes
// itself. Recorded after they return.
#include "shim/interpose/interpose.h"
#include "shim/record/limit_args.h"
#include "shim/record/lock_all.h"

using namespace ovcshim;

namespace {

// A weak reference of the program may find our function where libc has none: what a kernel without
// the call would say.
template <Failure how, typename R>
R not_there() {
  if constexpr (how == Failure::kCode) return ENOSYS;
  errno = ENOSYS;
  return (R)-1;
}

template <Op op, typename R, typename... Args>
[[gnu::always_inline]] inline R forwarded(R (*function)(Args...), Args... args) {
  if constexpr (op == Op::kMlockall) {
    const LogAside aside(static_cast<uint64_t>((args, ...)));
    return function(args...);
  } else {
    return function(args...);
  }
}

template <Op op, Failure how, typename R, typename... Args>
[[gnu::always_inline]] inline R traced(const char* symbol, uint64_t caller, const char* text,
                                       R (*&slot)(Args...), Args... args) {
  auto* function = found(slot, symbol);
  if (!function) return not_there<how, R>();
  Event event;
  set_args(event, args...);
  const bool on = begin(event, op, When::kAfter, Freshness::kCheap, caller, here());
  R result = forwarded<op>(function, args...);
  if (on) finish<how>(event, to_word(result), text);
  return result;
}

}  // namespace

#define PLAIN(symbol, op, type, parameters, arguments, failure)                      \
  OVC_EXPORT type symbol parameters noexcept {                                       \
    constexpr Failure how = Failure::failure;                                        \
    auto forward = [caller = OVC_CALLER](auto... a) __attribute__((always_inline)) { \
      return traced<Op::op, how>(#symbol, caller, nullptr, next.symbol, a...);       \
    };                                                                               \
    return forward arguments;                                                        \
  }
#define MEMORY(symbol, op, type, parameters, arguments, failure)
#define OTHER(symbol, op, type, parameters)
#define ALIAS(symbol, of)
#include "shim/providers/calls.def"
#undef MEMORY
#undef PLAIN
#undef OTHER
#undef ALIAS

OVC_EXPORT int ftruncate64(int, off_t) noexcept __attribute__((alias("ftruncate")));
OVC_EXPORT int fallocate64(int, int, off_t, off_t) noexcept __attribute__((alias("fallocate")));
OVC_EXPORT int posix_fallocate64(int, off_t, off_t) noexcept
    __attribute__((alias("posix_fallocate")));

OVC_EXPORT int shm_open(const char* name, int oflag, mode_t mode) noexcept {
  auto* function = found(next.shm_open, "shm_open");
  if (!function) return not_there<Failure::kMinusOne, int>();
  Event event;
  set_args(event, oflag, mode);
  const bool on = begin(event, Op::kShmOpen, When::kAfter, Freshness::kCheap, OVC_CALLER, here());
  const int fd = function(name, oflag, mode);
  if (on) finish<Failure::kMinusOne>(event, fd, name);
  return fd;
}

OVC_EXPORT int memfd_create(const char* name, unsigned flags) noexcept {
  auto* function = found(next.memfd_create, "memfd_create");
  if (!function) return not_there<Failure::kMinusOne, int>();
  Event event;
  set_args(event, flags);
  const bool on =
      begin(event, Op::kMemfdCreate, When::kAfter, Freshness::kCheap, OVC_CALLER, here());
  const int fd = function(name, flags);
  if (on) finish<Failure::kMinusOne>(event, fd, name);
  return fd;
}

// Limits: the newest setting decides which limit refuses next.
OVC_EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit* limit) noexcept {
  Event event;
  set_args(event, static_cast<int>(resource));
  if (g.recording) limit_args(event.base.args + 1, limit);
  const bool on = begin(event, Op::kSetrlimit, When::kAfter, Freshness::kCheap, OVC_CALLER, here());
  const int result = found(next.setrlimit, "setrlimit")(static_cast<int>(resource), limit);
  if (on) finish<Failure::kMinusOne>(event, result);
  return result;
}
OVC_EXPORT int setrlimit64(__rlimit_resource_t, const struct rlimit64*) noexcept
    __attribute__((alias("setrlimit")));

OVC_EXPORT int prlimit(pid_t pid, __rlimit_resource resource, const struct rlimit* limit,
                       struct rlimit* old) noexcept {
  Event event;
  set_args(event, pid, static_cast<int>(resource));
  if (g.recording) limit_args(event.base.args + 2, limit);
  const bool on = begin(event, Op::kPrlimit, When::kAfter, Freshness::kCheap, OVC_CALLER, here());
  const int result = found(next.prlimit, "prlimit")(pid, static_cast<int>(resource), limit, old);
  if (!on) return result;
  limit_args(event.base.args + 4, result == 0 ? old : nullptr);
  finish<Failure::kMinusOne>(event, result);
  return result;
}
OVC_EXPORT int prlimit64(pid_t, __rlimit_resource, const struct rlimit64*,
                         struct rlimit64*) noexcept __attribute__((alias("prlimit")));
