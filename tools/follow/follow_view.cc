// SPDX-License-Identifier: MIT
#include "tools/follow/follow_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "tools/host/proc_files.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kNamesShown = 4;
constexpr size_t kLongestBar = 40, kShortestBar = 10;
constexpr auto kShortestRate = std::chrono::milliseconds(200);

uint64_t sum(const Totals& totals) {
  return std::accumulate(totals.calls.begin(), totals.calls.end(), uint64_t{0});
}

uint64_t all_calls(const LogReader& log) {
  uint64_t calls = sum(log.retired_totals()) + sum(log.shared_totals());
  for (const auto& [process, totals] : log.totals()) calls += sum(totals);
  return calls;
}

std::string names(const std::vector<Process>& processes) {
  std::string text;
  for (size_t i = 0; i < std::min(processes.size(), kNamesShown); ++i)
    text += fmt::format("{}{} {}", i ? ", " : ": ", escaped(processes[i].comm()),
                        processes[i].slot.pid);
  return text + (processes.size() > kNamesShown ? ", ..." : "");
}

}  // namespace

std::string bar(double share, size_t width) {
  const size_t inside = width - 2;
  const double full = std::clamp(share, 0.0, 1.0) * static_cast<double>(inside);
  const auto filled = std::min(static_cast<size_t>(full + 0.5), inside);
  return '[' + std::string(filled, '#') + std::string(inside - filled, '-') + ']';
}

FollowView::FollowView(const LogReader& log)
    : log_(log),
      host_(SystemRoot{}),
      calls_(all_calls(log)),
      begun_(Clock::now()),
      counted_(begun_) {}

void FollowView::count(const Happening& line) {
  if (line.kind == Kind::kRefused) refused_ += line.times;
  if (line.kind == Kind::kForked) ++forks_;
  if (line.kind == Kind::kLost) lost_ += line.times;
}

std::string FollowView::commit_line(size_t width) const {
  const HostRules rules = host_.rules();
  if (!rules.limit_kb || !rules.committed_kb) return "Committed_AS not known";
  const double share = *rules.limit_kb ? static_cast<double>(*rules.committed_kb) /
                                             static_cast<double>(*rules.limit_kb)
                                       : 1;
  const std::string figures =
      fmt::format("{} of {} kB, {:.0f} %{}", grouped(*rules.committed_kb), grouped(*rules.limit_kb),
                  share * 100, rules.mode == 2 ? "" : ", not enforced");
  const std::string text = "Committed_AS " + figures;
  if (text.size() + 1 + kShortestBar > width) return text;
  return fmt::format("Committed_AS {} {}",
                     bar(share, std::min(width - text.size() - 1, kLongestBar)), figures);
}

std::string FollowView::counts() const {
  return fmt::format("forks {}, refused {}, lost {}", grouped(forks_), grouped(refused_),
                     grouped(lost_));
}

std::string FollowView::rates_line() {
  const auto now = Clock::now();
  if (now - counted_ >= kShortestRate) {
    const uint64_t calls = all_calls(log_);
    const uint64_t more =
        calls - std::min(calls_, calls);  // counters of a process move while it retires
    calls_per_second_ =
        static_cast<double>(more) / std::chrono::duration<double>(now - counted_).count();
    calls_ = calls, counted_ = now;
  }
  return fmt::format("calls {}/s, {}", grouped(static_cast<uint64_t>(calls_per_second_)), counts());
}

std::vector<std::string> FollowView::block(const Story& story, const HostNow& now, int64_t posix_ns,
                                           size_t width) {
  const std::vector<Process> running = story.running(now);
  const char* plural = running.size() == 1 ? "" : "es";
  return {fmt::format("{}  {} process{}{}", clock_text(posix_ns, 0), running.size(), plural,
                      names(running)),
          commit_line(width), rates_line()};
}

std::string FollowView::summary() const {
  const auto ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begun_).count();
  return fmt::format("followed for {}; in the log: {}", duration_text(ns), counts());
}

}  // namespace ovc
