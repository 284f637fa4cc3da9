// SPDX-License-Identifier: MIT
//
// The text of /proc/PID/smaps and /proc/PID/maps as mappings. Reads line by line; memory does not
// grow with the text. smaps walks the page tables: about 12 ms for each GiB present in 4 kB pages,
// with the process's mmap_lock held for reading meanwhile, so its mmap, munmap and brk wait. maps
// does not, but lacks the flags that say what is charged.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "shim/format/log_format.h"

namespace ovc {

// `name` is valid during the call only; as the kernel wrote it, so it may be hostile.
using EachMapping = std::function<void(const ovcshim::MappingEntry&, std::string_view name)>;

// Takes the lines of either file in turn. Unknown lines are passed over.
class MappingParser {
 public:
  explicit MappingParser(EachMapping each) : each_(std::move(each)) {}
  void line(std::string_view line);
  void end();  // after the last line

 private:
  EachMapping each_;
  ovcshim::MappingEntry mapping_{};
  std::string name_;
  bool open_ = false;
};

// Calls `each` for every mapping of the file, in ascending order. 0, or an errno; what came before
// the failure was given.
int for_each_mapping(const std::string& path, const EachMapping& each);

// Sums in kB of what smaps says, and what maps alone can say.
struct MappingSums {
  uint64_t mappings = 0;
  uint64_t noreserve_kb =
      0;  // nr, private and writable: not charged, though it would be without MAP_NORESERVE
  uint64_t dont_copy_kb = 0;  // ac and dc: charged to the process, not to its fork
  uint64_t shared_kb = 0;     // shared and writable: charged, if at all, to the object and once
  uint64_t huge_kb = 0;       // ht: from the pool of huge pages
  uint64_t chosen_noreserve_kb =
      0;  // nr by nothing but MAP_NORESERVE: anonymous, neither huge nor droppable
  uint64_t could_be_noreserve_kb = 0;  // ac, not dc, anonymous, neither heap nor stack
  uint64_t heap_and_stack_kb = 0;      // the [heap] and [stack] lines
  uint64_t private_kb = 0,
           biggest_private_kb = 0;  // every mapping that could be charged, by maps alone
  // Of private mappings that a fork copies: pages that both sides then share, and those in swap
  uint64_t anonymous_kb = 0, swapped_kb = 0;
  bool jemalloc = false;  // libjemalloc is mapped
  std::string log;        // the file of a log that is mapped shared, as the process names it

  void add(const ovcshim::MappingEntry& mapping, std::string_view name);
};

}  // namespace ovc
