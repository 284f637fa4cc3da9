// SPDX-License-Identifier: MIT
//
// See report_lives.h.
#include "tools/report/report_lives.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "tools/log/names.h"

namespace ovc {

using namespace ovcshim;

namespace {

constexpr size_t kAlike = 6;  // more children of one kind than this stand in one row
constexpr size_t kMostRows = 400;
constexpr uint64_t kMostUnseen = 5000;  // children that left no record
constexpr unsigned kDeepest = 40;

struct Being {
  Life life;
  std::optional<size_t> parent;
  std::vector<size_t> children;
};

class LifeSearch {
 public:
  LifeSearch(const LogReader& log, const ForkList& forks, const HostNow& now)
      : log_(log), forks_(forks), now_(now) {}

  Lives run() {
    note_signs_of_life();
    for (const Process& process : log_.processes()) add(process);
    for (const Fork& fork : forks_.forks()) add(fork);
    for (Being& being : beings_) settle(being.life);
    link();
    lives_.processes = beings_.size();
    for (const size_t root : roots_) show(root, 0);
    for (const auto& [id, place] : places_)
      if (beings_[place].life.end_tick) lives_.end_ticks[id] = beings_[place].life.end_tick;
    return std::move(lives_);
  }

 private:
  void note_signs_of_life() {
    log_.for_each_event([this](const Event& event) {
      const EventBase& b = event.base;
      uint64_t& last = last_[{b.process, b.process_serial}];
      last = std::max({last, b.begin_tick, b.end_tick});
      return true;
    });
  }

  void add(const Process& process) {
    const ProcessSlot& slot = process.slot;
    Being being;
    Life& life = being.life;
    life.pid = slot.pid;
    life.name = process.comm();
    life.detail = process.exe();
    life.from_tick = slot.start_tick;
    const ProcessEnd end = forks_.ends().of(log_, process);
    life.end_tick = end.tick;
    life.fate = end_text(end);
    if (end.kind == EndKind::kNotRecorded && other_boot(log_, now_))
      life.fate += ", and the machine has been started anew since";
    else if (end.kind == EndKind::kNotRecorded && now_.alive &&
             now_.alive(slot) == HostNow::Alive::kYes)
      life.fate = "still running when this page was made";
    const auto last = last_.find({process.index, slot.serial});
    life.last_tick = last == last_.end() ? slot.start_tick : last->second;
    const size_t place = beings_.size();
    places_[{process.index, slot.serial}] = place;
    by_pid_[slot.pid].push_back(place);
    parents_.push_back(slot.parent == kNoIndex
                           ? std::nullopt
                           : std::optional(ProcessId{slot.parent, slot.parent_serial}));
    beings_.push_back(std::move(being));
  }

  void add(const Fork& fork) {
    const EventBase& b = fork.event.base;
    const ProcessId maker{b.process, b.process_serial};
    if (const auto parent = places_.find(maker); parent != places_.end()) {
      Life& life = beings_[parent->second].life;
      ++(fork.event.failed() ? life.refused_forks : life.forks);
    }
    if (fork.child == 0 || fork.event.failed()) return;
    const std::string made_by = fork.purpose.empty()
                                    ? std::string(op_name(b.op))
                                    : fmt::format("{}: {}", op_name(b.op), fork.purpose);
    if (Being* child = child_of(fork)) {
      child->life.made_by = made_by;
      take_end(fork, child->life);
      return;
    }
    if (++unseen_ > kMostUnseen) {
      ++lives_.left_out;
      return;
    }
    Being being;
    being.life.pid = fork.child;
    being.life.name = fork.unseen             ? fork.unseen->program
                      : !fork.program.empty() ? fork.program
                                              : fork.comm;
    being.life.name = being.life.name.substr(being.life.name.rfind('/') + 1);
    being.life.detail = fork.unseen ? fork.unseen->program + ", not seen: " + fork.unseen->why
                                    : "left no records of its own";
    being.life.made_by = made_by;
    being.life.from_tick = being.life.last_tick = b.begin_tick;
    being.life.unseen = true;
    take_end(fork, being.life);
    parents_.emplace_back(maker);
    beings_.push_back(std::move(being));
  }

