// SPDX-License-Identifier: MIT
//
// `ovc check`: finds the processes, asks whether a fork of each would pass now, prints; with
// --watch again and again until Ctrl-C or the processes have exited.
#include "tools/commands/commands.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string_view>
#include <vector>

#include "tools/commands/check_report.h"
#include "tools/log/log_reader.h"
#include "tools/text/interrupts.h"
#include "tools/text/json.h"
#include "tools/text/terminal_view.h"
#include "tools/verdict/why_report.h"

namespace ovc {
namespace {

constexpr size_t kCommBytes = 15;  // the kernel keeps no more of a name

bool is_number(const std::string& text) {
  return !text.empty() && text.size() <= 10 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::vector<uint32_t> pids_named(const LiveHost& host, const std::string& name) {
  std::vector<uint32_t> pids;
  for (const uint32_t pid : host.pids())
    if (comm_of(host, pid) == name.substr(0, kCommBytes)) pids.push_back(pid);
  return pids;
}

std::vector<uint32_t> pids_of(const LiveHost& host, const CheckOptions& options) {
  if (options.all) return host.pids();
  if (is_number(options.target))
    return {static_cast<uint32_t>(std::min<uint64_t>(std::stoull(options.target), UINT32_MAX))};
  return pids_named(host, options.target);
}

std::string nothing_found(const CheckOptions& options, const CheckReport& report) {
  const std::string proc = options.root + "/proc";
  if (access((proc + "/meminfo").c_str(), F_OK) != 0)
    return fmt::format("nothing can be read in {}: is it mounted?", escaped(proc));
  if (options.all) return "no process can be seen in /proc";
  const std::string target = escaped(options.target);
  if (report.skipped)
    return fmt::format("{} is a kernel thread or a zombie: it has no memory to fork", target);
  return is_number(options.target) ? fmt::format("no process {}", target)
                                   : fmt::format("no process is named {}", target);
}

struct LogProcess {
  uint64_t copies = 0;  // of itself
  uint32_t pid = 0, inner_pid = 0;
};

// Those that still run, the one that made most copies of itself first.
std::vector<LogProcess> processes_of_log(const LogReader& log) {
  const HostNow now = host_now();
  std::map<uint32_t, uint64_t> copies;
  if (!same_boot(log, now)) return {};
  for (const Siblings& siblings : siblings_of(log, ForkList(log, false)))
    copies[siblings.parent] += siblings.copies.size();
  std::vector<LogProcess> found;
  for (const Process& process : log.processes())
    if (now.alive(process.slot) == HostNow::Alive::kYes && now.pid_here(process.slot))
      found.push_back({copies.contains(process.index) ? copies[process.index] : 0,
                       now.pid_here(process.slot), process.slot.pid});
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.copies > b.copies; });
  return found;
}

// Nobody of it runs any more: what its saves needed is all there is to say.
int check_ended(const LogReader& log, const CheckOptions& options) {
  const auto former = former_saves(log, 0, log.header().page_size / 1024);
  if (former.empty())
    throw Error(
        fmt::format("no process of {} runs any more, and no child that was a copy of its "
                    "parent ended in it",
                    escaped(log.path())));
  Out out;
  if (options.json) {
    Json json = {
        {"log", log.path()}, {"processes", Json::array()}, {"former_saves", Json::array()}};
    for (const FormerSaves& saves : former) json["former_saves"].push_back(former_json(saves));
    out.text() += json_text(json, 2) + "\n";
  } else {
    const bool thp = save_host(SystemRoot{}).thp_always;
    out.text() += fmt::format("no process of {} runs any more\n", escaped(log.path()));
    for (const FormerSaves& saves : former)
      out.text() += fmt::format("  {:<11} {} (pid {}): {}\n", "former", escaped(saves.of.comm),
                                saves.of.parent_pid, escaped(former_text(saves, thp)));
  }
  out.flush();
  return 0;
}

// A name may be that of a file as well: only one that begins as a log does is one.
bool is_log(const CheckOptions& options) {
  std::error_code error;
  if (options.all || !std::filesystem::is_regular_file(options.target, error)) return false;
  char magic[sizeof ovcshim::kMagic] = {};
  std::ifstream file(options.target, std::ios::binary);
  return file.read(magic, sizeof magic) &&
         std::equal(std::begin(magic), std::end(magic), std::begin(ovcshim::kMagic));
}

CheckReport look(const CheckOptions& options) {
  const LiveHost host{options.root.empty() ? SystemRoot{}
                                           : SystemRoot{options.root + "/proc", options.root}};
  const auto pids = pids_of(host, options);
  CheckReport report =
      check_processes(host, pids, options.estimate ? Depth::kEstimate : Depth::kExact);
  report.details = !options.all && pids.size() == 1;
  return report;
}

void print(const CheckOptions& options, const CheckReport& report) {
  Out out;
  if (options.json)
    out.text() += json_text(check_json(report), options.watch_seconds > 0 ? -1 : 2) + "\n";
  else if (options.openmetrics) out.text() += check_openmetrics(report);
  else out.text() += check_text(report);
  out.flush();
}

int status_of(const CheckReport& report) {
  if (report.count(Answer::kFail) || report.count(Answer::kBorderline) ||
      (report.details && report.any_stuck()))
    return 1;
  if (report.count(Answer::kPass)) return 0;
  const CheckRow& row = report.rows.front();
  const bool other_way =
      row.process.state == ReadState::kForbidden && report.depth == Depth::kExact;
  throw Error(fmt::format("not known for {} (pid {}): {}{}", escaped(row.process.comm),
                          row.process.pid, row.outlook.reason,
                          other_way ? "; --estimate needs no permission" : ""));
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  for (size_t end; !text.empty(); text.remove_prefix(std::min(end + 1, text.size())))
    lines.emplace_back(text.substr(0, end = std::min(text.find('\n'), text.size())));
  return lines;
}

// On a terminal text is drawn in place, as far as it fits; the newest one is left there whole in
// the end.
class Rounds {
 public:
  explicit Rounds(const CheckOptions& options) : options_(options) {
    in_place_ = !options.json && !options.openmetrics && view_.in_place();
  }
  void show(const CheckReport& report) {
    if (in_place_) view_.show("", lines_of(check_text(report)));
    else print(options_, report);
  }
  void leave(const CheckReport& last) {
    if (!in_place_) return;
    view_.leave();
    print(options_, last);
  }
  void stop() {
    view_.leave();
    raise(SIGSTOP);
  }

