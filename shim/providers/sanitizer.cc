// SPDX-License-Identifier: MIT
//
// ASan's runtime ends a program at once if its library is not the first one loaded, and a preloaded
// shim always is. It needs to be first only before libc, and it is: every call that the shim takes
// over goes on to the next definition, ASan's. So the shim answers its call for default settings
// (__asan_default_options) with verify_asan_link_order=0, as its manual describes; the environment
// and the program itself still have the last word.
#include <dlfcn.h>

#include "shim/providers/providers.h"
#include "shim/sys/sys.h"

namespace {

constexpr char kSetting[] = "verify_asan_link_order=0";
alignas(1024) constinit char answer[1024];

}  // namespace

extern "C" [[gnu::visibility("default")]] const char* __asan_default_options() {
  auto* theirs =
      reinterpret_cast<const char* (*)()>(ovcshim::resolve_one("__asan_default_options"));
  const char* text = theirs ? theirs() : nullptr;
  if (!text || !*text) return kSetting;
  const size_t length = ovcshim::sys::length(text);
  if (length + sizeof kSetting + 1 > sizeof answer) return text;
  ovcshim::sys::copy(answer, kSetting, sizeof kSetting - 1);
  answer[sizeof kSetting - 1] = ':';
  ovcshim::sys::copy(answer + sizeof kSetting, text, length + 1);
  return answer;
}
