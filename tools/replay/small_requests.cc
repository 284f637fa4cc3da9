// SPDX-License-Identifier: MIT
#include "tools/replay/small_requests.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace ovc {

uint64_t SmallRequests::deviation(uint64_t of_samples) const {
  return static_cast<uint64_t>(std::sqrt(static_cast<double>(of_samples)) *
                               static_cast<double>(sample_bytes));
}

// Poisson: n samples stand for n, give or take sqrt(n).
uint64_t error_percent(uint64_t samples) {
  constexpr double k95 = 196;
  return static_cast<uint64_t>(std::ceil(k95 / std::sqrt(static_cast<double>(samples))));
}

std::optional<SmallRequests> small_requests(const LogReader& log) {
  const GrowthLog growth(log);
  if (!growth.is_there() || growth.header().sample_bytes == 0) return std::nullopt;
  SmallRequests found;
  found.sample_bytes = growth.header().sample_bytes;
  found.samples = growth.header().samples, found.without_room = growth.header().samples_lost;
  std::map<std::pair<uint32_t, Op>, uint64_t> sums;  // two rows may have the same key
  for (const TotalsRow& row : growth.sampled()) sums[{row.stack, row.op}] += row.calls;
  for (const auto& [key, samples] : sums)
    if (samples != 0) found.askers.push_back({key.first, key.second, samples});
  std::stable_sort(found.askers.begin(), found.askers.end(),
                   [](const auto& a, const auto& b) { return a.samples > b.samples; });
  return found;
}

}  // namespace ovc
