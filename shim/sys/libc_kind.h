// SPDX-License-Identifier: MIT
//
// Which C library the program runs on, told by symbols that it alone has. The shim is one object
// for all of them: it refers to nothing that only one has, except weakly.
#pragma once

extern "C" {
[[gnu::weak]] const char* gnu_get_libc_version();
[[gnu::weak]] void __dls3();  // a stage of musl's loader (ldso/dynlink.c), which is musl's libc
}

namespace ovcshim {

enum class Libc { kGlibc, kMusl, kOther };

inline Libc libc_kind() {
  return gnu_get_libc_version ? Libc::kGlibc : __dls3 ? Libc::kMusl : Libc::kOther;
}

// glibc's release as minor number of 2, for example 36; 0 for another libc.
unsigned glibc_minor();

}  // namespace ovcshim
