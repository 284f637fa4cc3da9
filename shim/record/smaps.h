// SPDX-License-Identifier: MIT
//
// The mappings of this process, one by one, from smaps through a small buffer: the thread's own,
// since /proc/self shows nothing once the first thread has ended. Reading holds mmap_lock for read
// and takes about 12 ms per GiB of 4 kB pages that are present (fs/proc/task_mmu.c).
#pragma once
#include "shim/proc/lines.h"
#include "shim/record/state.h"

namespace ovcshim {

// The log, or other memory of the shim's own.
bool is_own_memory(uint64_t start);

class Smaps {
 public:
  // objects: gets the lines, too.
  Smaps(char* io, uint64_t room, const char* path = "/proc/thread-self/smaps",
        ModuleCollector* objects = nullptr)
      : lines_(path, io, room), objects_(objects) {}
  // The next mapping, ascending; false at the end, or if there is nothing to be read.
  bool next(MappingEntry& mapping);

 private:
  // Where the lines that are wanted begin, counted from the end of the header. The kernel writes
  // the same lines for each mapping, with columns of a fixed width: they need not be searched for.
  struct Layout {
    static constexpr int kLines = 4;
    uint32_t at[kLines];
    bool known;
  };
  bool parse_attribute(const char* line, MappingEntry& m);
  bool take_by_layout(MappingEntry& m);

  Lines lines_;
  ModuleCollector* objects_;
  MappingEntry ahead_{};
  bool ended_ = false;   // that was the last one: nothing more need be read
  bool open_ = false;    // ahead_ is the header of a mapping whose attributes were not read yet
  uint32_t walked_ = 0;  // bytes behind that header
  Layout layout_{};
};

}  // namespace ovcshim
