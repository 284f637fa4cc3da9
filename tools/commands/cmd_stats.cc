// SPDX-License-Identifier: MIT
//
// `ovc stats`: exact totals, what was lost or overwritten, what the log cannot see.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "tools/commands/commands.h"
#include "tools/commands/stacks_view.h"
#include "tools/log/log_family.h"
#include "tools/log/log_reader.h"
#include "tools/log/names.h"
#include "tools/symbols/symbols.h"
#include "tools/text/json.h"
#include "tools/text/output.h"
#include "tools/verdict/stats.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr size_t kBarWidth = 40;
constexpr size_t kBlindShown = 20;

std::string bucket_text(size_t bucket) {
  const auto [from, to] = bucket_bounds(bucket);
  if (bucket == 0) return "0";
  return to == UINT64_MAX ? fmt::format(">= {}", size_text(from))
                          : fmt::format("< {}", size_text(to + 1));
}

bool any_calls(const Totals& totals) {
  return std::any_of(totals.calls.begin(), totals.calls.end(), [](uint64_t n) { return n != 0; });
}

// "malloc, free libjemalloc.so.2; fork libc.so.6"
std::string served_text(const std::map<std::string, std::string>& served_by) {
  std::map<std::string, std::string> calls_of;
  for (const auto& [call, module] : served_by)
    calls_of[module] += (calls_of[module].empty() ? "" : ", ") + call;
  std::string text;
  for (const auto& [module, calls] : calls_of)
    text += (text.empty() ? "" : "; ") + escaped(module) + ": " + calls;
  return text;
}

class StatsText {
 public:
  StatsText(const LogReader& log, const Stats& stats, size_t limit)
      : log_(log), stats_(stats), limit_(limit) {}

  std::string write() {
    write_head();
    const size_t shown =
        limit_ == 0 ? stats_.processes.size() : std::min(limit_, stats_.processes.size());
    for (size_t i = 0; i < shown; ++i) write_process(stats_.processes[i]);
    if (shown < stats_.processes.size())
      fmt::format_to(to_, "\n{} more processes: ovc stats -n 0\n", stats_.processes.size() - shown);
    if (stats_.retired_processes != 0 || any_calls(stats_.retired)) {
      fmt::format_to(
          to_,
          "\n{} earlier processes, summed up (their places in the process table were reused)\n",
          grouped(stats_.retired_processes));
      write_totals(stats_.retired);
    }
    if (any_calls(stats_.shared)) {
      text_ += "\nthreads beyond the table of counters, all processes\n";
      write_totals(stats_.shared);
    }
    write_losses();
    write_blind_spots();
    return std::move(text_);
  }

 private:
  void line(std::string_view name, const std::string& value) {
    fmt::format_to(to_, "{:<13} {}\n", name, value);
  }

  void write_head() {
    const FileHeader& h = log_.header();
    line("log", fmt::format("{}, {}, format {}, written by shim {}", escaped(log_.path()),
                            size_text(h.file_bytes), h.version, escaped(h.shim_version)));
    if (const std::string size = size_reason(log_); !size.empty()) line("size", size);
    std::string host = fmt::format("Linux {}, {} CPUs", escaped(h.kernel_release), h.cpus_online);
    const auto add = [&](FactKey key, std::string_view name) {
      if (const auto kb = log_.host(key)) host += fmt::format(", {} {}", name, kb_text(*kb));
    };
    add(FactKey::kMemTotalKb, "RAM");
    add(FactKey::kSwapTotalKb, "swap");
    add(FactKey::kCommitLimitKb, "CommitLimit");
    if (const auto mode = log_.host(FactKey::kOvercommitMemory))
      host += fmt::format(", vm.overcommit_memory {}", *mode);
    line("host", host);
    const int64_t span =
        log_.ticks_to_ns(static_cast<int64_t>(stats_.last_tick - stats_.first_tick));
    line("period", fmt::format("{}, {}, {} events", date_text(log_.posix_ns(stats_.first_tick)),
                               duration_text(span), grouped(stats_.events)));
  }

  void write_process(const ProcessStats& p) {
    const ProcessSlot& slot = p.process.slot;
    fmt::format_to(to_, "\nprocess {} {} ({}), parent {}, {} image{}, calls from {} thread{}\n",
                   slot.pid, escaped(p.process.comm()), escaped(p.process.exe()), slot.parent_pid,
                   slot.images, slot.images == 1 ? "" : "s", p.totals.threads,
                   p.totals.threads == 1 ? "" : "s");
    write_totals(p.totals);
    if (!p.served_by.empty()) line("  served by", served_text(p.served_by));
    line("  in libc", fmt::format("system calls that libc makes itself are {}", p.inside_libc));
    line("  growth", growth_text(p.growth));
    if (const std::string kinds = unexplained_text(p); !kinds.empty()) line("  unexplained", kinds);
    if (const std::string peak = peak_text(p); !peak.empty()) line("  highest", peak);
    line("  end", end_text(p.end));
    if (p.own_mapped_kb || p.own_commit_kb) line("  shim", own_cost(p));
  }

