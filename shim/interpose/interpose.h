// SPDX-License-Identifier: MIT
//
// What all wrappers share. A wrapper notes its caller, calls begin(), forwards the call, calls
// end(). errno is left alone: nothing in between calls libc.
#pragma once
#include <errno.h>

#include <type_traits>

#include "shim/providers/providers.h"
#include "shim/record/event.h"

#define OVC_EXPORT extern "C" [[gnu::visibility("default")]]
#define OVC_CALLER reinterpret_cast<uint64_t>(__builtin_return_address(0))

namespace ovcshim {

// How a function reports failure.
enum class Failure { kMinusOne, kMapFailed, kNull, kCode };

template <typename T>
int64_t to_word(T value) {
  if constexpr (std::is_pointer_v<T>)
    return static_cast<int64_t>(reinterpret_cast<uint64_t>(value));
  else return static_cast<int64_t>(value);
}

template <Failure how>
bool is_failure(int64_t result) {
  return how == Failure::kNull ? result == 0 : how == Failure::kCode ? result != 0 : result == -1;
}

// `text` as with begin(): for calls that are recorded when they have returned.
template <Failure how>
void finish(Event& event, int64_t result, const char* text = nullptr) {
  const bool failed = is_failure<how>(result);
  end(event, result, failed, how == Failure::kCode ? static_cast<int>(result) : errno, text);
}

template <typename... Args>
void set_args(Event& event, Args... args) {
  for (uint64_t& arg : event.base.args) arg = 0;
  uint64_t* to = event.base.args;
  ((*to++ = static_cast<uint64_t>(to_word(args))), ...);
}

}  // namespace ovcshim
