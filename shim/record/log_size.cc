// SPDX-License-Identifier: MIT
#include "shim/record/log_size.h"

#include "shim/format/memory_format.h"
#include "shim/format/readings_format.h"
#include "shim/proc/group_room.h"
#include "shim/proc/proc_files.h"

namespace ovcshim {
namespace {

constexpr uint64_t kShareOfAddressSpace = 32;
// events: 64K are 192 records of a slot, and 8 of the longest in the ring of the vitals... the
// least that OVCSHIM_EVENTS_SIZE takes, too.
constexpr uint64_t kLeastLane = 64 * 1024, kUsefulLane = 1024 * 1024;
constexpr uint64_t kManyStripes = 1024, kFewStripes = 256, kLeastStripes = 64;

uint64_t round_up(uint64_t bytes) { return (bytes + kPageBytes - 1) & ~(kPageBytes - 1); }
uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

void halve(uint64_t& lane) { lane = lane / 2 > kLeastLane ? round_up(lane / 2) : kLeastLane; }

uint64_t smaller_growth(uint64_t bytes) {
  return bytes / 2 > kLeastGrowthBytes ? round_up(bytes / 2) : kLeastGrowthBytes;
}

// One step. False: nothing is left to give.
bool shrink(LogSize& s) {
  if (s.calls_bytes > s.events_bytes && s.calls_bytes > kLeastLane) halve(s.calls_bytes);
  else if (s.stripes > kManyStripes) s.stripes = kManyStripes;
  else if (s.growth_bytes > s.events_bytes && s.growth_bytes > kLeastGrowthBytes)
    s.growth_bytes = smaller_growth(s.growth_bytes);
  else if (s.events_bytes > kUsefulLane) halve(s.events_bytes);
  else if (s.calls_bytes > kLeastLane) halve(s.calls_bytes);
  else if (s.stripes > kFewStripes) s.stripes = kFewStripes;
  else if (s.growth_bytes) s.growth_bytes = 0;
  else if (s.events_bytes > kLeastLane) halve(s.events_bytes);
  else if (s.stripes > kLeastStripes) s.stripes = kLeastStripes;
  else if (s.calls_bytes) s.calls_bytes = 0;
  else return false;
  return true;
}

uint64_t soft_limit(long resource) {
  struct {
    uint64_t current, maximum;
  } limit{UINT64_MAX, 0};
  sys::call(__NR_prlimit64, 0, resource, 0, reinterpret_cast<long>(&limit));
  return limit.current == UINT64_MAX ? kInfinite : limit.current;
}

uint64_t address_space_left(uint64_t limit) {
  if (limit == kInfinite) return limit;
  const uint64_t pages = read_number("/proc/self/statm");
  if (pages == kUnknown) return limit;
  return limit > pages * kPageBytes ? limit - pages * kPageBytes : 0;
}

uint64_t address_space_share(uint64_t limit, uint64_t left) {
  return limit == kInfinite ? kInfinite
                            : smaller(limit / kShareOfAddressSpace, left / kShareOfRest);
}

// struct statfs, in words. Blocks are counted in fragments.
struct Filesystem {
  long words[15]{};
  bool read(long fd) {
    return !sys::failed(sys::call(__NR_fstatfs, fd, reinterpret_cast<long>(words)));
  }
  bool is_memory() const {  // TMPFS_MAGIC, RAMFS_MAGIC
    return words[0] == 0x01021994 || words[0] == 0x858458f6;
  }
  uint64_t free_bytes() const {
    const auto fragment = static_cast<uint64_t>(words[9] ? words[9] : words[1]);
    uint64_t bytes = 0;
    if (!words[2] || __builtin_mul_overflow(static_cast<uint64_t>(words[4]), fragment, &bytes))
      return kInfinite;  // one that does not count
    return bytes;
  }
};

bool fit_share(LogSize& size, LogBound bound, uint64_t left) {
  return left >= kInfinite || make_fit(size, bound, left, left / kShareOfRest);
}

}  // namespace

void lay_out(FileHeader& h, const LogSize& size) {
  uint64_t at = kHeaderBytes;
  auto area = [&at](auto& a, uint64_t bytes) {
    a = {at, round_up(bytes)};
    at += a.bytes;
  };
  area(h.processes, kProcessSlots * sizeof(ProcessSlot));
  area(h.stripes, size.stripes * kStripeBytes);
  // a quarter for what must last
  const uint64_t vitals = round_up(size.events_bytes / 4);
  area(h.vitals, vitals);
  area(h.events, round_up(size.events_bytes) - vitals);
  area(h.growth, size.growth_bytes);
  area(h.readings, size.readings ? readings_bytes(size.growth_bytes) : 0);
  // its calls tell their stacks by the rows of growth
  area(h.memory, size.growth_bytes ? memory_ring_bytes(round_up(size.events_bytes)) : 0);
  area(h.calls, size.calls_bytes);
  h.file_bytes = at;
}

LogSize wanted_size(const LogWish& wish) {
  LogSize size{.events_bytes = wish.events_bytes, .calls_bytes = wish.calls_bytes};
  if (wish.events_bytes < size.growth_bytes) size.growth_bytes /= 2;
  FileHeader h;
  lay_out(h, size);
  size.wanted_bytes = h.file_bytes;
  return size;
}

bool make_fit(LogSize& size, LogBound bound, uint64_t left, uint64_t allowed) {
  FileHeader h;
  for (lay_out(h, size); h.file_bytes > allowed; lay_out(h, size)) {
    size.bound = bound, size.left_bytes = left;
    if (!shrink(size)) return false;
  }
  return true;
}

bool fit_all(LogSize& size, long fd) {
  const uint64_t file = soft_limit(1 /* RLIMIT_FSIZE */), space = soft_limit(9 /* RLIMIT_AS */);
  const uint64_t space_left = address_space_left(space);
  if (!make_fit(size, LogBound::kRlimitFsize, file, file) ||
      !make_fit(size, LogBound::kRlimitAs, space_left, address_space_share(space, space_left)))
    return false;
  Filesystem there;
  if (!there.read(fd)) return true;
  if (!fit_share(size, LogBound::kFreeSpace, there.free_bytes())) return false;
  return !there.is_memory() || (fit_share(size, LogBound::kMemory, memory_room()) &&
                                fit_share(size, LogBound::kMemoryGroup, memory_group_room()));
}

uint64_t mappable_bytes() {
  const uint64_t limit = soft_limit(9 /* RLIMIT_AS */);
  return address_space_share(limit, address_space_left(limit));
}

}  // namespace ovcshim
