// SPDX-License-Identifier: MIT
//
// The verdicts for people. A label column, one fact a line; all text of the log is escaped.
#include <fmt/format.h>

#include <cstdlib>

#include "tools/causes/finding_text.h"
#include "tools/log/call_text.h"
#include "tools/log/names.h"
#include "tools/text/output.h"
#include "tools/verdict/why_report.h"

namespace ovc {
namespace {

constexpr size_t kStepsShown = 12;
constexpr size_t kCallersInLine = 5;
constexpr size_t kNamesShown = 4;
constexpr size_t kUnseenShown = 8;

std::string capital(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 32);
  return text;
}

std::string process_text(const std::string& comm, uint32_t pid) {
  return fmt::format("{} (pid {})", comm.empty() ? "a process" : escaped(comm), pid);
}

std::string times_text(const LogReader& log, const Verdict& v) {
  const std::string first = clock_text(log.posix_ns(v.event.base.begin_tick), 3);
  if (v.count == 1) return "at " + first;
  return fmt::format("{} times from {} to {}", v.count, first,
                     clock_text(log.posix_ns(v.last_tick), 3));
}

std::string title(const LogReader& log, const Verdict& v) {
  std::string what{op_name(v.event.base.op)};
  if (has_size(v.event.base.op))
    what += fmt::format(" of {}{} bytes", grouped(v.least_bytes),
                        v.least_bytes == v.most_bytes ? "" : " to " + grouped(v.most_bytes));
  return fmt::format("{} refused with {} {} in {}", what, errno_name(v.event.base.err),
                     times_text(log, v), process_text(v.comm, v.event.base.pid));
}

std::string callers_text(const std::vector<std::string>& callers, std::string_view purpose) {
  std::string text;
  for (size_t i = 0; i < callers.size() && i < kCallersInLine; ++i)
    text += (i ? " <- " : "") + escaped(callers[i]);
  if (text.empty()) text = "not recorded";
  if (!purpose.empty()) text += fmt::format("        ({})", purpose);
  return text;
}

std::string step_text(const InnerStep& step) {
  std::string text;
  append_call(text, step.event);
  append_result(text, step.event, Fate::kReturned);
  if (!step.cause.empty()) text += fmt::format("   ({})", step.cause);
  return text;
}

void add_steps(Told& told, const std::vector<InnerStep>& steps) {
  for (size_t i = 0; i < steps.size() && i < kStepsShown; ++i)
    told.add("inside", step_text(steps[i]));
  if (steps.size() > kStepsShown)
    told.add("inside", fmt::format("... and {} more", steps.size() - kStepsShown));
}

// The one system call that fork or sbrk is made of only repeats it.
bool tells_more(const Verdict& v) {
  const Op op = v.event.base.op;
  return v.finding.steps.size() > 1 || is_malloc_op(op) || op == Op::kPthreadCreate;
}

void add_held(Told& told, const Held& held) {
  for (const HeldBy& h : held.largest)
    told.add("held by", fmt::format("{} kB {} <- {}", grouped(h.kb), op_name(h.op),
                                    callers_text(h.callers, "")));
}

void write(std::string& out, const Told& told) {
  out += told.title + '\n';
  Lines lines(out);
  for (const auto& [label, text] : told.lines) lines.add(label, text);
  out += '\n';
}

void add_noreserve(std::string& out, const WhyReport& report) {
  for (const auto& use : report.noreserve) {
    out +=
        fmt::format("{} mapped {} kB with MAP_NORESERVE in {} calls",
                    process_text(use.comm, use.pid), grouped(use.noreserve_kb), grouped(use.calls));
    if (use.mode_then) out += fmt::format(" under vm.overcommit_memory = {}", *use.mode_then);
    out += fmt::format(" and {} kB without: a fork is not charged for the former",
                       grouped(use.accounted_kb));
    if (report.mode_now == kModeNever) out += ", not even now that mode 2 is on";
    out += '\n';
    if (is_redis(use.comm))
      out +=
          "  so the server's start-up warning about vm.overcommit_memory says little about its "
          "forks\n";
  }
}

void add_forks(std::string& out, const LogReader& log, const WhyReport& report) {
  for (const auto& group : report.forks) {
    out += fmt::format("{} fork{} passed in {}", grouped(group.count), group.count == 1 ? "" : "s",
                       process_text(group.comm, group.pid));
    if (group.processes > 1) out += fmt::format(" and {} more", grouped(group.processes - 1));
    if (group.last_tick == 0)
      out += log.vitals_overwritten() || log.events_overwritten()
                 ? "; their records have been overwritten\n"
                 : ", made by calls that left no record\n";
    else
      out += fmt::format(", the last at {}: {}\n", clock_text(log.posix_ns(group.last_tick), 3),
                         callers_text(group.callers, group.purpose));
  }
  if (report.other_forks)
    out += fmt::format("{} fork{} passed in processes of which nothing else is left in the log\n",
                       grouped(report.other_forks), report.other_forks == 1 ? "" : "s");
}

// Said of those that were seen only, and by name.
std::string seen_text(const WhyReport& report) {
  if (report.events == 0) return "no process left a record: nothing is known of any call\n";
  std::string names;
  for (size_t i = 0; i < report.seen.size() && i < kNamesShown; ++i)
    names += (i ? ", " : "") + escaped(report.seen[i]);
  if (report.seen.size() > kNamesShown) names += ", ...";
  return fmt::format(
      "nothing was refused and nobody{} {} killed in what was seen: {} event{} of {} process{}{}\n",
      report.asked_endings.empty() ? "" : " else",
      report.quiet_endings.empty() ? "was" : "is known to have been", grouped(report.events),
      report.events == 1 ? "" : "s", grouped(report.processes), report.processes == 1 ? "" : "es",
      names.empty() ? "" : " (" + names + ")");
}

void add_unseen(std::string& out, const WhyReport& report) {
  const std::vector<std::string> lines = unseen_lines(report);
  for (size_t i = 0; i < lines.size() && i < kUnseenShown; ++i)
    out += "not seen: " + lines[i] + '\n';
  if (lines.size() > kUnseenShown)
    out += fmt::format("not seen: {} more programs: ovc stats\n", lines.size() - kUnseenShown);
  if (!lines.empty()) out += '\n';
}

void add_other_failures(std::string& out, const WhyReport& report) {
  std::string kinds;
  for (size_t i = 0; i < report.other_failures.size() && i < kNamesShown; ++i) {
    const OtherFailure& f = report.other_failures[i];
    kinds += fmt::format("{}{} {} {}", i ? ", " : "", op_name(f.op), errno_name(f.err),
                         grouped(f.count));
  }
  if (report.other_failures.size() > kNamesShown) kinds += ", ...";
  if (!kinds.empty())
    out +=
        fmt::format("failed, but no refusal of memory or tasks: {} (ovc show --failed)\n", kinds);
}

void add_quiet_endings(std::string& out, const LogReader& log, const WhyReport& report) {
  for (const Ending& e : report.quiet_endings) {
    std::string line = tell(log, e).title;
    if (!e.sent_by.empty()) line += ". It was sent a signal by " + e.sent_by;
    else
      line += e.reason.empty() ? ". It ended by a signal that no recorded parent was told of "
                                 "(SIGTERM, SIGKILL, ...) or left by a system call of its own"
                               : ". " + capital(escaped(e.reason));
    for (const std::string& note : e.notes) line += "; " + note;
    out += line + '\n';
  }
}

// No finding: a line each, with who asked for it if that is known.
void add_asked_endings(std::string& out, const LogReader& log, const WhyReport& report) {
  for (const Ending& e : report.asked_endings)
    out += fmt::format("{}{} ended by {} at {}{}\n", process_text(e.comm, e.pid),
                       e.count == 1 ? "" : fmt::format(" and {} more", grouped(e.count - 1)),
                       signal_name(static_cast<unsigned>(e.signal)),
                       clock_text(log.posix_ns(e.tick), 3),
                       e.sent_by.empty() ? "" : "; sent by " + e.sent_by);
}

void add_harmless(std::string& out, const WhyReport& report) {
  uint64_t count = 0;
  for (const Verdict& v : report.verdicts)
    if (v.coped) count += v.count;
  if (count)
    out += fmt::format(
        "{} refusal{} did no harm (probes, or the caller found another way): ovc why --all\n",
        grouped(count), count == 1 ? "" : "s");
}

}  // namespace

