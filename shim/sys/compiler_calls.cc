// SPDX-License-Identifier: MIT
//
// memcpy and its kin, which a compiler may call although nobody wrote the call: clang copies and
// clears structures so, whatever -fno-builtin says. Hidden, so that these calls stay inside the
// shim: libc's functions may be somebody else's interposed version, and may use vector registers.
#include "shim/sys/sys.h"

#define OVC_FOR_COMPILER extern "C" [[gnu::visibility("hidden"), gnu::used]]

OVC_FOR_COMPILER void* memcpy(void* to, const void* from, size_t len) {
  ovcshim::sys::copy(to, from, len);
  return to;
}

OVC_FOR_COMPILER void* memset(void* to, int value, size_t len) {
  // Volatile, or the loop would be made a call of this very function.
  for (volatile auto* t = static_cast<unsigned char*>(to); len > 0; --len)
    *t++ = static_cast<unsigned char>(value);
  return to;
}
