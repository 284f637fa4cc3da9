// SPDX-License-Identifier: MIT
//
// Which ends are worth telling: those that process_end.h calls suspicious, and quietly those of
// which nothing is recorded; with what the kernel's counters of OOM kills say of that time.
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <tuple>

#include "tools/log/kernel_numbers.h"
#include "tools/log/names.h"
#include "tools/text/output.h"
#include "tools/verdict/bus_errors.h"
#include "tools/verdict/exit_sight.h"
#include "tools/verdict/group_kill.h"
#include "tools/verdict/lost_kills.h"
#include "tools/verdict/why_report.h"

namespace ovc {
namespace {

using ovcshim::ProcessSlot;

// ---- the machine now ----

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<uint64_t> to_number(std::string_view text) {
  uint64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() ? std::optional(value) : std::nullopt;
}

std::optional<uint64_t> vmstat_oom_kills() {
  std::ifstream file("/proc/vmstat");
  std::string name;
  uint64_t value = 0;
  while (file >> name >> value)
    if (name == "oom_kill") return value;
  return std::nullopt;
}

uint64_t own_pidns() {
  struct stat info {};
  return stat("/proc/self/ns/pid", &info) == 0 ? info.st_ino : 0;
}

struct LivingProcess {
  uint64_t start_ticks;
  uint32_t pid;  // in its own pid namespace
  auto operator<=>(const LivingProcess&) const = default;
};

// Field 22 of /proc/PID/stat; nullopt for a zombie, which has ended.
std::optional<uint64_t> start_ticks(const std::string& directory) {
  const std::string line = first_line(directory + "/stat");
  const size_t after_comm = line.rfind(')');
  if (after_comm == line.npos) return std::nullopt;
  std::istringstream fields(line.substr(after_comm + 1));
  std::string field;
  for (int i = 3; i <= 22 && fields >> field; ++i)
    if (i == 3 && (field == "Z" || field == "X")) return std::nullopt;
  return to_number(field);
}

// The last number of NSpid: the process id as the process itself sees it.
std::optional<uint32_t> inner_pid(const std::string& directory) {
  std::ifstream file(directory + "/status");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("NSpid:")) continue;
    const auto pid = to_number(std::string_view(line).substr(line.find_last_of(" \t") + 1));
    return pid ? std::optional(static_cast<uint32_t>(*pid)) : std::nullopt;
  }
  return std::nullopt;
}

std::set<LivingProcess> living_processes() {
  std::set<LivingProcess> living;
  std::error_code error;
  for (std::filesystem::directory_iterator it("/proc", error), end; !error && it != end;
       it.increment(error)) {
    if (!to_number(it->path().filename().string())) continue;
    const auto ticks = start_ticks(it->path());
    const auto pid = inner_pid(it->path());
    if (ticks && pid) living.insert({*ticks, *pid});
  }
  return living;
}

// We see every process if we are in the initial pid namespace; of our own namespace also those that
// /proc hides.
HostNow::Alive look_for(const ProcessSlot& slot, const std::set<LivingProcess>& living,
                        uint64_t pidns) {
  if (living.contains({slot.start_ticks, slot.pid})) return HostNow::Alive::kYes;
  if (slot.pidns == pidns && kill(static_cast<pid_t>(slot.pid), 0) != 0 && errno == EPERM)
    return HostNow::Alive::kUnknown;
  return slot.pidns == pidns || pidns == kInitialPidNs ? HostNow::Alive::kNo
                                                       : HostNow::Alive::kUnknown;
}

// ---- OOM kills ----

struct Window {
  std::optional<uint64_t> before, after;  // counter readings around a death
  uint64_t from_tick = 0, to_tick = 0;    // to_tick 0: now
};

// The process died after `alive_tick`, and before `dead_tick` if that is known; 0: some time before
// now.
Window host_kills_around(const WhyScan& scan, uint64_t alive_tick, uint64_t dead_tick,
                         std::optional<uint64_t> now_kills) {
  Window window;
  for (const auto& reading : scan.oom()) {
    if (!reading.host_kills) continue;
    if (reading.tick <= alive_tick && reading.tick >= window.from_tick) {
      window.before = reading.host_kills;
      window.from_tick = reading.tick;
    } else if (dead_tick != 0 && reading.tick >= dead_tick &&
               (window.to_tick == 0 || reading.tick < window.to_tick)) {
      window.after = reading.host_kills;
      window.to_tick = reading.tick;
    }
  }
  if (window.to_tick == 0) window.after = now_kills;
  return window;
}

