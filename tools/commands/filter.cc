// SPDX-License-Identifier: MIT
#include "tools/commands/filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ctime>

#include "tools/log/call_text.h"
#include "tools/log/names.h"
#include "tools/text/output.h"
#include "tools/text/spelling.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr int kSecondsPerDay = 86400;

bool contains(const std::vector<uint32_t>& list, uint32_t value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

[[noreturn]] void refuse_moment(const std::string& text) {
  throw Error(
      fmt::format("cannot read the time '{}'; give HH:MM:SS[.fraction], YYYY-MM-DD "
                  "HH:MM:SS[.fraction] or +SECONDS",
                  escaped(text)));
}

// What is left behind the seconds: nothing, or a fraction.
int64_t fraction_ns(const char* rest, const std::string& text) {
  if (*rest == '\0') return 0;
  char* end = nullptr;
  const double fraction = *rest == '.' ? std::strtod(rest, &end) : -1;
  if (fraction < 0 || !end || *end != '\0') refuse_moment(text);
  return static_cast<int64_t>(fraction * static_cast<double>(kNsPerSecond));
}

int64_t relative_moment(const std::string& text, int64_t start_ns) {
  char* end = nullptr;
  const double seconds = std::strtod(text.c_str() + 1, &end);
  if (end == text.c_str() + 1 || *end != '\0' || !(std::abs(seconds) < 1e9)) refuse_moment(text);
  return start_ns + static_cast<int64_t>(seconds * static_cast<double>(kNsPerSecond));
}

bool parse_op_list(const std::vector<std::string>& names, std::array<bool, 256>& ops) {
  for (const std::string& name : names) {
    const std::vector<Op> found = ops_named(name);
    if (found.empty())
      throw Error(
          fmt::format("no call or family is named '{}'{}; calls are named as in C (mmap, fork, "
                      "...), families are {}",
                      escaped(name), did_you_mean(name, op_and_family_names()),
                      fmt::join(family_names(), " ")));
    for (const Op op : found) ops[static_cast<size_t>(op)] = true;
  }
  return !names.empty();
}

}  // namespace

int64_t parse_moment(const std::string& text, int64_t start_ns) {
  if (text.starts_with('+')) return relative_moment(text, start_ns);
  const time_t start = start_ns / kNsPerSecond;
  for (const char* format : {"%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%H:%M:%S"}) {
    std::tm parts{};
    localtime_r(&start, &parts);
    const char* rest = strptime(text.c_str(), format, &parts);
    if (!rest) continue;
    parts.tm_isdst = -1;
    time_t moment = mktime(&parts);
    if (format[1] == 'H' && moment < start - kSecondsPerDay / 2)
      moment += kSecondsPerDay;  // after midnight
    return moment * kNsPerSecond + fraction_ns(rest, text);
  }
  refuse_moment(text);
}

Filter::Filter(const ShowOptions& options, const LogReader& log)
    : options_(options), log_(log), calls_(options.calls) {
  if (!parse_op_list(options.ops, ops_)) {
    ops_.fill(true);
    // Lists that explain other records; shown when asked for.
    ops_[static_cast<size_t>(Op::kMappings)] = ops_[static_cast<size_t>(Op::kModule)] = false;
  }
  const int64_t start_ns = log.posix_ns(log.header().created.tick);
  if (!options.since.empty()) since_ns_ = parse_moment(options.since, start_ns);
  if (!options.until.empty()) until_ns_ = parse_moment(options.until, start_ns);
  calls_ = calls_ && options.min_size < kBigRequestBytes &&
           std::any_of(ops_.begin() + 1, ops_.begin() + static_cast<int>(Op::kReallocFrom),
                       [](bool on) { return on; });
}

bool Filter::accepts_who(uint32_t pid, uint32_t tid) const {
  return (options_.pids.empty() || contains(options_.pids, pid)) &&
         (options_.tids.empty() || contains(options_.tids, tid));
}

bool Filter::accepts_time(uint64_t tick) const {
  if (since_ns_ == INT64_MIN && until_ns_ == INT64_MAX) return true;
  const int64_t ns = log_.posix_ns(tick);
  return ns >= since_ns_ && ns <= until_ns_;
}

bool Filter::accepts(const Event& event) const {
  const auto op = static_cast<size_t>(event.base.op);
  if ((op < ops_.size() && !ops_[op]) || (options_.failed && !event.failed())) return false;
  if (options_.min_size != 0 &&
      (!has_size(event.base.op) || requested_bytes(event) < options_.min_size))
    return false;
  return accepts_who(event.base.pid, event.base.tid) && accepts_time(event.base.begin_tick);
}

bool Filter::accepts(const Call& call, uint64_t tick) const {
  if (!ops_[static_cast<size_t>(call.op)] || (options_.failed && !call.failed)) return false;
  if (options_.min_size != 0 && (call.op == Op::kFree || call.size < options_.min_size))
    return false;
  return accepts_who(call.pid, call.tid) && accepts_time(tick);
}

}  // namespace ovc
