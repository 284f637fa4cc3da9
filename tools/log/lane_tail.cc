// SPDX-License-Identifier: MIT
#include "tools/log/lane_tail.h"

#include <algorithm>
#include <utility>

#include "shim/format/memory_format.h"

namespace ovc {
namespace {

constexpr unsigned kPatience =
    3;  // looks that a writer has to finish a record: it needs microseconds, unless it was stopped
constexpr size_t kMostGaps = 4096;  // more are not waited for
constexpr size_t kMostOpen =
    1 << 14;  // calls that have not returned: one for each thread that waits or forks

}  // namespace

void LaneTail::read(const LogReader::Wants& wants, const Each& each) {
  share_read_ = 0;
  read_open(each);
  read_gaps(wants, each);
  read_ring(vitals_, wants, each);
  read_ring(events_, wants, each);
  read_ring(memory_, wants, each);
}

void LaneTail::expect(uint64_t position) {
  if (open_.size() == kMostOpen) {
    open_.erase(open_.begin());
    ++forgotten_;
  }
  open_.push_back(position);
}

void LaneTail::give_up() {
  torn_ += static_cast<uint64_t>(
      std::count_if(gaps_.begin(), gaps_.end(), [](const Gap& gap) { return !gap.old; }));
  gaps_.clear();
}

// Of what the ring has passed meanwhile a new record tells, see kLateCompletion.
void LaneTail::read_open(const Each& each) {
  std::vector<uint64_t> still_open;
  Event event;
  for (const uint64_t position : std::exchange(open_, {})) {
    const Look look = log_.look(position, event, [](const auto&) { return true; });
    if (look.stands == Stands::kPassed) continue;
    if (look.read && event.returned()) each(event);
    else still_open.push_back(position);
  }
  open_.insert(open_.begin(), still_open.begin(), still_open.end());
}

void LaneTail::read_gaps(const LogReader::Wants& wants, const Each& each) {
  std::vector<Gap> left;
  Event event;
  for (Gap gap : std::exchange(gaps_, {})) {
    const Look look = log_.look(gap.position, event, wants);
    if (look.read) each(event);
    else if (look.stands == Stands::kPassed) overwritten_ += !gap.old;
    else if (look.stands == Stands::kNotYet && ++gap.looks < kPatience) left.push_back(gap);
    else if (look.stands == Stands::kNotYet) torn_ += !gap.old;
  }
  gaps_.insert(gaps_.end(), left.begin(), left.end());
}

uint64_t LaneTail::slots(const Ring& ring) const {
  const ovcshim::FileHeader& h = log_.header();
  if (ring.mark == ovcshim::kMemoryBit) return h.memory.bytes / sizeof(ovcshim::MemoryUnit);
  return (ring.mark ? h.vitals.bytes : h.events.bytes) / ovcshim::kSlotBytes;
}

uint64_t LaneTail::end(const Ring& ring) const {
  const LanePlace all = log_.lane_end();
  if (ring.mark == ovcshim::kMemoryBit) return all.memory;
  return ring.mark ? all.vitals : all.events;
}

void LaneTail::skip_to_oldest(Ring& ring) {
  const uint64_t now = end(ring), oldest = now > slots(ring) ? now - slots(ring) : 0;
  if (ring.next >= oldest) return;
  if (ring.begun) overwritten_ += oldest - ring.next;
  ring.next = oldest;
}

void LaneTail::read_ring(Ring& ring, const LogReader::Wants& wants, const Each& each) {
  const uint64_t size = slots(ring), last = end(ring), from = ring.next;
  if (size == 0) return;
  skip_to_oldest(ring);
  const size_t gaps_before = gaps_.size();
  Event event;
  while (ring.next < last) {
    const Look look = log_.look(ring.next | ring.mark, event, wants);
    if (look.read) each(event);
    if (look.stands == Stands::kNotYet) {
      if (gaps_.size() < kMostGaps) gaps_.push_back({ring.next | ring.mark, 0, !ring.begun});
      else ++torn_;
    }
    if (look.stands == Stands::kPassed) {
      ++overwritten_;
      ++ring.next;
      skip_to_oldest(ring);
    } else {
      ring.next += std::max(look.parts, 1u);
    }
  }
  hold_back_at_end(ring, gaps_before);
  if (ring.begun)
    share_read_ = std::max(
        share_read_, static_cast<double>(last - std::min(from, last)) / static_cast<double>(size));
  ring.begun = true;
}

// The newest places are often just being written: the next reading begins with them, in order.
void LaneTail::hold_back_at_end(Ring& ring, size_t gaps_before) {
  while (gaps_.size() > gaps_before && gaps_.back().position == ((ring.next - 1) | ring.mark)) {
    gaps_.pop_back();
    --ring.next;
  }
}

}  // namespace ovc