std::string oom_note(const LogReader& log, const Window& w) {
  const std::string to = w.to_tick ? clock_text(log.posix_ns(w.to_tick), 3) : "now";
  const std::string span =
      fmt::format("between {} and {}", clock_text(log.posix_ns(w.from_tick), 3), to);
  if (*w.after == *w.before)
    return fmt::format(
        "not the kernel's OOM killer: the host counted no OOM kill {} (/proc/vmstat oom_kill = {})",
        span, *w.before);
  return fmt::format("the host counted {} OOM kill{} {} (/proc/vmstat oom_kill {} -> {})",
                     *w.after - *w.before, *w.after - *w.before == 1 ? "" : "s", span, *w.before,
                     *w.after);
}

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
      : log_(log), scan_(scan), symbols_(symbols), now_(now) {}

  EndsFound all() {
    for (const auto& process : log_.processes()) look_at(process);
    for (const auto& [pid, signs] : scan_.ends().told())
      for (const EndSign& told : signs)
        if (!told_.contains(told.position)) look_at(told);
    fold_passed_on();
    name_group_kills();
    return {collapsed(std::move(found_)), collapsed(std::move(quiet_))};
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
    const ProcessEnd end = scan_.ends().of(log_, process);
    if (end.told) mark_told(*end.told, slot.start_tick);
    const Seen seen{process.comm(), slot.pid, key, last, slot.start_tick};
    if (is_suspicious(end)) {
      add_suspicious(end, seen);
      if (end.signal == SIGABRT)
        add_shadow_memory(log_, scan_, symbols_, process, found_.back().ending.notes);
      return;
    }
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
    if (is_suspicious(end))
      add_suspicious(end,
                     {base_name(scan_.ends().image_of(told.pid, told.tick)), told.pid, {}, 0, 0});
  }

  // waitid(WNOWAIT) and the wait after it tell of the same end.
  void mark_told(const EndSign& told, uint64_t from) {
    const uint64_t to = scan_.ends().next_birth(told.pid, from);
    for (const EndSign& sign : scan_.ends().told().at(told.pid))
      if (sign.tick > from && sign.tick < to) told_.insert(sign.position);
    told_.insert(told.position);
  }

  bool is_gone(const ProcessSlot& slot) const {
    if (!same_boot(log_, now_))
      return true;  // it did not survive the reboot, whatever happened before
    return now_.alive && now_.alive(slot) == HostNow::Alive::kNo;
  }

  void add_suspicious(const ProcessEnd& end, const Seen& seen) {
    Ending ending;
    ending.id = end.signal == SIGABRT ? kAborted : kKilled;
    ending.comm = seen.comm;
    ending.pid = seen.pid;
    ending.by_wait = end.seen_by == "wait";
    ending.tick = ending.by_wait ? end.told->tick : end.tick;
    ending.exact = true;
    ending.signal = end.signal;
    if (end.signal == SIGKILL && ending.by_wait)
      ending.notes = group_kill_notes(scan_, log_, end.told->position);
    // and its group does not say so already
    if (end.signal == SIGKILL && ending.notes.empty()) add_oom_notes(ending, seen, ending.tick);
    if (end.signal == SIGBUS)
      ending.notes = bus_error_notes(log_, seen.pid, seen.born, ending.tick);
    if (end.signal == SIGSYS)
      ending.notes.emplace_back(
          "SIGSYS: a seccomp filter refused a system call. It may have been one that the shim "
          "made, not the program: see whether it also dies with OVCSHIM=0");
    found_.push_back({std::move(ending), end.told, seen.last_tick});
  }

  void add_not_recorded(const Process& process, const Seen& seen) {
    Ending ending;
    ending.id = kNotRecorded;
    ending.comm = seen.comm;
    ending.pid = seen.pid;
    ending.tick = seen.last_tick;
    ending.reason = exit_unseen(log_, scan_.ends(), symbols_, process);
    if (!now_.boot_id.empty() && !same_boot(log_, now_))
      ending.notes.emplace_back(
          "the machine has been started anew since: a crash or power cut looks the same");
    auto kills = same_boot(log_, now_) ? kills_since(log_, scan_, seen.key) : std::nullopt;
    if (kills) ending.notes = kills->notes;
    else add_oom_notes(ending, seen, 0);
    add_shadow_memory(log_, scan_, symbols_, process, ending.notes);
    quiet_.push_back({std::move(ending), std::nullopt, seen.last_tick, std::move(kills)});
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
      found_.push_back(std::move(found));
      found.ending.id = "";
    }
    std::erase_if(quiet_, [](const Found& found) { return found.ending.id.empty(); });
  }

  void add_oom_notes(Ending& ending, const Seen& seen, uint64_t dead_tick) {
    const auto window = host_kills_around(scan_, seen.last_tick, dead_tick,
                                          same_boot(log_, now_) ? now_.oom_kills : std::nullopt);
    const bool counted = window.before && window.after && *window.after >= *window.before;
    if (counted && (dead_tick != 0 || *window.after > *window.before))
      ending.notes.push_back(oom_note(log_, window));
    add_group_note(scan_, seen.key, ending);
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

  // One entry for all that went the same way; what is said of the first holds for the others.
  static std::vector<Ending> collapsed(std::vector<Found> all) {
    std::map<std::tuple<std::string_view, std::string, int, std::string>, size_t> places;
    std::vector<Ending> kept;
    std::stable_sort(all.begin(), all.end(),
                     [](const Found& a, const Found& b) { return a.ending.tick < b.ending.tick; });
    for (auto& [ending, told, last, kills] : all) {
      const auto [place, fresh] =
          places.try_emplace({ending.id, ending.comm, ending.signal, ending.reason}, kept.size());
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
  std::vector<Found> found_, quiet_;
  std::set<uint64_t> told_;  // positions of waits
};

}  // namespace

HostNow host_now() {
  HostNow now;
  now.boot_id = first_line("/proc/sys/kernel/random/boot_id");
  now.mode = to_number(first_line("/proc/sys/vm/overcommit_memory"));
  now.oom_kills = vmstat_oom_kills();
  now.alive = [pidns = own_pidns(),
               living = std::optional<std::set<LivingProcess>>()](const ProcessSlot& slot) mutable {
    if (!living) living = living_processes();
    return look_for(slot, *living, pidns);
  };
  return now;
}

HostNow::Alive is_alive(const ProcessSlot& slot, const HostNow& now) {
  static const uint64_t pidns = own_pidns();
  if (slot.pidns != pidns) return now.alive(slot);
  const std::string directory = fmt::format("/proc/{}", slot.pid);
  if (const auto ticks = start_ticks(directory))
    return *ticks == slot.start_ticks ? HostNow::Alive::kYes : HostNow::Alive::kNo;
  return look_for(slot, {}, pidns);
}

EndsFound find_endings(const LogReader& log, const WhyScan& scan, Symbols& symbols,
                       const HostNow& now) {
  return Endings(log, scan, symbols, now).all();
}

}  // namespace ovc
