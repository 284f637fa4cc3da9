// SPDX-License-Identifier: MIT
//
// See report_readings.h.
#include "tools/report/report_readings.h"

#include <algorithm>

#include "tools/log/log_readings.h"
#include "tools/text/json.h"

namespace ovc {

using namespace ovcshim;

namespace {

bool is_known(uint64_t kb) { return kb < kInfinite; }

void merge(ReadingSpan& span, const ReadingSpan& other) {
  if (span.count == 0) {
    span = other;
    return;
  }
  if (other.from_us < span.from_us) span.from_us = other.from_us, span.first_kb = other.first_kb;
  if (other.to_us >= span.to_us) span.to_us = other.to_us, span.last_kb = other.last_kb;
  span.low_kb = std::min(span.low_kb, other.low_kb);
  span.high_kb = std::max(span.high_kb, other.high_kb);
  span.count += other.count;
}

// The same reading stands in several records, and nothing moves for long: only the ends of a level
// line are needed.
std::vector<ReadingSpan> without_repeats(const std::vector<ReadingSpan>& all) {
  std::vector<ReadingSpan> kept;
  for (const ReadingSpan& one : all) {
    const size_t n = kept.size();
    if (n >= 2 && kept[n - 1].last_kb == one.first_kb && kept[n - 2].last_kb == one.first_kb)
      kept[n - 1] = one;
    else kept.push_back(one);
  }
  return kept;
}

}  // namespace

Readings::Readings(const LogReader& log, const ReportClock& clock)
    : log_(log), clock_(clock), spans_(kSpans) {
  const uint64_t created = log.header().created.tick;
  if (const auto kb = log.host(FactKey::kCommittedAsKb)) add(created, *kb);
  if (const auto kb = log.host(FactKey::kCommitLimitKb)) add_level(limits_, clock.us(created), *kb);
  if (const auto mode = log.host(FactKey::kOvercommitMemory))
    add_level(modes_, clock.us(created), *mode);
  add_kept();
}

void Readings::add_kept() {
  for (const ReadingsCell& cell : kept_readings(log_)) {
    if (cell.first && is_known(cell.first->committed_kb) && cell.first->committed_kb != 0) {
      add(cell.first->tick, cell.first->committed_kb);
      if (is_known(cell.first->limit_kb) && cell.first->limit_kb != 0)
        add_level(limits_, clock_.us(cell.first->tick), cell.first->limit_kb);
    }
    for (const auto& extreme : {cell.lowest, cell.highest})
      if (extreme) add(extreme->tick, extreme->committed_kb);
  }
}

void Readings::note(const Event& event) {
  const EventBase& b = event.base;
  const CommitState& state = b.before;
  if (is_known(state.committed_kb) && state.committed_kb != 0 && state.age_ns != kUnknown) {
    const auto age = static_cast<uint64_t>(static_cast<double>(state.age_ns) / log_.ns_per_tick());
    const uint64_t tick = b.begin_tick - std::min(age, b.begin_tick);
    add(tick, state.committed_kb);
    if (is_known(state.limit_kb) && state.limit_kb != 0)
      add_level(limits_, clock_.us(tick), state.limit_kb);
  }
  const bool completed = is_fork_op(b.op) && event.returned() && !event.failed();
  if (completed && b.args[5] != 0 && is_known(b.args[5])) add(b.end_tick, b.args[5]);
  if (const auto kb = event.fact(FactKey::kCommittedAsKb); kb && is_known(*kb))
    add(b.begin_tick, *kb);
  if (const auto kb = event.fact(FactKey::kCommitLimitKb); kb && is_known(*kb))
    add_level(limits_, clock_.us(b.begin_tick), *kb);
  if (const auto mode = event.fact(FactKey::kOvercommitMemory))
    add_level(modes_, clock_.us(b.begin_tick), *mode);
}

void Readings::add(uint64_t tick, uint64_t kb) {
  const int64_t us = clock_.us(tick);
  const ReadingSpan one{us, us, kb, kb, kb, kb, 1};
  if (++count_ <= kMostSingle) single_.push_back(one);
  const auto place =
      static_cast<size_t>(static_cast<double>(us) / static_cast<double>(clock_.end_us()) * kSpans);
  merge(spans_[std::min(place, kSpans - 1)], one);
}

void Readings::add_level(std::vector<Level>& list, int64_t us, uint64_t value) {
  if (!list.empty() && list.back().value == value) {
    list.back().from_us = std::min(list.back().from_us, us);
    list.back().to_us = std::max(list.back().to_us, us);
  } else if (list.size() < kMostLevels) {
    list.push_back({us, us, value});
  }
}

std::vector<Readings::Level> Readings::levels(std::vector<Level> list) {
  std::stable_sort(list.begin(), list.end(),
                   [](const Level& a, const Level& b) { return a.from_us < b.from_us; });
  std::vector<Level> joined;
  for (const Level& level : list) {
    if (!joined.empty() && joined.back().value == level.value)
      joined.back().to_us = std::max(joined.back().to_us, level.to_us);
    else joined.push_back(level);
  }
  return joined;
}

std::vector<ReadingSpan> Readings::spans() const {
  std::vector<ReadingSpan> list = in_spans() ? spans_ : single_;
  std::erase_if(list, [](const ReadingSpan& span) { return span.count == 0; });
  std::stable_sort(list.begin(), list.end(),
                   [](const auto& a, const auto& b) { return a.from_us < b.from_us; });
  return in_spans() ? list : without_repeats(list);
}

std::vector<ReadingSpan> Readings::coarse(size_t wanted) const {
  std::vector<ReadingSpan> list(wanted);
  for (const ReadingSpan& span : spans_)
    if (span.count != 0) {
      const auto place =
          static_cast<size_t>(static_cast<double>(span.from_us) /
                              static_cast<double>(clock_.end_us()) * static_cast<double>(wanted));
      merge(list[std::min(place, wanted - 1)], span);
    }
  std::erase_if(list, [](const ReadingSpan& span) { return span.count == 0; });
  return list;
}

Json Readings::json() const {
  Json points = Json::array(), levels = Json::array();
  for (const ReadingSpan& s : spans())
    if (in_spans())
      points.push_back({s.from_us, s.to_us, s.low_kb, s.high_kb, s.first_kb, s.last_kb, s.count});
    else points.push_back({s.from_us, s.first_kb});
  for (const Level& level : limits()) levels.push_back({level.from_us, level.to_us, level.value});
  return {{"count", count_}, {"spans", in_spans()}, {"points", points}, {"limits", levels}};
}

}  // namespace ovc