Told tell(const LogReader& log, const Verdict& v) {
  const Finding& f = v.finding;
  Told told{title(log, v), {}};
  told.add("asked by", callers_text(v.callers, v.purpose));
  told.add("cause", f.cause == "unknown" ? "unknown: " + f.summary : f.summary);
  for (const auto& suspect : f.suspects) told.add("suspect", suspect.text + "  (not proven)");
  if (tells_more(v)) add_steps(told, f.steps);
  if (f.charge) told.add("charge", charge_text(*f.charge));
  if (v.held) add_held(told, *v.held);
  if (f.mode2) told.add("headroom", headroom_text(*f.mode2));
  else if (!f.figures.empty()) told.add("figures", figures_text(f.figures));  // the proof
  if (f.short_by) told.add("short by", short_text(f));
  if (f.would_pass) told.add("would pass", would_pass_text(*f.would_pass));
  if (!f.meaning.empty()) told.add("meaning", f.meaning);
  if (!f.rule.empty()) told.add("rule", f.rule);
  if (v.figures_differ) told.add("note", "the figures are those of the first of these calls");
  if (v.coped) told.add("note", fmt::format("no harm came of it: {}", v.coped_how));
  for (const auto& note : f.notes) told.add("note", note);
  for (const auto& advice : f.advice) told.add("to do", advice);
  return told;
}

