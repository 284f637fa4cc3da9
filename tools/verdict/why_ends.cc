// SPDX-License-Identifier: MIT
//
// Which ends are worth telling: those that process_end.h calls suspicious, and quietly those of
// which nothing is recorded; with what the kernel's counters of OOM kills say of that time.
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "tools/log/names.h"
#include "tools/text/output.h"
#include "tools/verdict/bus_errors.h"
#include "tools/verdict/exit_sight.h"
#include "tools/verdict/group_kill.h"
#include "tools/verdict/host_kills.h"
#include "tools/verdict/log_setting.h"
#include "tools/verdict/lost_kills.h"
#include "tools/verdict/probe_kills.h"
#include "tools/verdict/senders.h"
#include "tools/verdict/why_report.h"

namespace ovc {
namespace {

using ovcshim::ProcessSlot;

// The counter of the process's own control group, between its readings in the log.
void add_group_note(const WhyScan& scan, const ProcessKey& key, Ending& ending) {
  std::optional<uint64_t> first, last;
  for (const auto& reading : scan.oom()) {
    if (reading.process != key || !reading.group_kills) continue;
    if (!first) first = reading.group_kills;
    last = reading.group_kills;
  }
  if (first && *last > *first)
    ending.notes.push_back(fmt::format(
        "its control group counted {} OOM kills while it was recorded", *last - *first));
}

// ---- endings ----

constexpr std::string_view kKilled = "killed-by-signal", kAborted = "aborted",
                           kNotRecorded = "no-exit-recorded";

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

class Endings {
 public:
  Endings(const LogReader& log, const WhyScan& scan, Symbols& symbols, const HostNow& now)
      : log_(log), scan_(scan), symbols_(symbols), now_(now), senders_(log) {}

  EndsFound all() {
    for (const auto& process : log_.processes()) look_at(process);
    for (const auto& [pid, signs] : scan_.ends().told())
      for (const EndSign& told : signs)
        if (!told_.contains(told.position)) look_at(told);
    fold_passed_on();
    set_probes_aside();
    name_group_kills();
    return {collapsed(std::move(found_)), collapsed(std::move(quiet_)),
            collapsed(std::move(asked_))};
  }

 private:
  struct Seen {  // what is known of the process besides how it ended
    std::string comm;
    uint32_t pid = 0;
    ProcessKey key;
    uint64_t last_tick = 0, born = 0;
  };

  void look_at(const Process& process) {
    const ProcessSlot& slot = process.slot;
    const ProcessKey key{process.index, slot.serial, 0};
    const auto signs = scan_.processes().find(key);
    const uint64_t last = signs == scan_.processes().end() ? 0 : signs->second.last_tick;
    ProcessEnd end = scan_.ends().of(log_, process);
    const auto& run = now_.waited_for;
    if (end.kind == EndKind::kNotRecorded && run && run->pid == slot.pid && run->status)
      end = end_of_status(slot.pid, *run->status);
    if (end.told) mark_told(*end.told, slot.start_tick);
    const Seen seen{process.comm(), slot.pid, key, last, slot.start_tick};
    if (is_suspicious(end)) {
      add_suspicious(end, seen);
      if (end.signal != SIGKILL) add_shadow_memory(process, found_.back().ending);
      return;
    }
    if (is_asked_for(end)) return add_asked(end, seen);
    const bool unseen_image = scan_.exec_tick(slot.pid) >= slot.start_tick && slot.start_tick != 0;
    if (end.kind != EndKind::kNotRecorded || unseen_image || last == 0 || !is_gone(slot)) return;
    // It may have ended between the reading of its records and the look for it.
    const auto again = log_.process(process.index, slot.serial);
    if (!again || again->slot.end_tick != slot.end_tick || again->slot.images != slot.images)
      return;
    add_not_recorded(process, seen);
  }

