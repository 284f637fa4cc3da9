// SPDX-License-Identifier: MIT
//
// `ovc forks`: each fork, who asked for it, what it took, and what became of the child.
#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "tools/call_text.h"
#include "tools/causes.h"
#include "tools/commands.h"
#include "tools/commit_rules.h"
#include "tools/ledger.h"
#include "tools/log_reader.h"
#include "tools/names.h"
#include "tools/output.h"
#include "tools/purposes.h"
#include "tools/shell_children.h"
#include "tools/symbols.h"
#include "tools/unseen_images.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr uint64_t kCloneThread = 0x10000;
constexpr uint64_t kWaitidPidArg = 5, kWaitidCodeArg = 3, kWaitidStatusArg = 4;
constexpr size_t kFunctionsShown = 3;

// How a child ended, as far as some record tells.
struct End {
  uint64_t tick = 0;
  std::string text;          // "exited, 0"
  std::string_view seen_by;  // "wait", "exit", "log"
  uint64_t max_rss_kb = 0;   // 0: not asked for
  uint64_t page_faults = 0;  // minor ones: each copied at most one page of the parent's, or a huge one. 0: not known
};

struct Fork {
  Event event;
  std::vector<std::string> functions;  // outside libc and the shim, innermost first
  std::string purpose, comm, object;
  std::optional<uint64_t> charge_kb;           // proven: from the list of mappings of a refused fork, or from the ledger
  std::optional<int64_t> committed_change_kb;  // observed
  std::string program;                         // the child's exec, if it came to a new image
  std::optional<UnseenImage> unseen;           // the child's last image, if it left no record
  std::optional<End> end;
  uint32_t child = 0;  // its pid; 0: none, or not known
};

bool is_fork(const Event& event) {
  const EventBase& b = event.base;
  const bool makes_thread =
      b.op == Op::kPthreadCreate || b.op == Op::kThrdCreate || (b.op == Op::kClone && (b.args[0] & kCloneThread));
  return is_fork_op(b.op) && !makes_thread;
}

std::string_view call_name(const Event& event) {
  const EventBase& b = event.base;
  if (b.op == Op::kClone && (b.flags & kInsideLibc)) return "clone in libc";
  return op_name(b.op);
}

std::string wait_text(int status) {
  std::string text;
  append_wait_status(text, status);
  return text;
}

class Forks {
 public:
  explicit Forks(const LogReader& log) : log_(log), symbols_(log), rules_(host_rules(log)) {}

  int run(bool json) {
    collect();
    for (UnseenImage& image : unseen_images(log_)) unseen_images_[image.pid].push_back(std::move(image));
    for (Fork& fork : forks_) complete(fork);
    charge_granted();
    json ? write_json() : write_table();
    out_.flush();
    const bool found = std::any_of(forks_.begin(), forks_.end(), [](const Fork& f) { return f.event.failed(); });
    return found ? 1 : 0;
  }

 private:
  void collect() {
    for (const Process& p : log_.processes()) processes_[p.slot.fork_position].push_back(p);
    log_.for_each_event([this](const Event& event) {
      note(event);
      return true;
    });
    const auto by_time = [](const Fork& a, const Fork& b) { return a.event.base.begin_tick < b.event.base.begin_tick; };
    std::stable_sort(forks_.begin(), forks_.end(), by_time);
    drop_inner_clones();
    for (Fork& fork : forks_) fork.child = child_pid(fork.event);
    note_births();
    find_shell_children();
    births_.clear();
    note_births();
  }

  void note_births() {
    for (const Fork& fork : forks_)
      if (fork.child) births_[fork.child].push_back(fork.event.base.begin_tick);
  }

  // popen and its kin: a child that no other call made, whose first record is that of a new image.
  void find_shell_children() {
    std::vector<ShellCall> calls;
    for (const Fork& fork : forks_) {
      const EventBase& b = fork.event.base;
      if (starts_program(b.op) && fork.child == 0 && !fork.event.failed())
        calls.push_back({fork.event.position, b.pid, b.begin_tick, b.end_tick, b.op == Op::kSystem});
    }
    if (calls.empty()) return;
    std::vector<ShellChild> children;
    for (const Process& p : unseen_births()) {
      const auto images = images_.find(p.slot.pid);
      const bool spawned = images != images_.end() && !forked_.contains(p.slot.pid);
      if (spawned) children.push_back({p.slot.pid, p.slot.parent_pid, images->second.front().first});
    }
    const auto pairs = match_shell_children(std::move(calls), std::move(children));
    for (Fork& fork : forks_)
      if (const auto found = pairs.find(fork.event.position); found != pairs.end()) fork.child = found->second;
    std::erase_if(forks_, [](const Fork& fork) {  // it forks only where the words ask for a command
      return fork.event.base.op == Op::kWordexp && fork.child == 0 && !fork.event.failed();
    });
  }

