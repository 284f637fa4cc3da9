// SPDX-License-Identifier: MIT
//
// Everything /proc says about a running process that decides whether it could fork now, as the same
// Evidence that a recorded failure gives: a fork that has not been tried is an Evidence without a
// refusal.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/causes/causes.h"
#include "tools/host/live_groups.h"
#include "tools/host/live_host.h"
#include "tools/host/smaps.h"

namespace ovc {

enum class Depth : uint8_t {
  kExact,     // smaps: the charge itself, and a walk over the page tables
  kEstimate,  // maps: bounds of it, and no walk
};

enum class ReadState : uint8_t {
  kRead,
  kGone,       // no such process, or it ended meanwhile
  kZombie,     // ended, not waited for: nothing that could fork
  kKernel,     // no memory of its own: a kernel thread
  kForbidden,  // its mappings may not be read by us; all else was
};

struct LiveProcess {
  uint32_t pid = 0;
  Depth wanted = Depth::kExact;
  std::string comm;  // raw, may be hostile
  ReadState state = ReadState::kGone;
  std::string reason;  // of kForbidden and kGone, for people
  Evidence fork;       // of a fork it might make now; mappings_complete after an exact reading
  MappingSums sums;
  bool listed = false;  // its mappings were read, from smaps or maps
  GroupLimits groups;
  std::optional<uint64_t>
      user_tasks;  // of its real user id; only where the limit on them applies to it
  bool user_tasks_complete = false;
  std::string label;  // SELinux's, raw; empty: it does not label this process
  std::optional<bool> denied_children = false;  // does its policy deny that label children
  std::optional<bool>
      pidns_alive;      // has the pid namespace of its children a living init; nullopt: not known
  int64_t read_ns = 0;  // time that smaps or maps took
  // Of /proc/PID/status: its page tables, its private pages, those in swap; THP for it at all
  std::optional<uint64_t> page_tables_kb, anonymous_kb, swapped_kb;
  std::optional<bool> thp_allowed;
};

// Never throws for a process that vanishes or hides.
LiveProcess read_process(const LiveHost& host, uint32_t pid, Depth depth);
// comm of a process, nullopt if it is gone.
std::optional<std::string> comm_of(const LiveHost& host, uint32_t pid);

}  // namespace ovc
