// SPDX-License-Identifier: MIT
//
// What a log knows as metrics, for node_exporter's textfile directory. Gauges all of them: a log is
// a file that a new one replaces, and the older Prometheus text format, which the directory is read
// with, takes the same text only if no name ends in _total. How the running processes stand,
// whether the next fork would pass, comes from `ovc check --openmetrics`.
#include <fmt/format.h>

#include <map>

#include "tools/export/export_file.h"
#include "tools/export/export_formats.h"
#include "tools/export/export_rows.h"
#include "tools/log/log_reader.h"
#include "tools/text/openmetrics.h"
#include "tools/verdict/siblings.h"

namespace ovc {
namespace {

using namespace ovcshim;

// What makes a process: threads, and the clone that libc's fork is made of, are left out.
bool makes_process(Op op) {
  return is_fork_op(op) && op != Op::kPthreadCreate && op != Op::kThrdCreate && op != Op::kClone &&
         op != Op::kWordexp;
}

struct Counts {
  uint64_t calls = 0, failed = 0;
};
using CountsByName = std::map<std::string, Counts>;

// The newest fork of a command of which the charge is known, against the limit that it met.
struct NewestFork {
  int64_t time_ns = 0;
  bool passed = false;
  std::optional<uint64_t> charge_kb;
  std::optional<Mode2Verdict> mode2;
};

class Metrics {
 public:
  Metrics(const LogReader& log, const ExportOptions& options)
      : log_(log), source_(log, options.host), walk_(log, source_), out_(options.output) {}

  void write() {
    write_info();
    write_counts();
    write_refusals();
    const ForkList list(log_);
    write_newest_forks(list);
    write_saves(list);
    write_state();
    write_losses();
    out_.text() += "# EOF\n";
    out_.finish();
  }

 private:
  using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

  void head(std::string_view name, std::string_view unit, std::string_view help) {
    name_ = name;
    append_metric_head(out_.text(), name, unit, help);
  }
  void sample(const Labels& labels, double value) {
    std::string text = "{log=\"" + metric_label(source_.log) + '"';
    for (const auto& [name, raw] : labels)
      text += fmt::format(",{}=\"{}\"", name, metric_label(raw));
    append_metric_sample(out_.text(), name_, text + '}', value);
  }

  void write_info() {
    const FileHeader& h = log_.header();
    head("ovc_log_info", "", "The log and where it was recorded; the value is 1.");
    sample({{"host", source_.host},
            {"boot_id", source_.boot_id},
            {"kernel", h.kernel_release},
            {"shim_version", h.shim_version}},
           1);
    head("ovc_log_created_seconds", "seconds", "When the log was begun, since 1970.");
    sample({}, seconds(log_.posix_ns(h.created.tick)));
  }

  static double seconds(int64_t ns) { return static_cast<double>(ns) / 1e9; }
  static double bytes(uint64_t kb) { return static_cast<double>(kb) * 1024; }

  void write_counts() {
    CountsByName forks, calls;
    const auto add = [&](const std::string& comm, const Totals& totals) {
      for (size_t i = 0; i < totals.calls.size(); ++i) {
        const Op op = static_cast<Op>(i);
        if (totals.calls[i] == 0) continue;
        for (Counts* counts :
             {&calls[std::string(op_name(op))], makes_process(op) ? &forks[comm] : nullptr})
          if (counts) counts->calls += totals.calls[i], counts->failed += totals.failed[i];
      }
    };
    for (const auto& [id, totals] : log_.totals()) {
      const Process* process = walk_.process(id.first, id.second);
      add(process ? process->comm() : "", totals);
    }
    add("", log_.retired_totals());
    add("", log_.shared_totals());
    write_forks(forks);
    write_calls(calls);
  }

  void write_forks(const CountsByName& forks) {
    head("ovc_log_forks", "",
         "Calls that make a process (libc's own clone left out), by command (empty: its place in "
         "the log was reused). Exact.");
    for (const auto& [comm, counts] : forks) {
      sample({{"comm", comm}, {"result", "granted"}},
             static_cast<double>(counts.calls - counts.failed));
      sample({{"comm", comm}, {"result", "refused"}}, static_cast<double>(counts.failed));
    }
  }

  void write_calls(const CountsByName& calls) {
    head("ovc_log_calls", "", "Calls of each function, failed ones included. Exact.");
    for (const auto& [op, counts] : calls) sample({{"op", op}}, static_cast<double>(counts.calls));
    head("ovc_log_calls_failed", "", "Calls of each function that failed. Exact.");
    for (const auto& [op, counts] : calls) sample({{"op", op}}, static_cast<double>(counts.failed));
  }

  // By verdict: what is still in the log. A refusal that its caller found a way around is marked.
  void write_refusals() {
    std::map<std::array<std::string, 5>, uint64_t> refusals;
    for (const Verdict& v : walk_.verdicts())
      refusals[{v.comm, std::string(op_name(v.event.base.op)), errno_name(v.event.base.err),
                std::string(v.finding.cause), v.coped ? "yes" : "no"}] += v.count;
    head("ovc_log_refusals", "", "Refused calls that are still in the log, by errno and cause.");
    for (const auto& [key, count] : refusals)
      sample({{"comm", key[0]},
              {"op", key[1]},
              {"errno", key[2]},
              {"cause", key[3]},
              {"coped", key[4]}},
             static_cast<double>(count));
  }

