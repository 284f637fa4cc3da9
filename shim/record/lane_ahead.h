// SPDX-License-Identifier: MIT
//
// Pages of the call lane are brought in some at a time before they are written to: a page fault of
// a file's page takes 1.7 to 6 us, one of 32 that are asked for by one call 0.3 to 1.3 us. A
// program that makes few calls asks for none, and no more at a time than it has used before.
#pragma once
#include <cstdint>

#pragma GCC visibility push(hidden)

namespace ovcshim {

struct LaneAhead {
  uint64_t from, to;  // chunks that were asked for last
  uint32_t claims;    // of this process
  uint32_t used;      // of those asked for
  uint32_t credit;    // as claims, less where others took what was asked for
  uint32_t refused;   // 1: the kernel cannot (before Linux 5.14), or has no room
};

// Chunk `index` of the lane is about to be claimed. Makes a system call now and then; any thread.
void bring_chunks(uint64_t index);

}  // namespace ovcshim

#pragma GCC visibility pop
