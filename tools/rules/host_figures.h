// SPDX-License-Identifier: MIT
//
// Which figures of the host are the kernel's own. Containers mount files over those of /proc: lxcfs
// over meminfo, loadavg, stat and swaps, sysbox over /proc/sys. What such a file says is not what
// the kernel compares with, so it decides nothing; sysinfo(2) stands in where it can be trusted.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/rules/commit_rules.h"

namespace ovc {

// A file of /proc by its bit in FactKey::kForeignFiles, and the facts read from it.
struct HostFileRow {
  ovcshim::HostFile bit;
  std::string_view path;  // below /proc
  ovcshim::FactKey first, last;
};
std::span<const HostFileRow> host_files();

// False: these facts say themselves that the file it was read from is not the kernel's.
bool is_kernels_own(ovcshim::FactKey key, std::span<const ovcshim::Fact> facts);

// Takes out of the rules what `facts`, just added to them, show to be somebody else's figure, and
// puts the kernel's in its place where it is known. Part of with_facts().
void settle_figures(HostRules& rules, std::span<const ovcshim::Fact> facts);

// No figure of memory is to be relied on, for this reason.
void doubt_memory(HostRules& rules, std::string_view reason);

// May Committed_AS be compared with CommitLimit? Not the one of a file that is no longer written.
bool knows_committed(const HostRules& rules);

// What there is to say about it, for people: one sentence a file.
std::vector<std::string> figure_notes(const HostRules& rules);

}  // namespace ovc
