// SPDX-License-Identifier: MIT
#include "tools/commands/small_requests_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "tools/log/names.h"
#include "tools/replay/holders.h"
#include "tools/replay/small_requests.h"
#include "tools/text/json.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

constexpr size_t kNamesInJson = 48;
constexpr uint64_t kFewSamples = 4;  // below: the estimate may be wrong by all of itself

class SmallText {
 public:
  SmallText(const LogReader& log, const SmallRequests& found)
      : growth_(log), symbols_(log), found_(found) {}

  std::string write(size_t limit) {
    const auto lines = merged();
    const size_t shown = limit == 0 ? lines.size() : std::min(limit, lines.size());
    Table table({"ASKED FOR", "GIVE OR TAKE", "SAMPLES", "CALL", "WHO"}, "rrrll");
    for (size_t i = 0; i < shown; ++i) {
      const auto& [key, samples] = lines[i];
      table.row({grouped(found_.bytes(samples) >> 10), error_text(samples), grouped(samples),
                 std::string(op_name(key.first)), key.second});
    }
    std::string text = heading();
    table.write(text, "");
    if (shown < lines.size())
      text += fmt::format("{} more: ovc stats --stacks -n 0\n", grouped(lines.size() - shown));
    return text;
  }

 private:
  using Key = std::pair<Op, std::string>;

  std::string heading() const {
    std::string text = fmt::format(
        "\nsmall mallocs by stack, kB: what calls for less than 128 KiB asked for, freed again or "
        "not;\nestimated from {} samples, one for each {} kB",
        grouped(found_.samples), grouped(found_.sample_bytes >> 10));
    if (found_.without_room != 0)
      text += fmt::format("; {} more found no room", grouped(found_.without_room));
    return text + '\n';
  }

  static std::string error_text(uint64_t samples) {
    return samples < kFewSamples ? "few samples" : fmt::format("{} %", error_percent(samples));
  }

  // Places in one function that look alike in words are one line.
  std::vector<std::pair<Key, uint64_t>> merged() {
    std::map<Key, uint64_t> sums;
    for (const SmallAsker& asker : found_.askers)
      sums[{asker.op, line_of_askers(growth_, symbols_, asker.stack, asker.op)}] += asker.samples;
    std::vector<std::pair<Key, uint64_t>> lines(sums.begin(), sums.end());
    std::stable_sort(lines.begin(), lines.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    return lines;
  }

  GrowthLog growth_;
  Symbols symbols_;
  const SmallRequests& found_;
};

}  // namespace

std::string small_requests_text(const LogReader& log, size_t limit) {
  const auto found = small_requests(log);
  return found ? SmallText(log, *found).write(limit) : "";
}

Json small_requests_json(const LogReader& log) {
  const auto found = small_requests(log);
  if (!found) return nullptr;
  const GrowthLog growth(log);
  Symbols symbols(log);
  Json stacks = Json::array();
  for (const SmallAsker& asker : found->askers)
    stacks.push_back({{"op", op_name(asker.op)},
                      {"samples", asker.samples},
                      {"asked_bytes", found->bytes(asker.samples)},
                      {"standard_deviation_bytes", found->deviation(asker.samples)},
                      {"functions", names_of(growth, symbols, asker.stack, kNamesInJson)}});
  return {{"sample_bytes", found->sample_bytes},
          {"samples", found->samples},
          {"samples_without_room", found->without_room},
          {"stacks", stacks}};
}

}  // namespace ovc
