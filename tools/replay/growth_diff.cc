// SPDX-License-Identifier: MIT
#include "tools/replay/growth_diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "tools/log/call_families.h"
#include "tools/replay/holders.h"
#include "tools/replay/ledger.h"
#include "tools/symbols/symbols.h"
#include "tools/text/output.h"

namespace ovc {

using namespace ovcshim;

namespace {

constexpr size_t kFramesCompared = 8;

// Figures of a damaged log may be absurd: wrong then, but defined.
int64_t difference(uint64_t a, uint64_t b) { return static_cast<int64_t>(a - b); }
int64_t plus(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

void add(Delta& sum, int64_t low, int64_t high) {
  sum.low = plus(sum.low, low), sum.high = plus(sum.high, high);
}
void add(Delta& sum, const Bounds& more) {
  add(sum, static_cast<int64_t>(more.low), static_cast<int64_t>(more.high));
}
void subtract(Delta& sum, const Bounds& less) {
  add(sum, difference(0, less.high), difference(0, less.low));
}

class Lines {
 public:
  GrownStack& of(Op op, const std::vector<std::string>& callers) {
    GrownStack& line = lines_[{op, callers}];
    line.op = op;
    if (line.callers.empty()) line.callers = callers;
    return line;
  }

  void into(GrowthDiff& diff) const {
    for (const auto& [key, line] : lines_) {
      if (!line.changed()) continue;
      diff.stacks.push_back(line);
      add(diff.now, line.now.low, line.now.high), add(diff.ever, line.ever.low, line.ever.high);
    }
    std::stable_sort(diff.stacks.begin(), diff.stacks.end(),
                     [](const GrownStack& a, const GrownStack& b) {
                       return std::tie(a.now.high, a.ever.high, a.calls) >
                              std::tie(b.now.high, b.ever.high, b.calls);
                     });
  }

 private:
  std::map<std::pair<Op, std::vector<std::string>>, GrownStack> lines_;
};

// ---- two logs ----

// One log's totals, by callers in words.
class Side {
 public:
  Side(const LogReader& log, GrowthDiff& diff) : growth_(log), symbols_(log) {
    auto found = growers(log);
    if (!found)
      throw Error(
          fmt::format("{} has no totals by stack: an older shim wrote it, or it is too small",
                      escaped(log.path())));
    if (!found->exact)
      diff.doubts.push_back(
          fmt::format("the tables of {} were full: some calls are in no sum", escaped(log.path())));
    if (found->nameless_kb != 0)
      diff.doubts.push_back(fmt::format("{} had no room for the stacks of {}", escaped(log.path()),
                                        kb_text(found->nameless_kb)));
    sums_ = std::move(found->stacks);
    for (const TotalsRow& row : growth_.rows()) newest_ = std::max(newest_, row.last_tick);
  }

  uint64_t newest() const { return newest_; }
  uint64_t calls() const {
    uint64_t all = 0;
    for (const StackSum& sum : sums_) all += sum.calls;
    return all;
  }

  template <typename Each>
  void each(Lines& lines, const Each& each) {
    for (const StackSum& sum : sums_)
      each(lines.of(sum.op, askers_of(growth_, symbols_, sum.stack, sum.op, kFramesCompared)), sum);
  }

 private:
  GrowthLog growth_;
  Symbols symbols_;
  std::vector<StackSum> sums_;
  uint64_t newest_ = 0;
};

bool is_same_recording(const FileHeader& a, const FileHeader& b) {
  return std::string_view(a.boot_id) == b.boot_id && a.created.tick == b.created.tick &&
         a.created.monotonic_ns == b.created.monotonic_ns;
}

// ---- one log ----

class Between {
 public:
  Between(const LogReader& log, uint64_t from, uint64_t to)
      : log_(log), symbols_(log), ledger_(log), from_(from), to_(to) {}

  GrowthDiff run() {
    diff_.from_tick = from_, diff_.to_tick = to_, diff_.same_recording = true;
    const uint64_t complete = log_.events_complete_from();
    if (complete > from_) refuse(complete);
    for (const LedgerProcess& process : ledger_.processes()) {
      if (process.first_tick > to_) continue;
      held(process, to_, false);
      if (process.first_tick <= from_) held(process, from_, true);
      gained(process);
    }
    count_calls();
    lines_.into(diff_);
    for (const std::string& doubt : doubts_) diff_.doubts.push_back(doubt);
    return std::move(diff_);
  }

 private:
  std::string clock(uint64_t tick) const { return clock_text(log_.posix_ns(tick), 3); }

  [[noreturn]] void refuse(uint64_t complete) const {
    throw Error(fmt::format(
        "what grew since {} is not known: records from before {} were overwritten by newer ones; "
        "--since {} can be told, or compare a copy of the log made then with this one",
        clock(from_), clock(complete), clock(complete + 1)));
  }

  using Key = std::tuple<Op, uint32_t, std::vector<uint64_t>>;
  GrownStack& line_of(const Event& event) {
    const EventBase& b = event.base;
    const auto [known, fresh] = names_.try_emplace({b.op, b.image, event.frames});
    const std::vector<uint64_t> caller{b.caller};
    if (fresh)
      known->second = askers(symbols_, b.image, event.frames.empty() ? caller : event.frames, b.op,
                             kFramesCompared);
    return lines_.of(b.op, known->second);
  }

  void doubt(const LedgerProcess& process, uint64_t tick, const LedgerState& state) {
    const char* why = nullptr;
    if (state.base == LedgerBase::kNone) why = "no list of its mappings was recorded";
    else if (state.calls_missing) why = "calls since its list of mappings were overwritten";
    else if (state.space.contradictions() != 0) why = "it made calls that are not recorded";
    if (why)
      doubts_.insert(
          fmt::format("{} {} at {}: {}", process.pid, escaped(process.comm), clock(tick), why));
  }

  // What a child has from its parent is its parent's.
  void held(const LedgerProcess& process, uint64_t tick, bool before) {
    const LedgerState state = ledger_.at(process, tick);
    if (state.space.empty()) return;
    doubt(process, tick, state);
    for (const Mapping& mapping : state.space.mappings())
      for (const Piece& piece : mapping.pieces) {
        const uint64_t position = piece.charged_by != kUnknown ? piece.charged_by : piece.made_by;
        if (piece.charged == Sure::kNo || piece.has(kMapShared) || position == kUnknown) continue;
        const auto event = log_.event_at(position);
        if (!event || event->base.process != process.index ||
            event->base.process_serial != process.serial)
          continue;
        const Bounds kb{piece.charged == Sure::kYes ? piece.kb() : 0, piece.kb()};
        before ? subtract(line_of(*event).now, kb) : add(line_of(*event).now, kb);
      }
  }

  bool is_between(const Event& event) const {
    return event.returned() && event.base.end_tick > from_ && event.base.end_tick <= to_;
  }

  void gained(const LedgerProcess& process) {
    ledger_.for_each_call(process, [&](uint64_t position, const SpaceTotals& before,
                                       const SpaceTotals& after) {
      const auto event = log_.event_at(position);
      if (!event || !is_between(*event)) return;
      const int64_t low = difference(after.charged.low, before.charged.low),
                    high = difference(after.charged.high, before.charged.high);
      if (std::max(low, high) > 0)
        add(line_of(*event).ever, std::max<int64_t>(std::min(low, high), 0), std::max(low, high));
    });
  }

  void count_calls() {
    log_.for_each_event([this](const Event& event) {
      if (!is_memory_op(event.base.op) || !is_between(event)) return true;
      GrownStack& line = line_of(event);
      ++line.calls;
      if (event.failed()) ++line.failed;
      return true;
    });
  }

  const LogReader& log_;
  Symbols symbols_;
  Ledger ledger_;
  uint64_t from_, to_;
  Lines lines_;
  GrowthDiff diff_;
  std::set<std::string> doubts_;
  std::map<Key, std::vector<std::string>> names_;
};

}  // namespace

GrowthDiff growth_between(const LogReader& a, const LogReader& b) {
  GrowthDiff diff;
  Side first(a, diff), second(b, diff);
  diff.same_recording = is_same_recording(a.header(), b.header());
  if (diff.same_recording && first.calls() > second.calls())
    throw Error(fmt::format("{} is older than {}: ovc diff OLDER NEWER", escaped(b.path()),
                            escaped(a.path())));
  diff.from_tick = first.newest(), diff.to_tick = second.newest();
  Lines lines;
  first.each(lines, [](GrownStack& line, const StackSum& sum) {
    subtract(line.now, sum.now), subtract(line.ever, sum.gross);
    line.calls = plus(line.calls, difference(0, sum.calls));
    line.failed = plus(line.failed, difference(0, sum.failed));
  });
  second.each(lines, [](GrownStack& line, const StackSum& sum) {
    add(line.now, sum.now), add(line.ever, sum.gross);
    line.calls = plus(line.calls, static_cast<int64_t>(sum.calls));
    line.failed = plus(line.failed, static_cast<int64_t>(sum.failed));
  });
  lines.into(diff);
  return diff;
}

GrowthDiff growth_between(const LogReader& log, uint64_t from_tick, uint64_t to_tick) {
  return Between(log, from_tick, to_tick).run();
}

}  // namespace ovc