  // A refused fork has its verdict; what a granted one met was recorded with it.
  NewestFork judged(const Fork& fork) const {
    NewestFork newest{log_.posix_ns(fork.event.base.begin_tick), !fork.event.failed(),
                      fork.charge_kb, std::nullopt};
    for (const Verdict& v : walk_.verdicts())
      for (const uint64_t position : v.positions)
        if (position == fork.event.position) newest.mode2 = v.finding.mode2;
    if (newest.mode2 || !fork.charge_kb) return newest;
    const Evidence evidence = walk_.scan().evidence(fork.event);
    HostRules rules = evidence.rules;
    const CommitState& met = fork.event.base.before;
    if (met.limit_kb != kUnknown) rules.limit_kb = met.limit_kb;
    newest.mode2 = mode2(rules, known(met.committed_kb), known(met.vm_size_pages), *fork.charge_kb);
    return newest;
  }
  static std::optional<uint64_t> known(uint64_t value) {
    return value == kUnknown ? std::nullopt : std::optional(value);
  }

  void write_newest_forks(const ForkList& list) {
    std::map<std::string, const Fork*> last;
    for (const Fork& fork : list.forks())
      if (makes_process(fork.event.base.op) && fork.event.returned()) last[fork.comm] = &fork;
    std::map<std::string, NewestFork> newest;
    for (const auto& [comm, fork] : last) newest[comm] = judged(*fork);
    const auto family = [&](std::string_view name, std::string_view unit, std::string_view help,
                            const auto& value) {
      head(name, unit, help);
      for (const auto& [comm, fork] : newest)
        if (const std::optional<double> figure = value(fork)) sample({{"comm", comm}}, *figure);
    };
    using Figure = std::optional<double>;
    family("ovc_log_newest_fork_time_seconds", "seconds",
           "When a command's newest fork was made, since 1970.",
           [](const NewestFork& f) { return Figure(seconds(f.time_ns)); });
    family("ovc_log_newest_fork_passed", "", "Did it pass: 1 yes, 0 refused.",
           [](const NewestFork& f) { return Figure(f.passed ? 1 : 0); });
    family(
        "ovc_log_newest_fork_charge_bytes", "bytes",
        "What it was charged, or would have been; absent if not known.",
        [](const NewestFork& f) { return f.charge_kb ? Figure(bytes(*f.charge_kb)) : Figure(); });
    family("ovc_log_newest_fork_headroom_bytes", "bytes",
           "Headroom by the rule of mode 2 when it was made.", [](const NewestFork& f) {
             return f.mode2 ? Figure(static_cast<double>(f.mode2->headroom_kb) * 1024) : Figure();
           });
    family("ovc_log_newest_fork_short_bytes", "bytes",
           "Shortfall by the rule of mode 2; 0 or less: none.", [](const NewestFork& f) {
             return f.mode2 ? Figure(static_cast<double>(f.mode2->short_kb) * 1024) : Figure();
           });
  }

  // How the children ended that were there to save, of those that are still in the log.
  void write_saves(const ForkList& list) {
    std::map<std::pair<std::string, std::string_view>, uint64_t> ends;
    for (const Siblings& siblings : siblings_of(log_, list)) {
      if (!siblings.saves) continue;
      for (const Copy& copy : siblings.copies) {
        const bool killed = copy.end && copy.end->kind != EndKind::kExited;
        ++ends[{siblings.comm, !copy.end       ? "open"
                               : killed        ? "killed"
                               : copy.failed() ? "failed"
                                               : "passed"}];
      }
    }
    if (ends.empty()) return;
    head("ovc_log_saves", "",
         "Children that were there to save, by how they ended (open: no end recorded, it may "
         "live).");
    for (const auto& [key, count] : ends)
      sample({{"comm", key.first}, {"end", key.second}}, static_cast<double>(count));
  }

  // The newest reading of the host's figures.
  void write_state() {
    uint64_t tick = 0;
    CommitState newest{kUnknown, kUnknown, kUnknown, kUnknown, kUnknown, kUnknown};
    log_.for_each_event([&](const Event& event) {
      if (event.base.before.committed_kb != kUnknown && event.base.begin_tick >= tick)
        tick = event.base.begin_tick, newest = event.base.before;
      return true;
    });
    if (newest.committed_kb == kUnknown) return;
    head("ovc_log_reading_time_seconds", "seconds",
         "When the two figures that follow were read, since 1970.");
    const int64_t age = newest.age_ns == kUnknown
                            ? 0
                            : static_cast<int64_t>(std::min<uint64_t>(newest.age_ns, INT64_MAX));
    sample({}, seconds(minus(log_.posix_ns(tick), age)));
    head("ovc_log_committed_bytes", "bytes", "Committed_AS, as it was read last.");
    sample({}, bytes(newest.committed_kb));
    if (newest.limit_kb == kUnknown) return;
    head("ovc_log_commit_limit_bytes", "bytes", "CommitLimit, as it was read last.");
    sample({}, bytes(newest.limit_kb));
  }

  void write_losses() {
    const Losses lost = log_.losses();
    head("ovc_log_lost", "", "Records that are gone: overwritten by newer ones, or never written.");
    sample({{"what", "event_slots_overwritten"}},
           static_cast<double>(lost.event_slots_overwritten));
    sample({{"what", "memory_units_overwritten"}},
           static_cast<double>(lost.memory_units_overwritten));
    sample({{"what", "vital_slots_overwritten"}},
           static_cast<double>(lost.vital_slots_overwritten));
    sample({{"what", "event_slots_torn"}}, static_cast<double>(lost.event_slots_torn));
    sample({{"what", "calls_overwritten"}}, static_cast<double>(lost.calls_overwritten));
  }

  const LogReader& log_;
  ExportSource source_;
  ExportWalk walk_;
  ExportText out_;
  std::string_view name_;
};

}  // namespace

void export_openmetrics(const LogReader& log, const ExportOptions& options) {
  Metrics(log, options).write();
}

}  // namespace ovc