  // Of a child that has no place in the table, or no longer.
  void look_at(const EndSign& told) {
    if (told_.contains(told.position)) return;
    const uint64_t to = scan_.ends().next_birth(told.pid, told.tick);
    mark_told(told, told.tick - 1);
    const ProcessEnd end = scan_.ends().of(told.pid, told.tick - 1, to);
    if (is_suspicious(end)) add_suspicious(end, unlisted(told));
    else if (is_asked_for(end)) add_asked(end, unlisted(told));
  }

  Seen unlisted(const EndSign& told) const {
    return {base_name(scan_.ends().image_of(told.pid, told.tick)), told.pid, {}, 0, 0};
  }

  // How one asks a program to end, or a pipe that nobody reads any more, an alarm.
  static bool is_asked_for(const ProcessEnd& end) {
    return end.kind == EndKind::kKilled && end.told && !is_suspicious(end);
  }

  void add_sender(const Seen& seen, uint64_t to, Ending& ending) {
    const auto sender = senders_.of(seen.pid, ending.signal, seen.born, to, symbols_);
    if (!sender) return;
    ending.sent_by = sender_text(log_, *sender);
    ending.sender_pid = sender->pid;
  }

  void add_asked(const ProcessEnd& end, const Seen& seen) {
    Ending ending;
    ending.id = kKilled;
    ending.comm = seen.comm;
    ending.pid = seen.pid;
    ending.by_wait = ending.exact = true;
    ending.tick = end.told->tick;
    ending.signal = end.signal;
    add_sender(seen, ending.tick, ending);
    asked_.push_back({std::move(ending), end.told, seen.last_tick, {}});
  }

  // waitid(WNOWAIT) and the wait after it tell of the same end.
  void mark_told(const EndSign& told, uint64_t from) {
    const uint64_t to = scan_.ends().next_birth(told.pid, from);
    for (const EndSign& sign : scan_.ends().told().at(told.pid))
      if (sign.tick > from && sign.tick < to) told_.insert(sign.position);
    told_.insert(told.position);
  }

  bool is_gone(const ProcessSlot& slot) const {
    if (other_boot(log_, now_))
      return true;  // it did not survive the reboot, whatever happened before
    return same_boot(log_, now_) && now_.alive && now_.alive(slot) == HostNow::Alive::kNo;
  }

  void add_suspicious(const ProcessEnd& end, const Seen& seen) {
    Ending ending;
    ending.id = end.signal == SIGABRT ? kAborted : kKilled;
    ending.comm = seen.comm;
    ending.pid = seen.pid;
    ending.by_wait = end.seen_by == "wait";
    ending.by_run = end.seen_by == "run";
    ending.tick = ending.by_wait ? end.told->tick : ending.by_run ? seen.last_tick : end.tick;
    ending.exact = !ending.by_run;
    ending.signal = end.signal;
    if (ending.by_run) add_sender(seen, UINT64_MAX, ending);
    if (ending.by_wait) add_sender(seen, ending.tick, ending);
    if (end.signal == SIGKILL && ending.by_wait && ending.sent_by.empty())
      ending.notes = group_kill_notes(scan_, log_, end.told->position);
    // and its group does not say so already
    if (end.signal == SIGKILL && ending.notes.empty() && ending.sent_by.empty()) {
      if (!add_oom_notes(ending, seen, ending.exact ? ending.tick : 0))
        add_outside_notes(end, ending);
    }
    if (end.signal == SIGBUS)
      ending.notes = bus_error_notes(log_, seen.pid, seen.born, ending.tick);
    if (end.kind == EndKind::kAborted && end.asked) add_abort(*end.asked, seen, ending);
    if (end.signal == SIGSYS)
      ending.notes.emplace_back(
          "SIGSYS: a seccomp filter refused a system call. It may have been one that the shim "
          "made, not the program: see whether it also dies with OVCSHIM=0");
    found_.push_back({std::move(ending), end.told, seen.last_tick});
  }

