// SPDX-License-Identifier: MIT
//
// See groups.h. The text is the log's: whatever is not as it should be is passed over.
#include "tools/causes/groups.h"

#include <fmt/format.h>

#include <charconv>

#include "tools/text/output.h"

namespace ovc {
namespace {

constexpr uint64_t kNoLimitV1 =
    uint64_t{1} << 62;  // version 1 writes "none" as the largest number of whole pages
constexpr size_t kMostGroups = 64;

std::string_view take_word(std::string_view& line) {
  const size_t blank = line.find(' ');
  const std::string_view word = line.substr(0, blank);
  line.remove_prefix(blank == line.npos ? line.size() : blank + 1);
  return word;
}

std::optional<uint64_t> take_number(std::string_view& line) {
  const std::string_view word = take_word(line);
  if (word == "max") return ovcshim::kInfinite;
  uint64_t value = 0;
  const auto [end, code] = std::from_chars(word.data(), word.data() + word.size(), value);
  return code == std::errc{} && end == word.data() + word.size() ? std::optional(value)
                                                                 : std::nullopt;
}

std::string dropped(std::string path, unsigned levels) {
  for (; levels && path.rfind('/') != path.npos; --levels) path.erase(path.rfind('/'));
  return path.empty() ? "/" : path;
}

}  // namespace

std::vector<GroupFigures> groups_of(const Event& snapshot, std::string_view controller) {
  std::vector<GroupFigures> groups;
  std::string_view text = snapshot.text;
  while (!text.empty() && groups.size() < kMostGroups) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (take_word(line) != controller) continue;
    GroupFigures group;
    const auto version = take_number(line), level = take_number(line);
    if (!version || !level || *level >= kMostGroups) continue;
    group.version = static_cast<unsigned>(*version);
    group.level = static_cast<unsigned>(*level);
    group.limit = take_number(line);
    group.used = take_number(line);
    if (controller != "hugetlb") group.refusals = take_number(line);
    if (controller == "memory") group.kills = take_number(line);
    if (group.limit && *group.limit >= kNoLimitV1) group.limit = ovcshim::kInfinite;
    group.path = groups.empty() ? std::string(line)
                                : dropped(groups.front().path, group.level - groups.front().level);
    groups.push_back(std::move(group));
  }
  return groups;
}

std::optional<std::string> memory_group_text(const Event& snapshot) {
  for (const GroupFigures& group : groups_of(snapshot, "memory")) {
    if (!group.limits()) continue;
    std::string text = fmt::format("control group {}: memory limit {} kB", escaped(group.path),
                                   grouped(*group.limit / 1024));
    if (group.used) text += fmt::format(", in use {} kB", grouped(*group.used / 1024));
    if (group.kills) text += fmt::format(", its OOM kills so far {}", grouped(*group.kills));
    return text;
  }
  return std::nullopt;
}

}  // namespace ovc
