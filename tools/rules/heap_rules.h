// SPDX-License-Identifier: MIT
//
// Where the heap begins (mm->start_brk), as far as a list of mappings tells.
#pragma once
#include <cstdint>
#include <optional>
#include <span>

#include "shim/format/log_format.h"
#include "tools/rules/commit_rules.h"

namespace ovc {

// The kernel calls a mapping [heap] that reaches into the range from the heap's beginning to the
// program break (include/linux/mm.h vma_is_initial_heap()); older ones also what only touches the
// range (fs/proc/task_mmu.c show_map_vma()): .bss where addresses are not randomised, or what lies
// right behind the break. Seen so on Debian's 6.1 and no longer on its 6.12 and 6.18
// (tests/kernels, the ledger); of what lies between, and was mended in stable trees, the worse is
// supposed.
bool heap_name_is_exact(const HostRules& rules);

// It begins at this address or below; nullopt: no mapping is called so.
std::optional<uint64_t> heap_begins_at_most(std::span<const ovcshim::MappingEntry> list,
                                            const HostRules& rules);

}  // namespace ovc
