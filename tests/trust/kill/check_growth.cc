// SPDX-License-Identifier: MIT
#include "tests/trust/kill/check_growth.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "tools/log/log_growth.h"
#include "tools/log/log_readings.h"

namespace kill_test {

using ovc::Op;

namespace {

// What one line of statm and one look at meminfo cannot say is a reading put together of two.
bool is_whole(const ovc::KeptReading& r) {
  return r.committed_kb != 0 && r.limit_kb != 0 && r.vm_size_pages != 0 &&
         r.resident_pages <= r.vm_size_pages && r.data_pages <= r.vm_size_pages;
}

void check_readings(const ovc::LogReader& log, std::vector<std::string>& wrong) {
  for (const ovc::ReadingsCell& cell : ovc::kept_readings(log)) {
    if (cell.first && !is_whole(*cell.first))
      wrong.push_back(fmt::format("a reading that nobody took, at {}", cell.first->tick));
    if (cell.lowest && cell.highest && cell.lowest->committed_kb > cell.highest->committed_kb)
      wrong.push_back(fmt::format("a lowest reading above the highest, at {}", cell.lowest->tick));
  }
}

}  // namespace

std::vector<std::string> check_growth(const ovc::LogReader& log, const Journal& journal) {
  const ovc::GrowthLog growth(log);
  std::vector<std::string> wrong;
  std::map<Op, uint64_t> calls;
  for (const ovc::TotalsRow& row : growth.rows()) {
    calls[row.op] += row.calls;
    if (row.stack != ovcshim::kNoStack && !growth.stack(row.stack))
      wrong.push_back(fmt::format("row {}: its stack {} is none", row.number, row.stack));
  }
  for (const Op op : {Op::kMmap, Op::kMunmap, Op::kMremap, Op::kMprotect}) {
    uint64_t returned = 0;
    for (uint32_t i = 0; i < std::min(journal.next, kActors); ++i)
      returned += journal.actors[i].counts[static_cast<size_t>(op)];
    if (calls[op] + growth.header().rows_missing < returned)
      wrong.push_back(fmt::format("op {}: {} calls by stack, {} were made", static_cast<int>(op),
                                  calls[op], returned));
  }
  for (const ovc::Process& p : log.processes()) {
    const auto space = growth.space(p.index, p.slot.serial);
    if (space && space->missing == 0 && !growth.owned(*space).exact)
      wrong.push_back(fmt::format("pid {}: its tree of owners is damaged", p.slot.pid));
  }
  check_readings(log, wrong);
  return wrong;
}

}  // namespace kill_test
