// SPDX-License-Identifier: MIT
//
// See check_former.h.
#include "tools/commands/check_former.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/log/log_reader.h"
#include "tools/text/error.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

uint64_t faults_of(const Copy& copy) {
  return copy.own_faults.value_or(0) + copy.parent_faults.value_or(0);
}

FormerSaves summed(const Siblings& siblings, uint64_t page_kb) {
  FormerSaves saves{siblings, siblings.ended(), 0, 0, {}, {}, {}};
  const Copy* most = nullptr;
  for (const Copy& copy : siblings.copies) {
    saves.failed += copy.failed();
    saves.killed += copy.end && copy.end->kind == EndKind::kKilled;
    if (copy.own_faults && (!most || faults_of(copy) > faults_of(*most))) most = &copy;
  }
  if (!most) return saves;
  saves.own_faults = most->own_faults;
  saves.parent_faults = most->parent_faults;
  saves.most_kb = faults_of(*most) * page_kb;
  return saves;
}

uint32_t inner_pid(const SystemRoot& root, uint32_t pid) {
  const auto status = read_small(fmt::format("{}/{}/status", root.proc, pid));
  const auto numbers = status ? line_after(*status, "NSpid:") : std::nullopt;
  if (!numbers) return pid;
  const size_t last = numbers->find_last_of(" \t");
  return static_cast<uint32_t>(
      first_number(numbers->substr(last == numbers->npos ? 0 : last + 1)).value_or(pid));
}

}  // namespace

std::vector<FormerSaves> former_saves(const LogReader& log, uint32_t pid, uint64_t page_kb) {
  std::vector<Siblings> all = siblings_of(log, ForkList(log, false));
  std::erase_if(
      all, [&](const Siblings& s) { return (pid != 0 && s.parent_pid != pid) || s.ended() == 0; });
  const bool any_saves = std::any_of(all.begin(), all.end(), [](const auto& s) { return s.saves; });
  if (any_saves) std::erase_if(all, [](const Siblings& s) { return !s.saves; });
  std::vector<FormerSaves> saves;
  for (const Siblings& siblings : all) saves.push_back(summed(siblings, page_kb));
  return saves;
}

std::string former_text(const FormerSaves& saves, bool thp_always) {
  const Siblings& of = saves.of;
  std::string text =
      fmt::format("{} {} before lived {} at most", grouped(saves.ended),
                  saves.ended == 1 ? "child" : "children", duration_text(of.longest_ns()));
  if (!of.purpose.empty()) text = of.purpose + ": " + text;
  if (saves.failed) text += fmt::format(", {} failed", grouped(saves.failed));
  if (saves.killed) text += fmt::format(", {} killed", grouped(saves.killed));
  if (!saves.most_kb) return text + "; what they copied is not known";
  text += thp_always ? "; at most"
                     : fmt::format("; none copied more than {} kB,", grouped(*saves.most_kb));
  text += fmt::format(" {} page faults of the child", grouped(*saves.own_faults));
  if (saves.parent_faults)
    text += fmt::format(" and {} of the parent meanwhile", grouped(*saves.parent_faults));
  else text += "; those of the parent are not known";
  if (thp_always) text += ", of 4 kB or, with huge pages, 2 MiB each (512 times as much)";
  return text;
}

std::vector<FormerSaves> former_saves_of(const SystemRoot& root, uint32_t pid,
                                         const std::string& log, uint64_t page_kb) {
  if (log.empty()) return {};
  try {
    const LogReader reader(fmt::format("{}/{}/root{}", root.proc, pid, log));
    return former_saves(reader, inner_pid(root, pid), page_kb);
  } catch (const Error&) {
    return {};  // moved, or not ours to read: what /proc says stands without it
  }
}

}  // namespace ovc
