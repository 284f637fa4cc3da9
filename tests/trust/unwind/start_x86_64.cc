// SPDX-License-Identifier: MIT
#if defined(__x86_64__)
#include "tests/trust/unwind/start.h"

namespace oracle {

ovcshim::FrameState start_of(const ovc::Registers& r) {
  return {r.rip, r.rsp, r.rbp, r.rbx, r.r12, r.r13, r.r14, r.r15};
}

bool is_at_call(const ovc::Registers& r, const ovc::Memory& memory) {
  unsigned char code[2]{};
  return ovc::is_restarted(r) || !memory.get(r.rip, code) || (code[0] == 0x0f && code[1] == 0x05);
}

}  // namespace oracle

#endif