  // Who gave up. V8 does so at the limit of its own heap, too, which no call of the process meets.
  void add_abort(uint64_t position, const Seen& seen, Ending& ending) {
    constexpr size_t kFunctions = 6;
    const auto call = log_.event_at(position);
    if (!call || call->base.op != Op::kAbort) return;
    ending.callers = caller_names(symbols_, call->base.image, call->frames, kFunctions);
    const auto signs = scan_.processes().find(seen.key);
    const bool nothing_refused = signs != scan_.processes().end() && signs->second.failures == 0;
    const auto gives_up = [](const std::string& name) {
      return name.find("FatalProcessOutOfMemory") != std::string::npos;
    };
    if (nothing_refused && std::any_of(ending.callers.begin(), ending.callers.end(), gives_up))
      ending.notes.emplace_back(
          "no call of it was refused: V8 met the limit of its own heap (node "
          "--max-old-space-size=MIB)");
  }

  void add_not_recorded(const Process& process, const Seen& seen) {
    Ending ending;
    ending.id = kNotRecorded;
    ending.comm = seen.comm;
    ending.pid = seen.pid;
    ending.tick = seen.last_tick;
    ending.reason = exit_unseen(log_, scan_.ends(), symbols_, process);
    if (other_boot(log_, now_))
      ending.notes.emplace_back(
          "the machine has been started anew since: a crash or power cut looks the same");
    add_sender(seen, UINT64_MAX, ending);
    const bool by_group = ending.sent_by.empty() && same_boot(log_, now_);
    auto kills = by_group ? kills_since(log_, scan_, seen.key) : std::nullopt;
    if (kills) ending.notes = kills->notes;
    else if (ending.sent_by.empty()) add_oom_notes(ending, seen, 0);
    add_shadow_memory(process, ending);
    quiet_.push_back({std::move(ending), std::nullopt, seen.last_tick, std::move(kills)});
  }

  void add_shadow_memory(const Process& process, Ending& ending) {
    std::string suspect = shadow_suspect(log_, scan_, symbols_, process);
    if (!suspect.empty()) ending.notes.push_back(std::move(suspect));
  }

  // As many processes of a group are gone as its OOM killer counted and nobody was told of: it was
  // these.
  void name_group_kills() {
    std::map<uint64_t, uint64_t> gone;
    for (const Found& found : quiet_)
      if (found.kills) ++gone[found.kills->group];
    for (Found& found : quiet_) {
      if (!found.kills || found.kills->explained + gone[found.kills->group] > found.kills->kills)
        continue;
      found_.push_back(found);
      found.ending.id = "";
    }
    std::erase_if(quiet_, [](const Found& found) { return found.ending.id.empty(); });
  }

  // True if somebody was killed for memory meanwhile.
  bool add_oom_notes(Ending& ending, const Seen& seen, uint64_t dead_tick) {
    const auto window = host_kills_around(scan_, seen.last_tick, dead_tick,
                                          same_boot(log_, now_) ? now_.oom_kills : std::nullopt);
    const bool counted = window.before && window.after && *window.after >= *window.before;
    if (counted && (dead_tick != 0 || *window.after > *window.before))
      ending.notes.push_back(oom_note(log_, window));
    add_group_note(scan_, seen.key, ending);
    return counted && *window.after > *window.before;
  }

  // Nobody in the log sent it: who could have, where it runs, and where that is written.
  void add_outside_notes(const ProcessEnd& end, Ending& ending) {
    const auto snapshot = end.told ? scan_.snapshot_about(end.told->position) : std::nullopt;
    ending.notes.emplace_back("no recorded call sent it");
    if (!snapshot) return;
    const std::string where = outside_text(setting_of(*snapshot));
    if (!where.empty()) ending.notes.push_back(where);
  }

  struct Found {
    Ending ending;
    std::optional<EndSign> told;
    uint64_t last_tick;  // of the process: its last record
    std::optional<GroupKills> kills = {};
  };

