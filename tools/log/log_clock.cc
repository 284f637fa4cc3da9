// SPDX-License-Identifier: MIT
//
// What a tick is: calibrated from pairs of clock readings in the log. The rate comes from the two
// plausible pairs that lie farthest apart; the wall clock is followed over steps (somebody set it)
// from the same pairs.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "tools/log/log_reader.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr double kMinRate = 0.01, kMaxRate = 1000;  // ns per tick: 100 GHz to 1 MHz
constexpr double kRateTolerance = 0.01;  // against the median: torn pairs are off by far more
constexpr uint64_t kShortestBaseNs =
    1'000'000;                              // pairs closer than this tell little about the rate
constexpr int64_t kWallStepNs = 1'000'000;  // smaller deviations are the slewing of NTP, and jitter
constexpr size_t kMaxWallBases = 4096;

bool plausible(const ClockPair& pair) {
  constexpr uint64_t kFarFuture = uint64_t{1} << 62;
  return pair.tick != 0 && pair.tick < kFarFuture && pair.monotonic_ns < kFarFuture &&
         pair.posix_ns != 0 && pair.posix_ns < kFarFuture;
}

// Of two moments, if they are in the same order on both clocks and far enough apart.
double rate_between(const ClockPair& a, const ClockPair& b) {
  if (b.tick <= a.tick || b.monotonic_ns <= a.monotonic_ns) return 0;
  const double rate =
      static_cast<double>(b.monotonic_ns - a.monotonic_ns) / static_cast<double>(b.tick - a.tick);
  return rate >= kMinRate && rate <= kMaxRate ? rate : 0;
}

// Rates relative to the first pair, those over a long time only if there are any.
std::vector<double> rates(const std::vector<ClockPair>& pairs) {
  std::vector<double> all, lasting;
  for (const ClockPair& pair : pairs) {
    const double rate = rate_between(pairs.front(), pair);
    if (rate == 0) continue;
    all.push_back(rate);
    if (pair.monotonic_ns - pairs.front().monotonic_ns >= kShortestBaseNs) lasting.push_back(rate);
  }
  return lasting.empty() ? all : lasting;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

int64_t clamped(double ns) {
  constexpr double kLimit = 9.2e18;
  return static_cast<int64_t>(std::clamp(ns, -kLimit, kLimit));
}

}  // namespace

// Those of the kStart and kSnapshot records of one ring. A glance at one field first: most events
// carry no clock pair.
void LogReader::add_clock_pairs(const Ring& ring,
                                const std::function<void(const ClockPair&)>& add) const {
  for (uint64_t p = next_written(ring, ring.start); p < ring.end; p = next_written(ring, p + 1)) {
    Op op;
    std::memcpy(&op, slot_at(p | ring.mark).payload + offsetof(EventBase, op), sizeof op);
    if (op != Op::kStart && op != Op::kSnapshot) continue;
    Event event;
    if (read_event(p | ring.mark, event) == 0) continue;
    const auto posix = event.fact(FactKey::kPosixNs), monotonic = event.fact(FactKey::kMonotonicNs);
    if (posix && monotonic) add({event.base.begin_tick, *monotonic, *posix});
  }
}

// In the order of the log: the header's first, which its creator wrote before anybody else could.
std::vector<ClockPair> LogReader::clock_pairs() const {
  std::vector<ClockPair> pairs;
  const auto add = [&](const ClockPair& pair) {
    if (plausible(pair)) pairs.push_back(pair);
  };
  add(header_.created);
  for (const bool vital : {true, false}) add_clock_pairs(ring(vital), add);
  ClockPair newest;
  std::memcpy(&newest, bytes_.at(offsetof(FileHeader, newest), sizeof newest), sizeof newest);
  add(newest);
  std::stable_sort(pairs.begin() + !pairs.empty(), pairs.end(),
                   [](const auto& a, const auto& b) { return a.tick < b.tick; });
  return pairs;
}

void LogReader::calibrate() {
  const std::vector<ClockPair> pairs = clock_pairs();
  ns_per_tick_ = 1.0;
  if (header_.clock != static_cast<uint32_t>(Clock::kMonotonicNs) && !pairs.empty()) {
    const std::vector<double> candidates = rates(pairs);
    if (!candidates.empty()) {
      const double middle = median(candidates);
      const ClockPair* farthest = nullptr;
      for (const ClockPair& pair : pairs) {
        const double rate = rate_between(pairs.front(), pair);
        if (std::abs(rate - middle) > middle * kRateTolerance) continue;
        if (!farthest || pair.tick > farthest->tick) farthest = &pair;
      }
      ns_per_tick_ = farthest ? rate_between(pairs.front(), *farthest) : middle;
    }
  }
  set_wall_clock(pairs);
}

void LogReader::set_wall_clock(const std::vector<ClockPair>& pairs) {
  wall_.clear();
  for (const ClockPair& pair : pairs) {
    const auto posix = static_cast<int64_t>(pair.posix_ns);
    if (!wall_.empty()) {
      const ClockPair& first = pairs.front();
      if (pair.tick <= wall_.back().tick || wall_.size() == kMaxWallBases) continue;
      // Both clocks must agree on the time between, or the pair is torn.
      const double by_tick = static_cast<double>(pair.tick - first.tick) * ns_per_tick_;
      const auto by_clock =
          static_cast<double>(static_cast<int64_t>(pair.monotonic_ns - first.monotonic_ns));
      if (std::abs(by_tick - by_clock) > static_cast<double>(kWallStepNs) + by_clock / 1000)
        continue;
      const double step = static_cast<double>(posix) - static_cast<double>(posix_ns(pair.tick));
      if (std::abs(step) < static_cast<double>(kWallStepNs)) continue;
    }
    wall_.push_back({pair.tick, posix});
  }
  if (wall_.empty()) wall_.push_back({header_.created.tick, 0});
}

int64_t LogReader::ticks_to_ns(int64_t ticks) const {
  return clamped(static_cast<double>(ticks) * ns_per_tick_);
}

int64_t LogReader::posix_ns(uint64_t tick) const {
  auto base = std::upper_bound(wall_.begin(), wall_.end(), tick,
                               [](uint64_t t, const ClockBase& b) { return t < b.tick; });
  if (base != wall_.begin()) --base;
  const double ticks = tick >= base->tick ? static_cast<double>(tick - base->tick)
                                          : -static_cast<double>(base->tick - tick);
  return base->posix_ns +
         static_cast<int64_t>(
             std::clamp(ticks * ns_per_tick_, -4e18, 4e18));  // both halves fit, so their sum does
}

}  // namespace ovc
