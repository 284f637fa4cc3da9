// SPDX-License-Identifier: MIT
//
// A fork that passed, with its mappings as the replay knows them: what `ovc plan` starts from where
// no fork was refused.
#pragma once
#include <cstdint>
#include <optional>

#include "tools/causes/causes.h"
#include "tools/log/log_reader.h"
#include "tools/verdict/why_scan.h"

namespace ovc {

// The newest (of process `pid`, if given) whose address space the log explains in full and the
// kernel's size confirms; nullopt if there is none among the last ones.
std::optional<Evidence> newest_granted_fork(const LogReader& log, const WhyScan& scan,
                                            std::optional<uint32_t> pid);

}  // namespace ovc
