// SPDX-License-Identifier: MIT
//
// See bus_errors.h. What is memory and has a size (tmpfs, /dev/shm) gives a page when it is
// touched; one for which there is no room is SIGBUS (mm/shmem.c shmem_fault()). So is a huge page
// that the pool cannot give, and a page beyond the end of a file.
#include "tools/verdict/bus_errors.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/mman.h>

#include <optional>

#include "tools/text/output.h"

namespace ovc {
namespace {

using namespace ovcshim;

struct Mapped {
  uint64_t kb = 0, size_kb = 0, free_kb = 0;  // of the file system, when it was mapped
  bool holds_all() const { return kb <= size_kb; }
};

uint64_t in_kb(uint64_t blocks, uint64_t block) {
  uint64_t bytes = 0;
  return __builtin_mul_overflow(blocks, block, &bytes) ? UINT64_MAX / 1024 : bytes / 1024;
}

class Search {
 public:
  Search(uint32_t pid, uint64_t from, uint64_t to) : pid_(pid), from_(from), to_(to) {}

  bool note(const Event& event) {
    const EventBase& b = event.base;
    const bool mapped = b.op == Op::kMmap && event.returned() && !event.failed();
    if (!mapped || b.pid != pid_ || b.begin_tick <= from_ || b.begin_tick >= to_) return true;
    if (b.args[3] & MAP_ANONYMOUS) {
      huge_ |= (b.args[3] & MAP_HUGETLB) != 0;
      return true;
    }
    const auto type = event.fact(FactKey::kFileFsType);
    files_ = true;
    huge_ |= type == HUGETLBFS_MAGIC;
    if (type == TMPFS_MAGIC) note_memory(event);
    return true;
  }

  std::vector<std::string> notes() const {
    const bool full = memory_ && memory_->kb > memory_->free_kb;
    std::vector<std::string> list;
    if (full) list.push_back(suspect(memory_text()));
    if (huge_)
      list.push_back(
          suspect("no huge page was free when one was touched (a private or unreserved "
                  "mapping of them)"));
    if (files_ && list.empty())
      list.push_back(
          suspect("a page beyond the end of a mapped file was touched: the file is "
                  "shorter than the mapping, or was cut meanwhile"));
    if (full)
      list.emplace_back(
          "to do: a larger size= of the mount (docker --shm-size for /dev/shm), and "
          "posix_fallocate in the program, which is refused with ENOSPC instead");
    return list;
  }

 private:
  static std::string suspect(const std::string& text) {
    return "suspect: " + text + "  (not proven)";
  }
  void note_memory(const Event& event) {
    const auto block = event.fact(FactKey::kFileFsBlock), all = event.fact(FactKey::kFileFsBlocks),
               free = event.fact(FactKey::kFileFsFree);
    if (!block || !all || *all == 0 || !free) return;  // 0: a mount without a size
    const Mapped mapped{event.base.args[1] / 1024, in_kb(*all, *block), in_kb(*free, *block)};
    if (!memory_ || mapped.kb > memory_->kb) memory_ = mapped;
  }
  std::string memory_text() const {
    return fmt::format(
        "the file system in memory (tmpfs, as /dev/shm) was full: {} kB of a file there were "
        "mapped, and {}",
        grouped(memory_->kb),
        memory_->holds_all() ? fmt::format("{} of {} kB were free then", grouped(memory_->free_kb),
                                           grouped(memory_->size_kb))
                             : fmt::format("all of it holds {} kB", grouped(memory_->size_kb)));
  }

  uint32_t pid_;
  uint64_t from_, to_;
  std::optional<Mapped> memory_;  // the largest
  bool huge_ = false, files_ = false;
};

}  // namespace

std::vector<std::string> bus_error_notes(const LogReader& log, uint32_t pid, uint64_t from,
                                         uint64_t to) {
  Search search(pid, from, to);
  log.for_each_event([&](const Event& event) { return search.note(event); });
  return search.notes();
}

}  // namespace ovc
