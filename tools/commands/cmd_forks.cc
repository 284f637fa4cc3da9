// SPDX-License-Identifier: MIT
//
// `ovc forks`: each fork, who asked for it, what it took, and what became of the child.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "tools/commands/commands.h"
#include "tools/log/call_text.h"
#include "tools/log/log_family.h"
#include "tools/log/names.h"
#include "tools/text/json.h"
#include "tools/text/output.h"
#include "tools/verdict/child_stories.h"
#include "tools/verdict/why_report.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr size_t kFunctionsShown = 3;

std::string_view call_name(const Event& event) {
  const EventBase& b = event.base;
  if (b.op == Op::kClone && (b.flags & kInsideLibc)) return "clone in libc";
  return op_name(b.op);
}

class ForksOutput {
 public:
  explicit ForksOutput(const LogReader& log) : log_(log), list_(log), now_(host_now()) {
    if (!same_boot(log, now_)) return;
    for (Process& process : log.processes())
      if (process.slot.fork_position != kUnknown)
        children_.emplace(process.slot.fork_position, std::move(process));
  }

  bool any_failed() const {
    const auto& forks = list_.forks();
    return std::any_of(forks.begin(), forks.end(), [](const Fork& f) { return f.event.failed(); });
  }

  std::string table() {
    write_table();
    return std::move(text_);
  }

  Json object() const {
    Json list = Json::array();
    for (const Fork& fork : list_.forks()) list.push_back(fork_json(fork));
    Json unseen = Json::array();
    for (const Process& p : list_.unseen_births())
      unseen.push_back({{"pid", p.slot.pid},
                        {"parent_pid", p.slot.parent_pid},
                        {"comm", p.comm()},
                        {"exe", p.exe()}});
    return {{"log", log_.path()},
            {"forks", list},
            {"children_of_unseen_calls", unseen},
            {"served_by", list_.providers()}};
  }

 private:
  int64_t duration_ns(const Fork& fork) const {
    return log_.ticks_to_ns(
        static_cast<int64_t>(fork.event.base.end_tick - fork.event.base.begin_tick));
  }
  int64_t life_ns(const Fork& fork) const {
    return log_.ticks_to_ns(static_cast<int64_t>(fork.end->tick - fork.event.base.begin_tick));
  }

  std::string asked_by(const Fork& fork) const {
    std::string text = fork.purpose;
    std::string chain;
    for (size_t i = 0; i < std::min(fork.functions.size(), kFunctionsShown); ++i)
      chain += (i ? " <- " : "") + fork.functions[i];
    if (chain.empty()) chain = fork.object.empty() ? hex_text(fork.event.base.caller) : fork.object;
    if (text.empty()) return escaped(chain);
    return escaped(fmt::format("{}: {}", text, chain));
  }

  // A fork gives nothing back: a fall is what others did meanwhile.
  static bool was_observed(const Fork& fork) {
    return !fork.charge_kb && fork.committed_change_kb && *fork.committed_change_kb > 0;
  }

  std::string charge_text(const Fork& fork) const {
    if (fork.charge_kb) return kb_text(*fork.charge_kb);
    return was_observed(fork)
               ? fmt::format("~{} kB", grouped(static_cast<uint64_t>(*fork.committed_change_kb)))
               : "-";
  }

  std::string result_text(const Fork& fork) const {
    if (!fork.event.returned()) return "did not return";
    if (fork.event.failed()) return errno_name(fork.event.base.err);
    return fork.child ? fmt::format("{}", fork.child) : "unknown";
  }

  std::optional<Living> life_of(const Fork& fork) const {
    const auto process = children_.find(fork.event.position);
    if (fork.end || process == children_.end() || process->second.slot.pid != fork.child) return {};
    return living(log_, now_, process->second);
  }

  std::string end_of(const Fork& fork) const {
    const auto life = life_of(fork);
    return life ? living_text(*life) : fate_text(fork);
  }

  void write_table() {
    if (list_.forks().empty()) text_ += "no fork recorded\n";
    else write_forks();
    if (const uint64_t lost = log_.losses().vital_slots_overwritten)
      text_ += fmt::format(
          "{} slots of older forks, execs and exits were overwritten by newer ones\n", lost);
    for (const Process& p : list_.unseen_births())
      text_ += fmt::format("not seen: how {} started {} {} ({}): no recorded call did\n",
                           p.slot.parent_pid, p.slot.pid, escaped(p.comm()), escaped(p.exe()));
  }