  // A pid can come again: the child is the first process of that pid that was seen from the fork
  // on.
  Being* child_of(const Fork& fork) {
    const auto found = by_pid_.find(fork.child);
    if (found == by_pid_.end()) return nullptr;
    for (const size_t place : found->second)
      if (beings_[place].life.from_tick >= fork.event.base.begin_tick &&
          beings_[place].life.made_by.empty())
        return &beings_[place];
    return nullptr;
  }

  static void take_end(const Fork& fork, Life& life) {
    if (!fork.end) return;
    life.fate = end_text(*fork.end);
    life.end_tick = fork.end->tick;
  }

  static void settle(Life& life) {
    if (life.fate.empty()) life.fate = end_text({});
    const std::string& fate = life.fate;
    life.kind = fate == "exited, 0" || fate == "ended normally"           ? "ended"
                : fate.starts_with("exited, ")                            ? "status"
                : fate.starts_with("killed by") || fate == "called abort" ? "killed"
                : fate.starts_with("still running")                       ? "running"
                                                                          : "unknown";
    life.last_tick = std::max(life.last_tick, life.from_tick);
    if (life.end_tick && life.end_tick < life.from_tick) life.end_tick = life.from_tick;
  }

  void link() {
    for (size_t i = 0; i < beings_.size(); ++i) {
      const auto parent = parents_[i] ? places_.find(*parents_[i]) : places_.end();
      if (parent == places_.end() || parent->second == i) roots_.push_back(i);
      else beings_[parent->second].children.push_back(i);
    }
    const auto earlier = [this](size_t a, size_t b) {
      return beings_[a].life.from_tick < beings_[b].life.from_tick;
    };
    std::stable_sort(roots_.begin(), roots_.end(), earlier);
    for (Being& being : beings_)
      std::stable_sort(being.children.begin(), being.children.end(), earlier);
  }

  // Parents come from the file: a circle has no root and is not shown, a chain is followed so far.
  void show(size_t place, unsigned depth) {
    if (depth > kDeepest || lives_.rows.size() >= kMostRows) {
      ++lives_.left_out;
      return;
    }
    lives_.rows.push_back(beings_[place].life);
    lives_.rows.back().depth = depth;
    std::map<std::tuple<std::string, std::string, std::string>, std::vector<size_t>> alike;
    const auto kind_of = [](const Life& life) {
      return std::tuple(life.name, life.made_by, life.fate);
    };
    for (const size_t child : beings_[place].children)
      if (beings_[child].children.empty()) alike[kind_of(beings_[child].life)].push_back(child);
    for (const size_t child : beings_[place].children) {
      const auto group = alike.find(kind_of(beings_[child].life));
      const bool many =
          beings_[child].children.empty() && group != alike.end() && group->second.size() > kAlike;
      if (!many) show(child, depth + 1);
      else if (group->second.front() == child) show_together(group->second, depth + 1);
    }
  }

  void show_together(const std::vector<size_t>& group, unsigned depth) {
    if (lives_.rows.size() >= kMostRows) {
      lives_.left_out += group.size();
      return;
    }
    Life life = beings_[group.front()].life;
    life.depth = depth;
    life.others = group.size() - 1;
    for (const size_t place : group) {
      life.end_tick = std::max(life.end_tick, beings_[place].life.end_tick);
      life.last_tick = std::max(life.last_tick, beings_[place].life.last_tick);
    }
    lives_.rows.push_back(std::move(life));
  }

  const LogReader& log_;
  const ForkList& forks_;
  const HostNow& now_;
  std::map<ProcessId, uint64_t> last_;
  std::vector<Being> beings_;
  std::vector<std::optional<ProcessId>> parents_;  // of beings_
  std::map<ProcessId, size_t> places_;
  std::map<uint32_t, std::vector<size_t>> by_pid_;  // in order of the process table
  std::vector<size_t> roots_;
  uint64_t unseen_ = 0;
  Lives lives_;
};

}  // namespace

Lives find_lives(const LogReader& log, const ForkList& forks, const HostNow& now) {
  return LifeSearch(log, forks, now).run();
}

}  // namespace ovc
