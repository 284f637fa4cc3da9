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

#include "shim/format/filter_answer.h"

namespace ovc {

using ovcshim::FilterAnswer;
FilterAnswer answer_to(std::span<const sock_filter> program, uint32_t nr);

// The filters of a thread that is stopped; nullopt: the kernel does not show them, its errno in
// `error`.
using Filters = std::vector<std::vector<sock_filter>>;
std::optional<Filters> read_filters(uint32_t tid, int& error);
// The first call that one of them is not harmless for; empty: none.
std::string call_against(const Filters& filters);

}  // namespace ovc
