// SPDX-License-Identifier: MIT
//
// The Setting of a running process, from /proc.
#pragma once
#include "tools/causes/setting.h"
#include "tools/host/proc_files.h"
#include "tools/host/smaps.h"

namespace ovc {

Setting live_setting(const SystemRoot& root, uint32_t pid, const MappingSums& sums);

}  // namespace ovc
