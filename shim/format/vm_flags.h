// SPDX-License-Identifier: MIT
//
// The two letters that /proc/PID/smaps has for what a mapping is (fs/proc/task_mmu.c
// show_smap_vma_flags()), as MappingFlag.
#pragma once
#include "shim/format/log_format.h"

namespace ovcshim {

struct VmFlagRow {
  char name[3];
  uint32_t flag;
};
inline constexpr VmFlagRow kVmFlagRows[] = {
    {"ac", kMapAc}, {"nr", kMapNr},       {"dc", kMapDc},      {"wf", kMapWf}, {"ht", kMapHt},
    {"gd", kMapGd}, {"lo", kMapLo},       {"sl", kMapSl},      {"dd", kMapDd}, {"de", kMapDe},
    {"pf", kMapPf}, {"mw", kMapMayWrite}, {"me", kMapMayExec},
};

}  // namespace ovcshim
