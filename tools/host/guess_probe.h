// SPDX-License-Identifier: MIT
//
// Which of the two mode-0 checks does the running kernel have? Vendors carry changes back, so below
// 5.2 the release does not tell.
#pragma once
#include <cstdint>
#include <optional>

namespace ovc {

// True: only a single request over RAM + swap is refused (since 5.2, mm/util.c
// __vm_enough_memory()). False: a request is compared with free memory. Asks for RAM + swap in one
// private mapping, touches nothing and gives it back at once; the caller has seen mode 0. nullopt:
// the answer would say nothing (RLIMIT_AS or RLIMIT_DATA of ours is lower).
std::optional<bool> probe_simple_guess(uint64_t ram_and_swap_kb);

}  // namespace ovc
