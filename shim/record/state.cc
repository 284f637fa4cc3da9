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

}  // namespace ovcshim
