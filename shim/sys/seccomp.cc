// SPDX-License-Identifier: MIT
#include "shim/sys/seccomp.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

constinit bool started_without = false;

long mode() { return sys::call(__NR_prctl, PR_GET_SECCOMP); }

}  // namespace

void note_inherited_seccomp() { started_without = mode() == SECCOMP_MODE_DISABLED; }

void learn_of_seccomp() {
  if (started_without && !is_quiet() && mode() == SECCOMP_MODE_FILTER)
    __atomic_fetch_or(&g_seccomp.state, Seccomp::kFilter, __ATOMIC_RELAXED);
}

}  // namespace ovcshim
