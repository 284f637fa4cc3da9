// SPDX-License-Identifier: MIT
//
// The address space: mmap and its relatives. Where libc's own system calls are visible too
// (g.internals), libc's wrapper would report the same call a second time; Hot::forwarding tells it
// that this one is ours.
#include <sys/mman.h>
#include <sys/syscall.h>

#include "shim/interpose/interpose.h"
#include "shim/record/forwarding.h"

using namespace ovcshim;

namespace {

constexpr long number_of(Op op) {
  switch (op) {
    case Op::kMmap: return __NR_mmap;
    case Op::kMunmap: return __NR_munmap;
    case Op::kMremap: return __NR_mremap;
    case Op::kMprotect: return __NR_mprotect;
    case Op::kBrk: return __NR_brk;
    default: return __NR_madvise;
  }
}

// brk has no raw stand-in with libc's bookkeeping: before the constructor it is looked up.
template <Op op, Failure how, typename R, typename... Args>
[[gnu::always_inline]] inline R traced(const char* symbol, uint64_t caller, R (*&slot)(Args...),
                                       Args... args) {
  Event event;
  set_args(event, args...);
  const bool on = begin(event, op, When::kAfter, Freshness::kCheap, caller, here());
  auto* function = found(slot, symbol);
  if (on) expect_in_libc(number_of(op));
  R result = function(args...);
  if (on) {
    expect_in_libc(0);
    finish<how>(event, to_word(result));
  }
  return result;
}

}  // namespace

#define MEMORY(symbol, op, type, parameters, arguments, failure)                     \
  OVC_EXPORT type symbol parameters noexcept {                                       \
    constexpr Failure how = Failure::failure;                                        \
    auto forward = [caller = OVC_CALLER](auto... a) __attribute__((always_inline)) { \
      return traced<Op::op, how>(#symbol, caller, next.symbol, a...);                \
    };                                                                               \
    return forward arguments;                                                        \
  }
#define PLAIN(symbol, op, type, parameters, arguments, failure)
#define OTHER(symbol, op, type, parameters)
#define ALIAS(symbol, of)
#include "shim/providers/calls.def"
#undef MEMORY
#undef PLAIN
#undef OTHER
#undef ALIAS

OVC_EXPORT void* mmap64(void*, size_t, int, int, int, off_t) noexcept
    __attribute__((alias("mmap")));

// As mprotect, and where the key is -1 the same.
OVC_EXPORT int pkey_mprotect(void* addr, size_t len, int prot, int pkey) noexcept {
  Event event;
  set_args(event, addr, len, prot, pkey + 1);
  const bool on = begin(event, Op::kMprotect, When::kAfter, Freshness::kCheap, OVC_CALLER, here());
  auto* function = found(next.pkey_mprotect, "pkey_mprotect");
  if (on) expect_in_libc(__NR_mprotect);  // libc's own for the key -1
  const int result = function(addr, len, prot, pkey);
  if (on) {
    expect_in_libc(0);
    finish<Failure::kMinusOne>(event, result);
  }
  return result;
}

// The increment is signed and the real work is brk, seen beneath it.
OVC_EXPORT void* sbrk(intptr_t increment) noexcept {
  Event event;
  set_args(event, static_cast<int64_t>(increment));
  const bool on = begin(event, Op::kSbrk, When::kAfter, Freshness::kCheap, OVC_CALLER, here());
  void* result = found(next.sbrk, "sbrk")(increment);
  if (on) finish<Failure::kMapFailed>(event, to_word(result));
  return result;
}

// The fifth argument is there only with MREMAP_FIXED or MREMAP_DONTUNMAP; reading and passing it on
// always is what libc's callers see too.
OVC_EXPORT void* mremap(void* old, size_t old_len, size_t new_len, int flags, ...) noexcept {
  __builtin_va_list list;
  __builtin_va_start(list, flags);
  void* to = __builtin_va_arg(list, void*);
  __builtin_va_end(list);
  const bool has_address = flags & (MREMAP_FIXED | MREMAP_DONTUNMAP);
  Event event;
  set_args(event, old, old_len, new_len, flags, has_address ? to : nullptr);
  const bool on = begin(event, Op::kMremap, When::kAfter, Freshness::kCheap, OVC_CALLER, here());
  if (on) expect_in_libc(__NR_mremap);
  void* result = next.mremap(old, old_len, new_len, flags, to);
  if (on) {
    expect_in_libc(0);
    finish<Failure::kMapFailed>(event, to_word(result));
  }
  return result;
}
