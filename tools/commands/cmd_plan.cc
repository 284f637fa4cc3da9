// SPDX-License-Identifier: MIT
//
// `ovc plan`: takes a fork from a log or a running process, puts the given settings in place of the
// host's, finds the limits.
#include "tools/commands/commands.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/commands/plan_report.h"
#include "tools/log/log_reader.h"
#include "tools/outlook/live_process.h"
#include "tools/rules/host_figures.h"
#include "tools/verdict/granted_fork.h"
#include "tools/verdict/why_scan.h"

namespace ovc {
namespace {

bool is_pid(const std::string& text) {
  return !text.empty() && text.size() <= 9 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Evidence fork_of_process(uint32_t pid, PlanReport& report) {
  const LiveHost host{SystemRoot{}};
  LiveProcess process = read_process(host, pid, Depth::kExact);
  report.comm = process.comm;
  report.pid = pid;
  if (process.state == ReadState::kRead) {
    report.save = save_outlook(process, save_host(host.root()));
    report.save_texts = save_texts(*report.save, process);
  }
  switch (process.state) {
    case ReadState::kRead: return std::move(process.fork);
    case ReadState::kGone: throw Error(fmt::format("no process {}", pid));
    case ReadState::kForbidden:
      throw Error(fmt::format("{} (pid {}): {}", escaped(process.comm), pid, process.reason));
    default:
      throw Error(fmt::format("{} is a kernel thread or a zombie: it has no memory to fork", pid));
  }
}

// The newest refused fork whose mappings were all listed; if there is none, the newest granted one
// that the log explains in full.
Evidence fork_of_log(const PlanOptions& options, PlanReport& report) {
  const LogReader log(log_or_newest(options.target));
  const WhyScan scan(log);
  const auto& refused = scan.refused();
  for (auto position = refused.rbegin(); position != refused.rend(); ++position) {
    const auto event = log.event_at(*position);
    if (!event || !copies_memory(*event) || (options.pid && event->base.pid != *options.pid))
      continue;
    Evidence evidence = scan.evidence(*event);
    if (!evidence.mappings_complete || evidence.fact(ovcshim::FactKey::kMapsSource) == 2) continue;
    report.comm = evidence.comm;
    report.pid = event->base.pid;
    report.refused_ns = log.posix_ns(event->base.begin_tick);
    return evidence;
  }
  if (auto granted = newest_granted_fork(log, scan, options.pid)) {
    report.comm = granted->comm;
    report.pid = granted->event.base.pid;
    report.granted_ns = log.posix_ns(granted->event.base.begin_tick);
    return std::move(*granted);
  }
  throw Error(fmt::format(
      "no fork{} with all of its mappings in {}: give the pid of a running process instead",
      options.pid ? fmt::format(" of process {}", *options.pid) : "", escaped(log.path())));
}

constexpr uint64_t kMostKb = uint64_t{1} << 48,
                   kMostRatio = 100000;  // beyond any machine; below, no product overflows

void check_range(const char* option, const std::optional<uint64_t>& value, uint64_t most) {
  if (value && *value >= most)
    throw Error(fmt::format("{} {}: more than any machine has", option, *value));
}

void check_ranges(const PlanOptions& options) {
  check_range("--ratio", options.ratio, kMostRatio);
  check_range("--kbytes", options.kbytes, kMostKb);
  check_range("--swap", options.swap_bytes, kMostKb * 1024);
  check_range("--ram", options.ram_bytes, kMostKb * 1024);
  check_range("--grow", options.grow_bytes, kMostKb * 1024);
}

PlanSettings settings_of(const PlanOptions& options, PlanReport& report) {
  PlanSettings settings{options.mode, options.ratio, options.kbytes, {}, {}};
  if (options.swap_bytes) settings.swap_kb = *options.swap_bytes / 1024;
  if (options.ram_bytes) settings.ram_kb = *options.ram_bytes / 1024;
  const auto give = [&report](const char* option, const std::optional<uint64_t>& value,
                              const char* unit) {
    if (value) report.given.push_back(fmt::format("{} {}{}", option, grouped(*value), unit));
  };
  give("mode", settings.mode, "");
  give("ratio", settings.ratio, " %");
  give("kbytes", settings.kbytes, " kB");
  give("swap", settings.swap_kb, " kB");
  give("RAM", settings.ram_kb, " kB");
  return settings;
}

std::optional<RefusedAt> crossing(const PlanReport& report, const Evidence& fork) {
  if (report.passes || report.growth_kb != 0)
    return std::nullopt;  // where the growth would lie is not known
  if (report.fork.rules.mode == kModeGuess) return mode0_crossing(fork.mappings, report.fork.rules);
  return mode2_crossing(fork.mappings, report.fork.rules, report.mode2->headroom_kb);
}

std::string whose_figures(const HostRules& rules) {
  std::string text;
  for (const auto& note : figure_notes(rules)) text += "; " + note;
  return text;
}

void work_out(const PlanOptions& options, const Evidence& fork, PlanReport& report) {
  const auto found = fork_case(fork);
  report.notes = figure_notes(fork.rules);
  if (!found)
    throw Error("not known: total_vm, Committed_AS or the flags of the mappings are missing" +
                whose_figures(fork.rules));
  const auto page_kb = static_cast<int64_t>(found->rules.page_kb);
  const auto growth_pages =
      static_cast<int64_t>(round_to_pages_kb(options.grow_bytes.value_or(0), found->rules)) /
      page_kb;
  report.growth_kb = static_cast<uint64_t>(growth_pages * page_kb);
  ForkCase now = *found;
  now.rules = with_settings(now.rules, settings_of(options, report));
  report.fork = grown(now, growth_pages * page_kb);
  const auto passing = passes(report.fork);
  if (!passing)
    throw Error(
        "not known: a figure that the rule of this mode needs is missing, or the kernel is older "
        "than 5.2" +
        whose_figures(fork.rules));
  report.passes = *passing;
  if (report.granted_ns && !report.passes && report.given.empty() && report.growth_kb == 0)
    report.notes.emplace_back(
        "this very fork was granted: settings or memory were not then what the figures say");
  const bool never = report.fork.rules.mode == kModeNever;
  if (never) report.mode2 = mode2_of(report.fork);
  report.borderline = never && report.fork.charge_kb != 0 && report.mode2->borderline();
  report.charge = fork_charge(fork.mappings, report.fork.rules);
  report.charge.refused_at = crossing(report, fork);
  report.growth = largest_growth_kb(report.fork);
  report.single_growth = largest_single_growth_kb(report.fork);
  if (never) {
    report.smallest = smallest_settings(report.fork);
    report.surely = smallest_settings(report.fork, static_cast<uint64_t>(report.mode2->band_kb));
  }
  report.largest = exclusions(report.fork, fork.mappings, options.limit);
  report.reserve = reserve_effect(report.fork, fork.mappings);
}

}  // namespace

int plan(const PlanOptions& options) {
  check_ranges(options);
  PlanReport report;
  const Evidence fork =
      is_pid(options.target)
          ? fork_of_process(static_cast<uint32_t>(std::stoul(options.target)), report)
          : fork_of_log(options, report);
  work_out(options, fork, report);
  Out out;
  out.text() += options.json ? plan_json(report) : plan_text(report);
  out.flush();
  return report.passes && !report.borderline ? 0 : 1;
}

}  // namespace ovc