  // A program that waits for its child and, as the last it does, ends by the same signal (timeout,
  // wrappers) passes on how the child ended: one event, told once.
  void fold_passed_on() {
    std::stable_sort(found_.begin(), found_.end(),
                     [](const Found& a, const Found& b) { return a.ending.tick < b.ending.tick; });
    for (size_t i = 0; i < found_.size(); ++i) {
      const size_t outer = passed_on_by(found_[i]);
      if (outer == found_.size()) continue;
      found_[i].ending.notes.push_back(
          fmt::format("{} (pid {}), which waited for it, then ended by the same signal",
                      escaped(found_[outer].ending.comm), found_[outer].ending.pid));
      found_[outer].ending.id = "";
    }
    std::erase_if(found_, [](const Found& found) { return found.ending.id.empty(); });
    fold_silent_waiters();
  }

  // The same where nobody recorded waited for the one that waited: the last that is known of it is
  // that it was told of the end.
  void fold_silent_waiters() {
    for (Found& inner : found_)
      for (Found& outer : quiet_) {
        if (!inner.told || outer.ending.pid != inner.told->waiter_pid ||
            outer.last_tick > inner.told->tick || !outer.ending.sent_by.empty())
          continue;
        inner.ending.notes.push_back(
            fmt::format("{} (pid {}), which waited for it, did nothing after that: such programs "
                        "end by the same signal",
                        escaped(outer.ending.comm), outer.ending.pid));
        outer.ending.id = "";
      }
    std::erase_if(quiet_, [](const Found& found) { return found.ending.id.empty(); });
  }

  // Killed at once by the parent that made them, which was told of it: on purpose, and no finding.
  void set_probes_aside() {
    std::vector<OwnKill> kills;
    std::vector<size_t> places;
    for (size_t i = 0; i < found_.size(); ++i) {
      const auto& [ending, told, last_tick, group] = found_[i];
      if (ending.signal != SIGKILL || !told || ending.sender_pid != told->waiter_pid) continue;
      kills.push_back({told->waiter_pid, told->pid, told->tick});
      places.push_back(i);
    }
    find_probes(log_, kills);
    for (size_t i = 0; i < kills.size(); ++i)
      if (kills[i].is_probe) {
        Found& found = found_[places[i]];
        asked_.push_back(found);
        found.ending.id = "";
      }
    std::erase_if(found_, [](const Found& found) { return found.ending.id.empty(); });
  }

  size_t passed_on_by(const Found& inner) const {
    for (size_t i = 0; i < found_.size() && inner.told; ++i) {
      const Found& outer = found_[i];
      if (outer.ending.pid == inner.told->waiter_pid && outer.ending.by_wait &&
          outer.ending.signal == inner.ending.signal && !outer.ending.id.empty() &&
          outer.last_tick == inner.told->tick && outer.ending.tick >= inner.told->tick)
        return i;
    }
    return found_.size();
  }

  // Without the call, which names each one's pid.
  static std::string who_of(const std::string& sender) {
    return sender.substr(0, sender.find(": "));
  }

  // One entry for all that went the same way; what is said of the first holds for the others.
  static std::vector<Ending> collapsed(std::vector<Found> all) {
    std::map<std::tuple<std::string_view, std::string, int, std::string>, size_t> places;
    std::vector<Ending> kept;
    std::stable_sort(all.begin(), all.end(),
                     [](const Found& a, const Found& b) { return a.ending.tick < b.ending.tick; });
    for (auto& [ending, told, last, kills] : all) {
      const auto [place, fresh] = places.try_emplace(
          {ending.id, ending.comm, ending.signal, ending.reason + '\n' + who_of(ending.sent_by)},
          kept.size());
      ending.last_tick = ending.tick;
      if (fresh) {
        kept.push_back(std::move(ending));
        continue;
      }
      ++kept[place->second].count;
      kept[place->second].last_tick = std::max(kept[place->second].last_tick, ending.tick);
    }
    return kept;
  }

  const LogReader& log_;
  const WhyScan& scan_;
  Symbols& symbols_;
  const HostNow& now_;
  Senders senders_;
  std::vector<Found> found_, quiet_, asked_;
  std::set<uint64_t> told_;  // positions of waits
};

}  // namespace

EndsFound find_endings(const LogReader& log, const WhyScan& scan, Symbols& symbols,
                       const HostNow& now) {
  return Endings(log, scan, symbols, now).all();
}

}  // namespace ovc
