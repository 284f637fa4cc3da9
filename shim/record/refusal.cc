// SPDX-License-Identifier: MIT
//
// See refusal.h.
#include "shim/record/refusal.h"

namespace ovcshim {

thread_local constinit Refusal t_refusal{};
constinit RehearseSpec g_rehearsal;

uint16_t refusal_flag(Op op, uint64_t begin_tick) {
  if (t_refusal.tick == 0) return 0;
  const bool own = op == t_refusal.op, inside = t_refusal.tick >= begin_tick;
  if (own && !inside)
    t_refusal.op = Op::kNone;  // a small allocation's record begins after it: once only
  return own || inside ? t_refusal.flag : 0;
}

}  // namespace ovcshim
