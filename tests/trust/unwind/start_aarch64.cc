// SPDX-License-Identifier: MIT
#if defined(__aarch64__)
#include "tests/trust/unwind/start.h"

namespace oracle {

// x30 is the return address until a function has saved it, and the tables tell where it has.
ovcshim::FrameState start_of(const ovc::Registers& r) {
  const auto& user = r.user;
  return {user.pc, user.sp, user.regs[29], user.regs[30], 0, 0, 0, 0};
}

bool is_at_call(const ovc::Registers& r, const ovc::Memory& memory) {
  uint32_t code;
  return ovc::is_restarted(r) || !memory.get(r.user.pc, code);
}

}  // namespace oracle

#endif