  void note(const Event& event) {
    const EventBase& b = event.base;
    if (is_fork(event)) forks_.emplace_back().event = event;
    if (b.op >= Op::kWait && b.op <= Op::kWaitid && event.returned() && !event.failed()) note_wait(event);
    if (b.op == Op::kExit || b.op == Op::kUnderscoreExit)
      note_end(b.pid, {b.begin_tick, fmt::format("exited, {}", b.args[0] & 0xff), b.op == Op::kExit ? "exit" : "_exit", 0,
                       b.args[1] == kUnknown ? 0 : b.args[1]});
    if (b.op == Op::kAbort) note_end(b.pid, {b.begin_tick, "called abort", "abort", 0});
    // Also of images that a vfork led to: their slot does not know the call.
    if (b.op == Op::kEnd) note_end(b.pid, {b.begin_tick, "ended normally", "log", 0});
    if (b.op == Op::kSnapshot) snapshots_[b.args[0]] = event.fact(FactKey::kMapsAcKb);
    if (b.op == Op::kDaemon && event.returned() && !event.failed())  // misc/daemon.c: the parent's last act
      note_end(b.pid, {b.end_tick, "exited, 0", "daemon", 0});
    if (b.op == Op::kStart && (b.flags & kChildSide)) forked_.insert(b.pid);
    if (b.op == Op::kStart && !(b.flags & kChildSide)) images_[b.pid].emplace_back(b.begin_tick, event.text);
    for (const Fact& fact : event.facts) note_provider(event, fact);
  }

  // Children of recorded processes that no recorded call made: popen, system, raw clone.
  std::vector<Process> unseen_births() const {
    std::vector<Process> list;
    if (log_.losses().vital_slots_overwritten != 0) return list;  // the call may have been overwritten
    std::set<uint32_t> known;
    const std::vector<Process> all = log_.processes();
    for (const Process& p : all) known.insert(p.slot.pid);
    for (const Process& p : all)
      if (known.contains(p.slot.parent_pid) && !births_.contains(p.slot.pid) && p.slot.fork_position == kUnknown)
        list.push_back(p);
    return list;
  }

  void note_end(uint32_t pid, End end) { ends_[pid].push_back(std::move(end)); }

  void note_wait(const Event& event) {
    const EventBase& b = event.base;
    if (b.op == Op::kWaitid) {
      const auto code = b.args[kWaitidCodeArg], status = b.args[kWaitidStatusArg];
      if (code < CLD_EXITED || code > CLD_DUMPED) return;
      const std::string text =
          code == CLD_EXITED ? fmt::format("exited, {}", status) : "killed by " + signal_name(static_cast<unsigned>(status));
      return note_end(static_cast<uint32_t>(b.args[kWaitidPidArg]), {b.end_tick, text, "wait", 0});
    }
    const int status = static_cast<int>(b.args[2]);
    const bool has_usage = b.op == Op::kWait3 || b.op == Op::kWait4;
    if (b.result > 0 && (WIFEXITED(status) || WIFSIGNALED(status)))
      note_end(static_cast<uint32_t>(b.result),
               {b.end_tick, wait_text(status), "wait", has_usage && b.args[3] != kUnknown ? b.args[3] : 0});
  }

  void note_provider(const Event& event, const Fact& fact) {
    const uint32_t op = fact.key - static_cast<uint32_t>(FactKey::kProviderBase);
    if (op < static_cast<uint32_t>(Op::kFork) || op > static_cast<uint32_t>(Op::kClone)) return;
    const std::string module = symbols_.module_of(event.base.image, fact.value);
    if (!module.empty()) providers_[module].insert(op_name(static_cast<Op>(op)));
  }

  // libc's clone beneath a fork that is recorded itself.
  void drop_inner_clones() {
    std::map<std::pair<uint32_t, uint32_t>, const Fork*> outer;
    std::vector<Fork> kept;
    kept.reserve(forks_.size());
    for (Fork& fork : forks_) {
      const EventBase& b = fork.event.base;
      const Fork*& last = outer[{b.pid, b.tid}];
      const bool inner =
          last && (b.flags & kInsideLibc) && (!last->event.returned() || last->event.base.end_tick >= b.begin_tick);
      if (inner) continue;
      kept.push_back(std::move(fork));
      last = &kept.back();
    }
    forks_ = std::move(kept);
  }