 private:
  const CheckOptions& options_;
  Out out_;
  TerminalView view_{out_};
  bool in_place_;
};

// The status is that of the last round.
int watch(const CheckOptions& options) {
  const Interrupts interrupts;
  const auto interval = std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(options.watch_seconds));
  Rounds rounds(options);
  CheckReport last;
  auto why = Interrupts::Why::kTime;
  while (why != Interrupts::Why::kEnd && why != Interrupts::Why::kNobodyReads) {
    CheckReport report = look(options);
    if (report.rows.empty() && last.rows.empty()) throw Error(nothing_found(options, report));
    if (report.rows.empty()) break;  // what was watched has ended
    rounds.show(report);
    last = std::move(report);
    while ((why = interrupts.pass(interval)) == Interrupts::Why::kResized)
      rounds.show(last);  // without another look at smaps
    if (why == Interrupts::Why::kStop) rounds.stop();
  }
  if (why != Interrupts::Why::kNobodyReads) rounds.leave(last);
  return status_of(last);
}

// The newest state of the process that the log is about, by its number.
int check_log(const CheckOptions& options) {
  const LogReader log(options.target);
  const auto processes = processes_of_log(log);
  if (processes.empty()) return check_ended(log, options);
  CheckOptions process = options;
  process.target = std::to_string(processes.front().pid);
  CheckReport report = look(process);
  if (report.rows.empty()) throw Error(nothing_found(process, report));
  report.rows.front().former =
      former_saves(log, processes.front().inner_pid, log.header().page_size / 1024);
  print(options, report);
  return status_of(report);
}

}  // namespace

int check(const CheckOptions& options) {
  if (options.all != options.target.empty())
    throw Error("name one: a pid, a command name, or --all");
  if (options.stacks) {
    const auto pids = pids_of(LiveHost{SystemRoot{}}, options);
    if (pids.empty()) throw Error(nothing_found(options, {}));
    return stacks(options, pids);
  }
  if (is_log(options)) return check_log(options);
  if (options.watch_seconds > 0) return watch(options);
  const CheckReport report = look(options);
  if (report.rows.empty()) throw Error(nothing_found(options, report));
  print(options, report);
  return status_of(report);
}

}  // namespace ovc
