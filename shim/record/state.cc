// SPDX-License-Identifier: MIT
//
// The shim's globals. All constant-initialised: they are valid before any code of the shim has run.
#include "shim/record/state.h"

namespace ovcshim {

constinit Session g;
constinit Seccomp g_seccomp;
constinit Hot g_no_hot{};
thread_local constinit HotPlace t_hot [[gnu::tls_model("initial-exec")]]{};
constinit Lineage g_lineage{0, kNoIndex, 0, 0};
constinit const ModuleTable* g_modules = nullptr;
constinit uint64_t g_ticks_per_ms = 1000000;

constinit Private* g_private = nullptr;

// kernel/fork.c dup_mmap(): VM_WIPEONFORK, since 4.14.
long map_wiped(long bytes) {
  const long at = sys::call(__NR_mmap, 0, bytes, 3 /* RW */, 0x22 /* PRIVATE, ANONYMOUS */, -1, 0);
  if (sys::failed(at)) return at;
  const long wiped = sys::call(__NR_madvise, at, bytes, 18 /* MADV_WIPEONFORK */);
  if (sys::failed(wiped)) {
    sys::call(__NR_munmap, at, bytes);
    return wiped;
  }
  sys::call(__NR_prctl, 0x53564d41 /* PR_SET_VMA */, 0 /* ANON_NAME */, at, bytes,
            reinterpret_cast<long>("ovcshim"));
  return at;
}

}  // namespace ovcshim
