// SPDX-License-Identifier: MIT
#include "tests/trust/kill/check_growth.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "tools/log/log_growth.h"

namespace kill_test {

using ovc::Op;

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
  return wrong;
}

}  // namespace kill_test
