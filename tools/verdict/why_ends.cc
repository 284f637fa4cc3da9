// SPDX-License-Identifier: MIT
//
// How processes ended: what their parents' waits say, whether they said goodbye themselves, whether
// they are still there, and whether the kernel's counters of OOM kills moved around that time.
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <tuple>

#include "tools/log/names.h"
#include "tools/text/output.h"
#include "tools/verdict/group_kill.h"
#include "tools/verdict/why_report.h"

namespace ovc {
namespace {

using ovcshim::ProcessSlot;

constexpr uint64_t kInitialPidNs = 0xEFFFFFFC;
constexpr int kPlainSignals[] = {SIGHUP,  SIGINT,  SIGTERM, SIGUSR1,
                                 SIGUSR2, SIGPIPE, SIGALRM, SIGQUIT};

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

class Endings {
 public:
  Endings(const LogReader& log, const WhyScan& scan, const HostNow& now)
      : log_(log), scan_(scan), now_(now) {}

  std::vector<Ending> all() {
    for (const auto& process : log_.processes()) look_at(process);
    for (const auto& child : scan_.reaped())
      if (!told_.contains(child.position)) add_reaped(child, "", {}, 0);
    std::stable_sort(endings_.begin(), endings_.end(),
                     [](const Ending& a, const Ending& b) { return a.tick < b.tick; });
    return collapsed();
  }

 private:
  void look_at(const Process& process) {
    const ProcessKey key{process.index, process.slot.serial, 0};
    const auto found = scan_.processes().find(key);
    const ProcessSigns signs = found == scan_.processes().end() ? ProcessSigns{} : found->second;
    const uint32_t pid = process.slot.pid;
    if (signs.abort_tick)
      return add({"aborted", process.comm(), pid, *signs.abort_tick, true, SIGABRT, {}}, key, 0, 0);
    if (const ReapedChild* child = reaped(process.slot)) {
      told_.insert(child->position);
      if (!said_goodbye(process.slot)) add_reaped(*child, process.comm(), key, signs.last_tick);
      return;
    }
    const bool may_have_vanished =
        !said_goodbye(process.slot) && !signs.exec_intent && signs.events != 0;
    if (may_have_vanished && is_gone(process.slot)) add_vanished(process, signs, key);
  }

  static bool said_goodbye(const ProcessSlot& slot) {
    return slot.exit_known != 0 || slot.end_tick != 0 ||
           slot.use == static_cast<uint32_t>(ovcshim::SlotUse::kEnded) ||
           slot.use == static_cast<uint32_t>(ovcshim::SlotUse::kRetiring);
  }

  bool is_gone(const ProcessSlot& slot) const {
    if (!same_boot(log_, now_))
      return true;  // it did not survive the reboot, whatever happened before
    return now_.alive && now_.alive(slot) == HostNow::Alive::kNo;
  }

  const ReapedChild* reaped(const ProcessSlot& slot) const {
    for (const auto& child : scan_.reaped())
      if (child.pid == slot.pid && child.tick >= slot.start_tick && !told_.contains(child.position))
        return &child;
    return nullptr;
  }

  void add_reaped(const ReapedChild& child, const std::string& comm, const ProcessKey& key,
                  uint64_t alive_tick) {
    const int signal = child.status && WIFSIGNALED(*child.status) ? WTERMSIG(*child.status) : 0;
    if (signal == 0 || is_plain_signal(signal)) return;
    std::vector<std::string> notes;
    if (signal == SIGKILL) notes = group_kill_notes(scan_, log_, child.position);
    add({"killed-by-signal", comm, child.pid, child.tick, true, signal, std::move(notes)}, key,
        alive_tick, child.tick);
  }

  void add_vanished(const Process& process, const ProcessSigns& signs, const ProcessKey& key) {
    Ending ending{
        "ended-without-goodbye", process.comm(), process.slot.pid, signs.last_tick, false, 0, {}};
    if (!now_.boot_id.empty() && !same_boot(log_, now_))
      ending.notes.emplace_back(
          "the machine has been started anew since: a crash or power cut looks the same as a kill "
          "here");
    add(std::move(ending), key, signs.last_tick, 0);
  }

  void add(Ending ending, const ProcessKey& key, uint64_t alive_tick, uint64_t dead_tick) {
    const bool could_be_oom =  // and its group does not say so already
        (ending.signal == SIGKILL && ending.notes.empty()) || ending.signal == 0;
    const auto window = host_kills_around(scan_, alive_tick, dead_tick,
                                          same_boot(log_, now_) ? now_.oom_kills : std::nullopt);
    if (could_be_oom && window.before && window.after && *window.after >= *window.before)
      ending.notes.push_back(oom_note(log_, window));
    if (could_be_oom) add_group_note(scan_, key, ending);
    ending.last_tick = ending.tick;
    endings_.push_back(std::move(ending));
  }

  // One entry for all that went the same way; what is said of the first holds for the others.
  std::vector<Ending> collapsed() {
    std::map<std::tuple<std::string_view, std::string, int>, size_t> places;
    std::vector<Ending> kept;
    for (auto& ending : endings_) {
      const auto [place, fresh] =
          places.try_emplace({ending.id, ending.comm, ending.signal}, kept.size());
      if (fresh) {
        kept.push_back(std::move(ending));
        continue;
      }
      ++kept[place->second].count;
      kept[place->second].last_tick = ending.tick;
    }
    return kept;
  }

  const LogReader& log_;
  const WhyScan& scan_;
  const HostNow& now_;
  std::vector<Ending> endings_;
  std::set<uint64_t> told_;
};

}  // namespace

bool is_plain_signal(int signal) {
  return std::find(std::begin(kPlainSignals), std::end(kPlainSignals), signal) !=
         std::end(kPlainSignals);
}

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

std::vector<Ending> find_endings(const LogReader& log, const WhyScan& scan, const HostNow& now) {
  return Endings(log, scan, now).all();
}

}  // namespace ovc