  void write_forks() {
    Table table({"TIME", "PARENT", "CALL", "TOOK", "CHARGE", "CHILD", "LIVED", "END", "ASKED BY"},
                "lrlrrrrll");
    for (const Fork& f : list_.forks())
      table.row({clock_text(log_.posix_ns(f.event.base.begin_tick), 3),
                 fmt::format("{}", f.event.base.pid), std::string(call_name(f.event)),
                 f.event.returned() ? duration_text(duration_ns(f)) : "", charge_text(f),
                 result_text(f), f.end ? duration_text(life_ns(f)) : "", end_of(f), asked_by(f)});
    table.write(text_);
    if (std::any_of(list_.forks().begin(), list_.forks().end(), was_observed))
      text_ += "~: change of Committed_AS during the call, other processes' changes included\n";
    write_providers();
  }

  void write_providers() {
    for (const auto& [module, calls] : list_.providers())
      text_ += fmt::format("served by {}: {}\n", escaped(module), fmt::join(calls, ", "));
  }

  Json fork_json(const Fork& f) const {
    const EventBase& b = f.event.base;
    Json object{{"time", iso_text(log_.posix_ns(b.begin_tick))},
                {"position", f.event.position},
                {"pid", b.pid},
                {"tid", b.tid},
                {"comm", f.comm},
                {"call", call_name(f.event)}};
    if (!f.purpose.empty()) object["purpose"] = f.purpose;
    object["asked_by"] = f.functions;
    if (!f.object.empty()) object["object"] = f.object;
    object["failed"] = f.event.failed();
    if (f.event.failed()) object["errno"] = errno_name(b.err);
    object["duration_ns"] = f.event.returned() ? Json(duration_ns(f)) : Json();
    object["charge_kb"] = f.charge_kb ? Json(*f.charge_kb) : Json();
    object["committed_as_change_kb"] =
        f.committed_change_kb ? Json(*f.committed_change_kb) : Json();
    if (f.event.returned() && !f.event.failed()) object["child"] = child_json(f);
    return object;
  }

  Json child_json(const Fork& f) const {
    Json child{{"pid", f.child ? Json(f.child) : Json()}};
    if (!f.program.empty()) child["program"] = f.program;
    if (f.unseen)
      child["unseen_program"] = {{"program", f.unseen->program}, {"why", f.unseen->why}};
    child["end"] = f.end ? Json(end_text(*f.end)) : Json();
    const auto life = life_of(f);
    child["alive_ns"] = life ? Json(life->alive_ns) : Json();
    child["stuck_futex"] = life && life->wait ? Json(hex_text(life->wait->futex)) : Json();
    if (!f.end) return child;
    if (f.end->status.value_or(0) != 0 && f.end->err)
      child["errno_at_exit"] = errno_name(f.end->err);
    child["end_seen_by"] = f.end->seen_by;
    child["lived_ns"] = life_ns(f);
    if (f.end->max_rss_kb) child["max_rss_kb"] = f.end->max_rss_kb;
    if (f.end->page_faults) child["page_faults"] = f.end->page_faults;
    return child;
  }

  const LogReader& log_;
  ForkList list_;
  HostNow now_;
  std::map<uint64_t, Process> children_;  // by the position of their fork
  std::string text_;
};

// What is not of the first log names its own.
void add_forks(Json& all, Json its) {
  for (const char* list : {"forks", "children_of_unseen_calls"})
    for (Json& entry : its[list]) {
      entry["log"] = its["log"];
      all[list].push_back(std::move(entry));
    }
}

}  // namespace

int forks(const ForksOptions& options) {
  const LogReader log(log_or_newest(options.log));
  const LogFamily family = family_of(log);
  ForksOutput first(log);
  bool failed = first.any_failed();
  Out out;
  Json all = options.json ? first.object() : Json();
  if (!options.json) out.text() += (family.others.empty() ? "" : heading(log)) + first.table();
  for (const Relative& relative : family.others) {
    ForksOutput theirs(*relative.log);
    failed |= theirs.any_failed();
    if (options.json) add_forks(all, theirs.object());
    else out.text() += "\n" + heading(relative) + theirs.table();
  }
  if (options.json) out.text() += json_text(all, 2) + '\n';
  out.flush();
  return failed ? 1 : 0;
}

}  // namespace ovc
