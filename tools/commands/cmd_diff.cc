// SPDX-License-Identifier: MIT
//
// `ovc diff`: what grew between two logs, or between two moments of one.
#include <fmt/format.h>

#include <algorithm>

#include "tools/commands/commands.h"
#include "tools/commands/filter.h"
#include "tools/log/log_reader.h"
#include "tools/log/names.h"
#include "tools/replay/growth_diff.h"
#include "tools/text/json.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

constexpr size_t kNamesInLine = 6;

std::string signed_text(int64_t kb) {
  const uint64_t size = kb < 0 ? 0 - static_cast<uint64_t>(kb) : static_cast<uint64_t>(kb);
  return (kb > 0 ? "+" : kb < 0 ? "-" : "") + grouped(size);
}

std::string delta_text(const Delta& kb) {
  return kb.exact() ? signed_text(kb.high)
                    : fmt::format("{} to {}", signed_text(kb.low), signed_text(kb.high));
}

std::string who(const GrownStack& stack) {
  std::string line;
  for (size_t i = 0; i < std::min(stack.callers.size(), kNamesInLine); ++i)
    line += (i ? " <- " : "") + escaped(stack.callers[i]);
  return line.empty() ? "no room for its stack" : line;
}

std::string diff_text(const GrowthDiff& diff, const std::string& between, size_t limit) {
  std::string text = fmt::format("charged memory by stack, kB: {} now, {} ever\n{}\n",
                                 delta_text(diff.now), delta_text(diff.ever), between);
  for (const std::string& doubt : diff.doubts) text += "not exact: " + doubt + '\n';
  if (diff.stacks.empty()) return text + "no memory call in between\n";
  Table table({"NOW", "EVER", "CALLS", "FAILED", "CALL", "WHO"}, "rrrrll");
  const size_t shown = limit == 0 ? diff.stacks.size() : std::min(limit, diff.stacks.size());
  for (size_t i = 0; i < shown; ++i) {
    const GrownStack& stack = diff.stacks[i];
    table.row({delta_text(stack.now), delta_text(stack.ever), signed_text(stack.calls),
               stack.failed ? signed_text(stack.failed) : "", std::string(op_name(stack.op)),
               who(stack)});
  }
  table.write(text, "");
  if (shown < diff.stacks.size())
    text += fmt::format("{} more: -n 0\n", grouped(diff.stacks.size() - shown));
  return text;
}

Json delta_json(const Delta& kb) { return {{"low", kb.low}, {"high", kb.high}}; }

Json diff_json(const GrowthDiff& diff, const Json& from, const Json& to) {
  Json stacks = Json::array();
  for (const GrownStack& stack : diff.stacks)
    stacks.push_back({{"op", op_name(stack.op)},
                      {"charged_now_kb", delta_json(stack.now)},
                      {"charged_ever_kb", delta_json(stack.ever)},
                      {"calls", stack.calls},
                      {"failed", stack.failed},
                      {"functions", stack.callers}});
  return {{"from", from},
          {"to", to},
          {"same_recording", diff.same_recording},
          {"exact", diff.doubts.empty()},
          {"doubts", diff.doubts},
          {"charged_now_kb", delta_json(diff.now)},
          {"charged_ever_kb", delta_json(diff.ever)},
          {"stacks", stacks}};
}

Json place_json(const LogReader& log, uint64_t tick) {
  return {{"log", log.path()}, {"time", tick ? Json(iso_text(log.posix_ns(tick))) : Json()}};
}

std::string place_text(const LogReader& log, uint64_t tick) {
  return tick ? fmt::format("{} at {}", escaped(log.path()), clock_text(log.posix_ns(tick), 3))
              : escaped(log.path());
}

void print(const DiffOptions& options, const GrowthDiff& diff, const LogReader& a,
           const LogReader& b) {
  Out out;
  if (options.json) {
    out.text() =
        json_text(diff_json(diff, place_json(a, diff.from_tick), place_json(b, diff.to_tick)), 2) +
        '\n';
  } else {
    const std::string between =
        fmt::format("{} {}, less {}", diff.same_recording ? "one recording:" : "two recordings:",
                    place_text(b, diff.to_tick), place_text(a, diff.from_tick));
    out.text() = diff_text(diff, between, options.limit);
  }
  out.flush();
}

// The first tick whose time is not before that moment.
uint64_t tick_at(const LogReader& log, const std::string& text) {
  const uint64_t created = log.header().created.tick;
  const int64_t ns = parse_moment(text, log.posix_ns(created));
  uint64_t low = 0, high = UINT64_MAX / 2;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (log.posix_ns(middle) < ns) low = middle + 1;
    else high = middle;
  }
  return low;
}

uint64_t last_tick(const LogReader& log) {
  uint64_t last = log.header().created.tick;
  log.for_each_event([&](const Event& event) {
    last = std::max({last, event.base.begin_tick, event.base.end_tick});
    return true;
  });
  return last;
}

}  // namespace

int diff(const DiffOptions& options) {
  const bool timed = !options.since.empty() || !options.until.empty();
  if (timed && !options.second.empty())
    throw Error("--since and --until are moments of one log: name one, or two logs without them");
  if (!timed && options.second.empty())
    throw Error("two logs, or one with --since TIME: ovc help diff");
  const LogReader a(log_or_newest(options.log));
  if (!timed) {
    const LogReader b(options.second);
    print(options, growth_between(a, b), a, b);
    return 0;
  }
  const uint64_t from = options.since.empty() ? a.header().created.tick : tick_at(a, options.since);
  const uint64_t to = options.until.empty() ? last_tick(a) : tick_at(a, options.until);
  if (from > to) throw Error("the first moment is behind the second");
  print(options, growth_between(a, from, to), a, a);
  return 0;
}

}  // namespace ovc
