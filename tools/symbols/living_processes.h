// SPDX-License-Identifier: MIT
//
// Which processes of a log still live on the machine that runs ovc, and under which number here: a
// log written in a container has the container's numbers. Two containers may each start their
// process 1 in the same clock tick, so the pid namespace belongs to the name.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "shim/format/log_format.h"

namespace ovc {

enum class Alive : uint8_t { kNo, kYes, kUnknown };

struct Sighting {
  Alive alive = Alive::kUnknown;
  uint32_t pid_here = 0;  // 0: not known, or not exactly one
};

class LivingProcesses {
 public:
  LivingProcesses();  // walks /proc once
  Sighting of(const ovcshim::ProcessSlot& slot) const;
  // Under each number here, as the process itself is named.
  struct Entry {
    uint32_t here = 0;
    uint64_t start_ticks = 0;
    uint64_t pidns = 0;        // 0: not ours to read
    bool other_clock = false;  // in another time namespace start times do not compare
  };

 private:
  std::multimap<uint32_t, Entry> by_own_pid_;
};

// Of a process that lives: field 22 of /proc/PID/stat. nullopt: it ended (a zombie has), or never
// was.
std::optional<uint64_t> start_ticks(const std::string& folder);
// Does kill() know a process of our own pid namespace of which /proc shows nothing (hidepid)?
bool is_hidden(uint32_t pid);
// The pid namespace of ovc; 0: not to be read.
uint64_t own_pidns();

}  // namespace ovc
