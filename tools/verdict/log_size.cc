// SPDX-License-Identifier: MIT
//
// What made a log smaller than asked for. The rule itself: shim/record/log_size.h.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "tools/text/output.h"
#include "tools/verdict/stats.h"

namespace ovc {
namespace {

using namespace ovcshim;

struct Bound {
  LogBound bound;
  std::string_view text;  // {}: what was left
};
constexpr Bound kBounds[] = {
    {LogBound::kMemoryGroup,
     "a log in memory gets an eighth of what its memory group had left, {}"},
    {LogBound::kMemory, "a log in memory gets an eighth of MemAvailable, {}"},
    {LogBound::kFreeSpace, "a log gets an eighth of the free space of its filesystem, {}"},
    {LogBound::kQuota, "the filesystem refused more (disk quota, or reserved space)"},
    {LogBound::kRlimitAs,
     "a log gets a small share of the address space (ulimit -v), of which {} were left"},
    {LogBound::kRlimitFsize, "RLIMIT_FSIZE (ulimit -f) is {}"},
};

}  // namespace

std::string size_reason(const LogReader& log) {
  const auto wanted = log.host(FactKey::kLogWantedKb), given = log.host(FactKey::kLogGivenKb);
  if (!wanted || !given || *wanted <= *given) return {};
  const std::string left = kb_text(log.host(FactKey::kLogBoundLeftKb).value_or(kUnknown));
  const auto bound = static_cast<LogBound>(log.host(FactKey::kLogBound).value_or(0));
  const auto row = std::find_if(std::begin(kBounds), std::end(kBounds),
                                [bound](const Bound& b) { return b.bound == bound; });
  return fmt::format("{} instead of {}: {}", kb_text(*given), kb_text(*wanted),
                     row == std::end(kBounds) ? "for a reason that this ovc does not know"
                                              : fmt::format(fmt::runtime(row->text), left));
}

}  // namespace ovc
