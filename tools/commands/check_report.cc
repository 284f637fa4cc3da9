// SPDX-License-Identifier: MIT
//
// See check_report.h: reads each process, decides, keeps what is printed.
#include "tools/commands/check_report.h"

#include <algorithm>
#include <tuple>

namespace ovc {
namespace {

std::optional<ovcshim::MappingEntry> biggest_request(const Evidence& fork) {
  std::optional<ovcshim::MappingEntry> biggest;
  uint64_t biggest_kb = 0;
  for (const auto& mapping : fork.mappings) {
    const uint64_t kb = fork_charge_kb(mapping, fork.rules);
    if (kb > biggest_kb) biggest = mapping, biggest_kb = kb;
  }
  return biggest;
}

CheckRow check(LiveProcess process, const SaveHost& host) {
  CheckRow row;
  row.outlook = fork_outlook(process);
  row.save = save_outlook(process, host);
  row.biggest = biggest_request(process.fork);
  process.fork.mappings = {};
  row.process = std::move(process);
  return row;
}

}  // namespace

uint64_t CheckReport::count(Answer answer) const {
  return static_cast<uint64_t>(std::count_if(
      rows.begin(), rows.end(), [=](const CheckRow& row) { return row.outlook.answer == answer; }));
}

bool CheckReport::any_stuck() const {
  return std::any_of(rows.begin(), rows.end(),
                     [](const CheckRow& row) { return !row.stuck.empty(); });
}

CheckReport check_processes(const LiveHost& host, const std::vector<uint32_t>& pids, Depth depth) {
  CheckReport report;
  report.depth = depth;
  const SaveHost save = save_host(host.root());
  for (const uint32_t pid : pids) {
    LiveProcess process = read_process(host, pid, depth);
    if (process.state == ReadState::kGone) ++report.gone;
    else if (process.state == ReadState::kZombie || process.state == ReadState::kKernel)
      ++report.skipped;
    else report.rows.push_back(check(std::move(process), save));
  }
  const std::vector<StuckChild> stuck = stuck_children(host.root(), host.pids());
  for (CheckRow& row : report.rows) {
    for (const StuckChild& child : stuck)
      if (child.parent == row.process.pid || child.pid == row.process.pid)
        row.stuck.push_back(child);
    if (pids.size() == 1)
      row.former =
          former_saves_of(host.root(), row.process.pid, row.process.sums.log, host.fixed().page_kb);
  }
  report.host = host.rules();
  const auto order = [](const CheckRow& row) {
    const bool unknown =
        row.outlook.answer == Answer::kUnknown && row.process.state == ReadState::kForbidden;
    return std::tuple(unknown, ~row.outlook.commit.charge.kb, row.process.pid);
  };
  std::sort(report.rows.begin(), report.rows.end(),
            [&](const auto& a, const auto& b) { return order(a) < order(b); });
  return report;
}

}  // namespace ovc
