// SPDX-License-Identifier: MIT
#include "tools/log/log_mapping.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "tools/text/progress.h"

namespace ovc {
namespace {

// A log that is truncated while it is mapped would kill us with SIGBUS: give zeros (never written)
// instead.
constexpr size_t kMaxMaps = 16;
struct MappedRange {
  std::atomic<uintptr_t> start{0}, end{0};
};
constinit MappedRange mapped_ranges[kMaxMaps];
const auto page_bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));  // of the reader's host

void supply_zero_page(int, siginfo_t* info, void*) {
  const auto page = reinterpret_cast<uintptr_t>(info->si_addr) / page_bytes * page_bytes;
  for (const MappedRange& range : mapped_ranges)
    if (page >= range.start && page < range.end &&
        mmap(reinterpret_cast<void*>(page), page_bytes, PROT_READ,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
      return;
  signal(SIGBUS, SIG_DFL);  // not ours: fault again, and die as usual
}

void survive_truncation(const void* start, size_t bytes) {
  struct sigaction action {};
  action.sa_sigaction = supply_zero_page;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
  for (MappedRange& range : mapped_ranges) {
    uintptr_t free = 0;
    if (!range.start.compare_exchange_strong(free, reinterpret_cast<uintptr_t>(start))) continue;
    range.end = range.start + bytes;
    return;
  }
}

void forget_range(const void* start) {
  for (MappedRange& range : mapped_ranges) {
    if (range.start != reinterpret_cast<uintptr_t>(start)) continue;
    range.end = 0;
    range.start = 0;
  }
}

}  // namespace

bool LogMapping::map(int fd, uint64_t bytes) {
  void* start = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (start == MAP_FAILED) return false;
  start_ = static_cast<unsigned char*>(start);
  bytes_ = bytes;
  fd_ = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  touched_.resize((bytes + kWindow - 1) / kWindow);
  survive_truncation(start, bytes);
  return true;
}

LogMapping::~LogMapping() {
  if (!start_) return;
  forget_range(start_);
  munmap(start_, bytes_);
  if (fd_ >= 0) close(fd_);
}

// Where the filesystem cannot tell, all is taken for data. ENXIO: nothing but a hole from here on,
// or the file was cut off.
uint64_t LogMapping::seek_data(uint64_t offset) const {
  if (offset >= bytes_) return bytes_;
  const off_t data = lseek(fd_, static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0) return errno == ENXIO ? bytes_ : offset;
  const off_t hole = lseek(fd_, data, SEEK_HOLE);
  data_start_ = static_cast<uint64_t>(data);
  data_end_ = hole > data ? static_cast<uint64_t>(hole) : data_start_;
  return std::min(data_start_, bytes_);
}

void LogMapping::give_back(uint64_t window) const {
  if (count_ == kResident / kWindow) {
    madvise(start_, bytes_, MADV_DONTNEED);  // pages of a file: nothing is lost, pointers stay good
    std::fill(touched_.begin(), touched_.end(), false);
    count_ = 0;
  }
  touched_[window] = true;
  ++count_;
  note_read(kWindow);
}

}  // namespace ovc