  void complete(Fork& fork) {
    const EventBase& b = fork.event.base;
    const Asker asker = asker_of(log_, symbols_, fork.event);
    fork.comm = asker.comm;
    fork.object = asker.object;
    fork.purpose = purpose(asker).value_or("");
    for (const Frame& frame : symbols_.stack(b.image, fork.event.frames))
      if (!frame.function.empty() && !is_plumbing(frame.module)) fork.functions.push_back(frame.function);
    const auto snapshot = snapshots_.find(fork.event.position);
    const bool listed = snapshot != snapshots_.end() && copies_memory(fork.event);
    fork.charge_kb = listed ? snapshot->second : charge_kb(fork.event, rules_);
    const bool spawn = b.op == Op::kPosixSpawn || b.op == Op::kPosixSpawnp;
    if (spawn && !fork.event.failed())
      fork.charge_kb = 0;  // libc shares the memory until the exec (glibc 2.24 and later, musl)
    const uint64_t after = b.args[5], before = b.before.committed_kb;
    const bool read = fork.event.returned() && !fork.event.failed() && after != 0 && after != kUnknown && before != kUnknown;
    if (read) fork.committed_change_kb = static_cast<int64_t>(after) - static_cast<int64_t>(before);
    if (fork.child) find_life(fork);
  }

  // Of a granted fork no list of mappings was taken: its charge follows from the calls before it, and is given where the size
  // that the kernel had just then is the replay's.
  void charge_granted() {
    const Ledger ledger(log_);
    for (const LedgerProcess& process : ledger.processes()) {
      std::vector<Fork*> asked;
      std::vector<uint64_t> ticks;
      for (Fork& fork : forks_) {
        const EventBase& b = fork.event.base;
        if (b.process != process.index || b.process_serial != process.serial || fork.charge_kb || fork.event.failed()) continue;
        if (!copies_memory(fork.event)) continue;
        asked.push_back(&fork);
        ticks.push_back(b.begin_tick);
      }
      ledger.at_each(process, ticks, [&](size_t i, const LedgerState& state) {
        const Bounds charge = state.space.totals().at_fork;
        const bool checked = state.size && state.size->tick == ticks[i];
        if (checked && state.exact() && charge.exact()) asked[i]->charge_kb = charge.low;
      });
    }
  }

  // The same pid can come again: what lies between this fork and the next with that result belongs to this child.
  void find_life(Fork& fork) {
    const uint32_t pid = fork.child;
    const uint64_t from = fork.event.base.begin_tick, to = next_birth(pid, from);
    for (const auto& [tick, exe] : images_[pid])
      if (tick > from && tick < to) fork.program = exe;
    for (const UnseenImage& image : unseen_images_[pid])
      if (image.tick >= from && image.tick < to) fork.unseen = image;
    uint64_t faults = 0;
    for (const End& end : ends_[pid]) {
      if (end.tick <= from || end.tick >= to) continue;
      faults = std::max(faults, end.page_faults);
      if (fork.end && end.seen_by != "wait") continue;
      const uint64_t tick = fork.end ? std::min(fork.end->tick, end.tick) : end.tick;
      fork.end = end;         // what the parent was told counts,
      fork.end->tick = tick;  // but it may have asked late
    }
    if (fork.end) fork.end->page_faults = faults;
    if (fork.end) return;
    for (const Process& p : processes_[fork.event.position]) {
      if (p.slot.pid != pid || !p.slot.end_tick) continue;
      fork.end = End{p.slot.end_tick,
                     p.slot.exit_known ? fmt::format("exited, {}", p.slot.exit_status & 0xff) : "ended normally", "log", 0};
    }
  }

  uint64_t next_birth(uint32_t pid, uint64_t after) const {
    const auto ticks = births_.find(pid);
    if (ticks == births_.end()) return UINT64_MAX;
    const auto next = std::upper_bound(ticks->second.begin(), ticks->second.end(), after);
    return next == ticks->second.end() ? UINT64_MAX : *next;
  }