Told tell(const LogReader& log, const Ending& e) {
  const std::string first = clock_text(log.posix_ns(e.tick), 3);
  const std::string when =
      e.count == 1 ? "at " + first
                   : fmt::format("from {} to {}", first, clock_text(log.posix_ns(e.last_tick), 3));
  std::string who = process_text(e.comm, e.pid);
  if (e.count != 1) who += fmt::format(" and {} more", grouped(e.count - 1));
  const char* was = e.count == 1 ? "was" : "were";
  const char* parent = e.count == 1 ? "its parent learned of it" : "their parents learned of it";
  Told told;
  if (e.id == "no-exit-recorded")
    told.title = fmt::format("{}: no exit recorded, last sign of life {}", who, when);
  else if (e.by_run)
    told.title = fmt::format("{} was killed by {}, as ovc run was told; last sign of life {}", who,
                             signal_name(static_cast<unsigned>(e.signal)), when);
  else if (!e.by_wait) told.title = fmt::format("{} called abort() {}", who, when);
  else if (e.id == "aborted")
    told.title = fmt::format("{} aborted (SIGABRT); {} {}", who, parent, when);
  else
    told.title = fmt::format("{} {} killed by {}; {} {}", who, was,
                             signal_name(static_cast<unsigned>(e.signal)), parent, when);
  if (!e.callers.empty()) told.add("asked by", callers_text(e.callers, ""));
  if (!e.sent_by.empty()) told.add("sent by", e.sent_by);
  if (!e.reason.empty()) told.add("why", escaped(e.reason));
  for (const auto& note : e.notes) told.add("note", note);
  return told;
}

std::string nothing_found_text(const LogReader& log, const WhyReport& report) {
  std::string out = seen_text(report);
  add_other_failures(out, report);
  add_forks(out, log, report);
  add_noreserve(out, report);
  return out;
}

std::vector<std::string> unseen_lines(const WhyReport& report) {
  std::vector<std::string> lines;
  for (const UnseenProgram& program : report.unseen) lines.push_back(program.text());
  for (const std::string& sentence : report.unseen_code) lines.push_back(escaped(sentence));
  return lines;
}

std::string why_text(const LogReader& log, const WhyReport& report, bool all) {
  std::string out;
  add_unseen(out, report);
  for (const auto& verdict : report.verdicts)
    if (!verdict.coped) write(out, tell(log, verdict));
  for (const auto& ending : report.endings) write(out, tell(log, ending));
  for (const auto& story : report.children) write(out, tell(log, story));
  for (const auto& verdict : report.verdicts)
    if (verdict.coped && all) write(out, tell(log, verdict));
  if (!report.found()) out += nothing_found_text(log, report);
  add_quiet_endings(out, log, report);
  add_asked_endings(out, log, report);
  if (!all) add_harmless(out, report);
  for (const auto& note : report.notes) out += "note: " + note + '\n';
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

}  // namespace ovc
