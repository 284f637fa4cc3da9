// SPDX-License-Identifier: MIT
//
// The libc.so.6 that is loaded, by the loader's list and its own tables. No libc calls: another
// preload may come first in dlsym's order.
#pragma once
#include <cstddef>
#include <cstdint>

#include "shim/sys/loaded_objects.h"

#pragma GCC visibility push(hidden)

namespace ovcshim {

struct Code {  // one function of libc
  const unsigned char* begin = nullptr;
  const unsigned char* end = nullptr;
};

using LoadedLibc = ObjectTables;

bool is_libc(const ObjectTables& object);
// Walks the loader's list without its lock: libc stands among the objects of the start, which stay.
// `proven`: of an address, is its page known to be readable?
bool find_libc(LoadedLibc& libc, bool (*proven)(uint64_t));
// Empty if there is none of that name, or it is no plain code.
Code find_function(const LoadedLibc& libc, const char* name);

// Does the loader have this object, of which `own` is the dynamic section, behind libc.so.6? Then
// it was loaded by dlopen; what is preloaded stands before.
bool is_behind_libc(const void* own);

}  // namespace ovcshim

#pragma GCC visibility pop
