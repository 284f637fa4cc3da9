// SPDX-License-Identifier: MIT
//
// A list of mappings that was read part by part while other threads made calls. It shows each
// address as it was at one moment between the ticks of its part: some calls are in it, others not,
// and of those in between nobody knows. Nearly all calls may be replayed upon it all the same: what
// they leave at an address does not depend on what was there (mmap, munmap, brk), or they leave it
// as it is if they were there before (mprotect, madvise). So all calls that overlap the list are
// replayed in their order, and each address comes to what it was in the end.
// mremap alone carries memory from one place to another. It is replayed where its source was read
// before it; where its target was read after it, what the list shows there counts; else the list
// tells nothing of the target, and what is known without the list stays.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tools/replay/address_space.h"

namespace ovc {

struct ListPart {
  uint64_t first = 0;         // index of its first entry
  uint64_t from = 0, to = 0;  // ticks that it was read between
};

struct PartedList {
  std::vector<ovcshim::MappingEntry> entries;
  std::vector<ListPart> parts;
};

// Calls that overlap a list, in the order of their replay.
struct CallsMeanwhile {
  struct Call {
    Event event;
    std::optional<uint64_t> mode;  // vm.overcommit_memory
    bool leaves = false;           // AddressSpace::leave(), of a call that may end behind the list
  };
  std::vector<Call> before;  // in the space that the list replaces already
  bool later = false;  // others come, to be replayed on what comes of it by AddressSpace::reapply
};

// `space`: as it was thought to be when the list had been read.
void take_over(AddressSpace& space, const PartedList& list, bool image_start,
               const CallsMeanwhile& calls);

}  // namespace ovc
