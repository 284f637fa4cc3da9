// SPDX-License-Identifier: MIT
#include "tools/verdict/shell_children.h"

#include <algorithm>

namespace ovc {
namespace {

bool is_over(const ShellCall& call, const ShellChild& child) {
  return call.waits && call.end_tick != 0 && call.end_tick < child.start_tick;
}

}  // namespace

// In the order in which the children began: the calls of the parent that may still be without a
// child are the candidates. Where there are several, nothing is said, and they stay candidates for
// those that come later.
std::map<uint64_t, uint32_t> match_shell_children(std::vector<ShellCall> calls,
                                                  std::vector<ShellChild> children) {
  std::stable_sort(calls.begin(), calls.end(),
                   [](const auto& a, const auto& b) { return a.begin_tick < b.begin_tick; });
  std::stable_sort(children.begin(), children.end(),
                   [](const auto& a, const auto& b) { return a.start_tick < b.start_tick; });
  std::map<uint32_t, std::vector<ShellCall>> open;  // by parent
  std::map<uint64_t, uint32_t> pairs;
  auto next = calls.begin();
  for (const ShellChild& child : children) {
    for (; next != calls.end() && next->begin_tick <= child.start_tick; ++next)
      open[next->pid].push_back(*next);
    auto& candidates = open[child.parent_pid];
    std::erase_if(candidates, [&](const ShellCall& call) { return is_over(call, child); });
    if (candidates.size() != 1) continue;
    pairs[candidates.front().position] = child.pid;
    candidates.clear();
  }
  return pairs;
}

}  // namespace ovc