  // Between two readings it may have been higher.
  static std::string peak_text(const ProcessStats& p) {
    std::string text;
    const auto add = [&text](std::string_view name, const std::optional<uint64_t>& kb) {
      if (kb) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, kb_text(*kb));
    };
    add("VmSize", p.peak_vm_size_kb);
    add("VmRSS", p.peak_resident_kb);
    add("VmData and VmStk", p.peak_data_kb);
    return text.empty() ? text : text + " of all readings since its program began";
  }

  // Of accountable memory: what fork would charge again, MADV_DONTFORK aside.
  std::string growth_text(const std::optional<Coverage>& growth) const {
    if (!growth) return "not known: the log has fewer than two complete lists of mappings";
    const auto time = [this](uint64_t tick) { return clock_text(log_.posix_ns(tick), 3); };
    const std::string share =
        growth->percent() ? fmt::format(" ({:.1f} %)", std::floor(*growth->percent() * 10) / 10)
                          : "";
    const std::string calls = growth->low_kb == growth->high_kb
                                  ? fmt::format("{:+}", growth->low_kb)
                                  : fmt::format("{:+} to {:+}", growth->low_kb, growth->high_kb);
    return fmt::format("charged memory {:+} kB from {} to {}; recorded calls explain {} kB{}",
                       growth->kernel_kb, time(growth->first_tick), time(growth->last_tick), calls,
                       share);
  }

  static std::string unexplained_text(const ProcessStats& p) {
    std::string text;
    for (const auto& [kind, kb] : p.unexplained_kb)
      if (kb != 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", kb_text(kb), kind);
    if (text.empty()) return "";
    return text + (p.calls_overwritten ? " (older mmap records were overwritten)"
                                       : " (no recorded call asked for it)");
  }

  static std::string own_cost(const ProcessStats& p) {
    std::string text = fmt::format("maps {} (log included), adds {} of commit charge",
                                   p.own_mapped_kb ? kb_text(*p.own_mapped_kb) : "unknown",
                                   p.own_commit_kb ? kb_text(*p.own_commit_kb) : "unknown");
    if (p.own_start_ns)
      text += fmt::format(
          ", took {} to start",
          duration_text(static_cast<int64_t>(std::min<uint64_t>(*p.own_start_ns, INT64_MAX))));
    return text;
  }

  void write_totals(const Totals& totals) {
    if (!any_calls(totals)) {
      text_ += "  no calls counted\n";
      return;
    }
    Table table({"CALL", "CALLS", "FAILED"}, "lrr");
    for (const OpInfo& info : all_ops()) {
      const auto i = static_cast<size_t>(info.op);
      if (i < totals.calls.size() && totals.calls[i] != 0)
        table.row({std::string(info.name), grouped(totals.calls[i]),
                   totals.failed[i] ? grouped(totals.failed[i]) : ""});
    }
    table.write(text_, "  ");
    fmt::format_to(to_, "  requested  {} bytes ({})", grouped(totals.requested_bytes),
                   size_text(totals.requested_bytes));
    if (totals.calls_not_kept)
      fmt::format_to(to_, "; {} calls only counted, not recorded one by one",
                     grouped(totals.calls_not_kept));
    text_ += '\n';
    write_sizes(totals);
  }

  void write_sizes(const Totals& totals) {
    const uint64_t most = *std::max_element(totals.sizes.begin(), totals.sizes.end());
    if (most == 0) return;
    Table table({"SIZE", "REQUESTS", ""}, "rrl");
    for (size_t b = 0; b < totals.sizes.size(); ++b) {
      if (totals.sizes[b] == 0) continue;
      const auto width = static_cast<size_t>(
          std::lround(static_cast<double>(totals.sizes[b]) / static_cast<double>(most) *
                      static_cast<double>(kBarWidth)));
      table.row({bucket_text(b), grouped(totals.sizes[b]), std::string(width, '#')});
    }
    table.write(text_, "  ");
  }

  void write_losses() {
    text_ += "\nlost\n";
    Table table({"", ""}, "rl");
    for (const Loss& loss : stats_.losses)
      if (loss.count != 0) table.row({grouped(loss.count), std::string(loss.what)});
    if (table.empty()) text_ += "  nothing\n";
    else table.write(text_, "  ");
  }

  void write_blind_spots() {
    text_ += "\nnot seen\n";
    const size_t shown =
        limit_ == 0 ? stats_.blind_spots.size() : std::min(kBlindShown, stats_.blind_spots.size());
    // The general ones stand last and are few: cut the list of programs.
    for (size_t i = stats_.blind_spots.size() - shown; i < stats_.blind_spots.size(); ++i)
      fmt::format_to(to_, "  {}\n", stats_.blind_spots[i]);
  }

  const LogReader& log_;
  const Stats& stats_;
  size_t limit_;
  std::string text_;
  std::back_insert_iterator<std::string> to_{text_};
};

