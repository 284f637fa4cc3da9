// SPDX-License-Identifier: MIT
//
// What a seccomp filter would answer to the system calls that the shim and the loader make: its
// program is read from the kernel and followed, with all that is not known (addresses, arguments)
// taken to be anything.
#pragma once
#include <linux/filter.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ovc {

enum class FilterAnswer : uint8_t {
  kHarmless,  // the call is made, or fails with an errno: the shim is tested for that
  kHarmful,   // it may end the program, raise SIGSYS, or wait for somebody's answer
  kUnknown,   // the program is too long, or none that the kernel would have taken
};
FilterAnswer answer_to(std::span<const sock_filter> program, uint32_t nr);

struct ShimCall {
  uint32_t nr;
  const char* name;
};
std::span<const ShimCall> shim_calls();

// The filters of a thread that is stopped; nullopt: the kernel does not show them, its errno in
// `error`.
using Filters = std::vector<std::vector<sock_filter>>;
std::optional<Filters> read_filters(uint32_t tid, int& error);
// The first call that one of them is not harmless for; empty: none.
std::string call_against(const Filters& filters);

}  // namespace ovc
