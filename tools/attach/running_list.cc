// SPDX-License-Identifier: MIT
#if defined(__x86_64__) || defined(__aarch64__)  // elsewhere: elsewhere.cc
#include "tools/attach/running_list.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include <cerrno>
#include <string>

#include "tools/host/proc_files.h"
#include "tools/host/smaps.h"

namespace ovc {
namespace {

using ovcshim::kEntriesOfPart;
using ovcshim::MappingEntry;

constexpr size_t kAtOnce = 64 * 1024;  // more than the kernel hands out: whole mappings, a page

// The processor's counter; not before what stands before it, not behind what stands behind it.
#if defined(__aarch64__)
constexpr ovcshim::Clock kCounter = ovcshim::Clock::kCntvct;
uint64_t counter() {
  uint64_t tick;
  asm volatile("dsb ish\n\tisb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(tick) : : "memory");
  return tick;
}
#else
constexpr ovcshim::Clock kCounter = ovcshim::Clock::kTsc;
uint64_t counter() {
  _mm_mfence();
  _mm_lfence();
  const uint64_t tick = __rdtsc();
  _mm_lfence();
  return tick;
}
#endif

// As the shim's tick_now().
uint64_t tick_of(ovcshim::Clock clock) {
  if (clock == kCounter) return counter();
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000000000u + static_cast<uint64_t>(t.tv_nsec);
}

// In another time namespace CLOCK_MONOTONIC says something else.
bool is_same_clock(uint32_t pid, ovcshim::Clock clock) {
  if (clock == kCounter) return true;
  if (clock != ovcshim::Clock::kMonotonicNs) return false;
  return namespace_inode("/proc/self/ns/time") ==
         namespace_inode(fmt::format("/proc/{}/ns/time", pid));
}

class ListReader {
 public:
  ListReader(int fd, ovcshim::Clock clock)
      : fd_(fd),
        clock_(clock),
        parser_([this](const MappingEntry& m, std::string_view) { take(m); }) {
    list_.begin_tick = from_ = before_ = tick_of(clock_);
  }

  bool read() {
    std::string text(kAtOnce, '\0');
    for (;;) {
      // What is handed out now was made now, or with what was handed out before.
      before_ = from_, from_ = tick_of(clock_);
      const ssize_t n = ::read(fd_, text.data(), text.size());
      to_ = tick_of(clock_);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return false;
      if (n == 0) break;
      feed(std::string_view(text).substr(0, static_cast<size_t>(n)));
    }
    parser_.end();
    return !list_.entries.empty();
  }
  RunningList list() { return std::move(list_); }

 private:
  void feed(std::string_view text) {
    for (size_t end; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1)) {
      rest_ += text.substr(0, end);
      parser_.line(rest_);
      rest_.clear();
    }
    rest_ += text;
    if (rest_.empty()) parser_.end();  // it ends with the last line of a mapping
  }
  void take(const MappingEntry& m) {
    if (list_.parts.empty() || list_.parts.back().entries == kEntriesOfPart)
      list_.parts.push_back({before_, to_, 0});
    list_.parts.back().to_tick = to_;
    ++list_.parts.back().entries;
    list_.entries.push_back(m);
  }

  int fd_;
  ovcshim::Clock clock_;
  MappingParser parser_;
  RunningList list_;
  std::string rest_;  // of a line that came in two pieces
  uint64_t before_ = 0, from_ = 0, to_ = 0;
};

}  // namespace

std::optional<RunningList> read_running_list(uint32_t pid, ovcshim::Clock clock) {
  if (!is_same_clock(pid, clock)) return std::nullopt;
  const int fd = open(fmt::format("/proc/{}/smaps", pid).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  ListReader reader(fd, clock);
  const bool whole = reader.read();
  close(fd);
  return whole ? std::optional(reader.list()) : std::nullopt;
}

}  // namespace ovc

#endif
