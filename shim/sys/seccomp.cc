// SPDX-License-Identifier: MIT
#include "shim/sys/seccomp.h"

#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "shim/format/filter_answer.h"
#include "shim/format/shim_calls.h"
#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

constinit bool started_without = false;

// At least 8 bytes. A page has 4 kB or more.
bool can_be_read(const void* from, uint64_t bytes) {
  const auto start = static_cast<const char*>(from);
  for (uint64_t at = 0; at < bytes; at += 4096)
    if (!sys::readable(start + (at + 8 <= bytes ? at : bytes - 8))) return false;
  return sys::readable(start + bytes - 8);
}

bool is_harmless(const sock_fprog& program, FilterState* states) {
  for (const ShimCall& call : kShimCalls)
    if (filter_answer(program.filter, program.len, call.nr, states) != FilterAnswer::kHarmless)
      return false;
  return true;
}

long mode() { return sys::call(__NR_prctl, PR_GET_SECCOMP); }

}  // namespace

bool is_harmless_filter(const void* program) {
  if (is_quiet() || !can_be_read(program, sizeof(sock_fprog))) return false;
  const sock_fprog copy = *static_cast<const sock_fprog*>(program);
  if (!copy.len || !can_be_read(copy.filter, copy.len * sizeof copy.filter[0])) return false;
  const auto bytes = static_cast<long>(copy.len * sizeof(FilterState));
  const long room =
      sys::call(__NR_mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (sys::failed(room)) return false;
  const bool harmless = is_harmless(copy, reinterpret_cast<FilterState*>(room));
  sys::call(__NR_munmap, room, bytes);
  if (harmless) started_without = false;  // from now on PR_GET_SECCOMP tells nothing
  return harmless;
}

void note_inherited_seccomp() { started_without = mode() == SECCOMP_MODE_DISABLED; }

void learn_of_seccomp() {
  if (started_without && !is_quiet() && mode() == SECCOMP_MODE_FILTER)
    __atomic_fetch_or(&g_seccomp.state, Seccomp::kFilter, __ATOMIC_RELAXED);
}

}  // namespace ovcshim
