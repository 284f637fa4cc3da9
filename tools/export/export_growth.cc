// SPDX-License-Identifier: MIT
//
// What each memory call changed, from a replay of every process.
#include <algorithm>

#include "tools/export/export_rows.h"
#include "tools/replay/ledger.h"

namespace ovc {
namespace {

int64_t change(uint64_t after, uint64_t before) { return static_cast<int64_t>(after - before); }

// What is open elsewhere in the address space is no matter, as long as it stays as open.
std::optional<int64_t> charge_change(const SpaceTotals& before, const SpaceTotals& after) {
  const int64_t low = change(after.charged.low, before.charged.low),
                high = change(after.charged.high, before.charged.high);
  if (low != high) return std::nullopt;
  return plus(low, change(after.shared_promised, before.shared_promised));
}

}  // namespace

GrowthByCall growth_by_call(const LogReader& log) {
  GrowthByCall growth;
  const Ledger ledger(log);
  for (const LedgerProcess& process : ledger.processes())
    ledger.for_each_call(process, [&](uint64_t position, const SpaceTotals& before,
                                      const SpaceTotals& after) {
      growth.push_back({position, {charge_change(before, after), change(after.size, before.size)}});
    });
  std::sort(growth.begin(), growth.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return growth;
}

const Growth* find_growth(const GrowthByCall& growth, uint64_t position) {
  const auto before = [](const auto& entry, uint64_t wanted) { return entry.first < wanted; };
  const auto found = std::lower_bound(growth.begin(), growth.end(), position, before);
  return found == growth.end() || found->first != position ? nullptr : &found->second;
}

}  // namespace ovc