  int64_t duration_ns(const Fork& fork) const {
    return log_.ticks_to_ns(static_cast<int64_t>(fork.event.base.end_tick - fork.event.base.begin_tick));
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

  std::string charge_text(const Fork& fork) const {
    if (fork.charge_kb) return kb_text(*fork.charge_kb);
    if (!fork.committed_change_kb) return "-";
    const int64_t change = *fork.committed_change_kb;
    return fmt::format("~{}{} kB", change < 0 ? "-" : "", grouped(static_cast<uint64_t>(change < 0 ? -change : change)));
  }

  std::string result_text(const Fork& fork) const {
    if (!fork.event.returned()) return "did not return";
    if (fork.event.failed()) return errno_name(fork.event.base.err);
    return fork.child ? fmt::format("{}", fork.child) : "unknown";
  }

  std::string end_text(const Fork& fork) const {
    if (!fork.event.returned() || fork.event.failed()) return "";
    std::string text = fork.end ? fork.end->text : fork.child ? "no end recorded" : "";
    if (fork.end && fork.end->page_faults) text += fmt::format("; {} page faults", grouped(fork.end->page_faults));
    if (!fork.program.empty()) text += "; ran " + escaped(fork.program);
    if (fork.unseen) text += fmt::format("; ran {}, not seen: {}", escaped(fork.unseen->program), escaped(fork.unseen->why));
    return text;
  }

  void write_table() {
    if (forks_.empty()) out_.text() += "no fork recorded\n";
    else write_forks();
    if (const uint64_t lost = log_.losses().vital_slots_overwritten)
      out_.text() += fmt::format("{} slots of older forks, execs and ends were overwritten by newer ones\n", lost);
    for (const Process& p : unseen_births())
      out_.text() += fmt::format("not seen: how {} made {} {} ({}): popen, system or a raw clone\n", p.slot.parent_pid,
                                 p.slot.pid, escaped(p.comm()), escaped(p.exe()));
  }

  void write_forks() {
    Table table({"TIME", "PARENT", "CALL", "TOOK", "CHARGE", "CHILD", "LIVED", "END", "ASKED BY"}, "lrlrrrrll");
    for (const Fork& f : forks_)
      table.row({clock_text(log_.posix_ns(f.event.base.begin_tick), 3), fmt::format("{}", f.event.base.pid),
                 std::string(call_name(f.event)), f.event.returned() ? duration_text(duration_ns(f)) : "", charge_text(f),
                 result_text(f), f.end ? duration_text(life_ns(f)) : "", end_text(f), asked_by(f)});
    table.write(out_.text());
    if (std::any_of(forks_.begin(), forks_.end(), [](const Fork& f) { return !f.charge_kb && f.committed_change_kb; }))
      out_.text() += "~: observed change of Committed_AS over the call, what other processes did meanwhile included\n";
    write_providers();
  }

  void write_providers() {
    for (const auto& [module, calls] : providers_)
      out_.text() += fmt::format("served by {}: {}\n", escaped(module), fmt::join(calls, ", "));
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
    object["committed_as_change_kb"] = f.committed_change_kb ? Json(*f.committed_change_kb) : Json();
    if (f.event.returned() && !f.event.failed()) object["child"] = child_json(f);
    return object;
  }

  Json child_json(const Fork& f) const {
    Json child{{"pid", f.child ? Json(f.child) : Json()}};
    if (!f.program.empty()) child["program"] = f.program;
    if (f.unseen) child["unseen_program"] = {{"program", f.unseen->program}, {"why", f.unseen->why}};
    child["end"] = f.end ? Json(f.end->text) : Json();
    if (!f.end) return child;
    child["end_seen_by"] = f.end->seen_by;
    child["lived_ns"] = life_ns(f);
    if (f.end->max_rss_kb) child["max_rss_kb"] = f.end->max_rss_kb;
    if (f.end->page_faults) child["page_faults"] = f.end->page_faults;
    return child;
  }

  void write_json() {
    Json list = Json::array();
    for (const Fork& fork : forks_) list.push_back(fork_json(fork));
    Json unseen = Json::array();
    for (const Process& p : unseen_births())
      unseen.push_back({{"pid", p.slot.pid}, {"parent_pid", p.slot.parent_pid}, {"comm", p.comm()}, {"exe", p.exe()}});
    out_.text() +=
        json_text({{"log", log_.path()}, {"forks", list}, {"children_of_unseen_calls", unseen}, {"served_by", providers_}}, 2) +
        '\n';
  }

  const LogReader& log_;
  Symbols symbols_;
  HostRules rules_;
  Out out_;
  std::vector<Fork> forks_;
  std::map<uint32_t, std::vector<uint64_t>> births_;                          // child pid -> its forks, by time
  std::map<uint32_t, std::vector<End>> ends_;                                 // by pid
  std::map<uint32_t, std::vector<std::pair<uint64_t, std::string>>> images_;  // pid -> start of an image, its exe
  std::map<uint32_t, std::vector<UnseenImage>> unseen_images_;                // by pid
  std::set<uint32_t> forked_;                                                 // pids that began as a copy of their parent
  std::map<uint64_t, std::optional<uint64_t>> snapshots_;                     // position of the failed call -> charge
  std::map<uint64_t, std::vector<Process>> processes_;                        // by fork position
  std::map<std::string, std::set<std::string_view>> providers_;               // module -> calls that it serves
};

}  // namespace

int forks(const ForksOptions& options) {
  const LogReader log(log_or_newest(options.log));
  return Forks(log).run(options.json);
}

}  // namespace ovc