Json totals_json(const Totals& totals) {
  Json calls = Json::object(), sizes = Json::array();
  for (const OpInfo& info : all_ops()) {
    const auto i = static_cast<size_t>(info.op);
    if (i < totals.calls.size() && totals.calls[i] != 0)
      calls[std::string(info.name)] = {{"calls", totals.calls[i]}, {"failed", totals.failed[i]}};
  }
  for (size_t b = 0; b < totals.sizes.size(); ++b) {
    if (totals.sizes[b] == 0) continue;
    const auto [from, to] = bucket_bounds(b);
    sizes.push_back({{"from", from},
                     {"to", to == UINT64_MAX ? Json() : Json(to)},
                     {"requests", totals.sizes[b]}});
  }
  return {{"calls", calls},
          {"requested_bytes", totals.requested_bytes},
          {"sizes", sizes},
          {"calls_not_kept", totals.calls_not_kept},
          {"threads", totals.threads}};
}

Json growth_json(const LogReader& log, const std::optional<Coverage>& growth) {
  if (!growth) return {};
  return {{"from", iso_text(log.posix_ns(growth->first_tick))},
          {"to", iso_text(log.posix_ns(growth->last_tick))},
          {"kernel_kb", growth->kernel_kb},
          {"explained_low_kb", growth->low_kb},
          {"explained_high_kb", growth->high_kb},
          {"percent", growth->percent() ? Json(*growth->percent()) : Json()}};
}

Json process_json(const LogReader& log, const ProcessStats& p) {
  const ProcessSlot& slot = p.process.slot;
  const auto figure = [](const std::optional<uint64_t>& value) {
    return value ? Json(*value) : Json();
  };
  return {{"pid", slot.pid},
          {"comm", p.process.comm()},
          {"exe", p.process.exe()},
          {"parent_pid", slot.parent_pid},
          {"images", slot.images},
          {"uid", slot.uid},
          {"exit_status", p.end.status ? Json(*p.end.status) : Json()},
          {"ended", p.end.kind != EndKind::kNotRecorded},
          {"end", end_text(p.end)},
          {"end_seen_by", p.end.seen_by.empty() ? Json() : Json(p.end.seen_by)},
          {"totals", totals_json(p.totals)},
          {"served_by", p.served_by},
          {"inside_libc", p.inside_libc},
          {"growth", growth_json(log, p.growth)},
          {"unexplained_kb", p.unexplained_kb},
          {"peak_vm_size_kb", figure(p.peak_vm_size_kb)},
          {"peak_resident_kb", figure(p.peak_resident_kb)},
          {"peak_data_kb", figure(p.peak_data_kb)},
          {"own_mapped_kb", figure(p.own_mapped_kb)},
          {"own_commit_kb", figure(p.own_commit_kb)},
          {"own_start_ns", figure(p.own_start_ns)}};
}

Json stats_json(const LogReader& log, const Stats& stats) {
  Json processes = Json::array(), losses = Json::object(), host = Json::object();
  for (const ProcessStats& p : stats.processes) processes.push_back(process_json(log, p));
  for (const Loss& loss : stats.losses) losses[std::string(loss.key)] = loss.count;
  for (const Fact& fact : log.header().host) {
    if (fact.key == 0) break;
    host[std::string(fact_name(fact.key))] = json_figure(fact.value);
  }
  const FileHeader& h = log.header();
  return {{"log", log.path()},
          {"bytes", h.file_bytes},
          {"format", h.version},
          {"shim", h.shim_version},
          {"kernel", h.kernel_release},
          {"cpus", h.cpus_online},
          {"host", host},
          {"first", iso_text(log.posix_ns(stats.first_tick))},
          {"last", iso_text(log.posix_ns(stats.last_tick))},
          {"events", stats.events},
          {"processes", processes},
          {"retired_processes", stats.retired_processes},
          {"retired", totals_json(stats.retired)},
          {"shared", totals_json(stats.shared)},
          {"lost", losses},
          {"not_seen", stats.blind_spots}};
}

Json stats_of(const LogReader& log, const SeenElsewhere& seen = {}) {
  Symbols symbols(log);
  return stats_json(log, gather_stats(log, symbols, seen));
}

std::string stats_text(const LogReader& log, size_t limit, const SeenElsewhere& seen = {}) {
  Symbols symbols(log);
  return StatsText(log, gather_stats(log, symbols, seen), limit).write();
}

SeenElsewhere seen_in(const LogFamily& family) {
  SeenElsewhere pids;
  for (const Relative& relative : family.others)
    for (const Process& process : relative.log->processes()) pids.insert(process.slot.pid);
  return pids;
}

}  // namespace

int stats(const StatsOptions& options) {
  const LogReader log(log_or_newest(options.log));
  const LogFamily family = family_of(log);
  Out out;
  if (options.stacks) {
    out.text() =
        options.json ? json_text(stacks_json(log), 2) + '\n' : stacks_text(log, options.limit);
  } else if (options.json) {
    Json all = stats_of(log, seen_in(family));
    for (const Relative& relative : family.others) all["beside"].push_back(stats_of(*relative.log));
    out.text() = json_text(all, 2) + '\n';
  } else {
    out.text() = stats_text(log, options.limit, seen_in(family));
    for (const Relative& relative : family.others)
      out.text() += "\n" + heading(relative) + stats_text(*relative.log, options.limit);
  }
  out.flush();
  return 0;
}

}  // namespace ovc
