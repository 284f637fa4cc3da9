// SPDX-License-Identifier: MIT
//
// What an exec passes on: how many arguments, how many environment strings, and whether LD_PRELOAD
// still names the shim.
#pragma once
#include <cstdint>

#pragma GCC visibility push(hidden)

namespace ovcshim {

struct ExecArgs {
  uint64_t arguments = 0, environment = 0;  // counted up to 4096
  uint64_t passes_shim_on = 0;  // 1: LD_PRELOAD is in the environment and names the shim
};
// The program's pointers may be bad (then exec says EFAULT): nothing is read that is not proven
// readable. Under a filter of the program's own nothing can be proven: all three are kUnknown.
ExecArgs exec_args(char* const* argv, char* const* environment);

// After E2BIG: the bytes of all strings, and of the longest, each with its end. 0: not to be read.
struct ExecSize {
  uint64_t bytes = 0, longest = 0;
};
ExecSize exec_size(char* const* argv, char* const* environment);

}  // namespace ovcshim

#pragma GCC visibility pop
