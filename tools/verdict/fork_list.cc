// SPDX-License-Identifier: MIT
#include "tools/verdict/fork_list.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/log/call_families.h"
#include "tools/log/names.h"
#include "tools/replay/ledger.h"
#include "tools/symbols/purposes.h"
#include "tools/text/output.h"
#include "tools/verdict/shell_children.h"

namespace ovc {

using namespace ovcshim;

namespace {

bool is_fork(const Event& event) { return is_fork_op(event.base.op) && !makes_thread(event.base); }

}  // namespace

ForkList::ForkList(const LogReader& log, bool with_charges)
    : log_(log), symbols_(log), rules_(host_rules(log.header())) {
  collect();
  for (UnseenImage& image : unseen_images(log))
    unseen_images_[image.pid].push_back(std::move(image));
  for (Fork& fork : forks_) complete(fork);
  if (with_charges) charge_granted();
}

void ForkList::collect() {
  for (const Process& p : log_.processes()) processes_[p.slot.fork_position].push_back(p);
  log_.for_each_event([this](const Event& event) {
    note(event);
    return true;
  });
  const auto by_time = [](const Fork& a, const Fork& b) {
    return a.event.base.begin_tick < b.event.base.begin_tick;
  };
  std::stable_sort(forks_.begin(), forks_.end(), by_time);
  drop_inner_clones();
  for (Fork& fork : forks_) fork.child = child_pid(fork.event);
  note_births();
  find_shell_children();
  births_.clear();
  note_births();
}

void ForkList::note_births() {
  for (const Fork& fork : forks_)
    if (fork.child) births_[fork.child].push_back(fork.event.base.begin_tick);
}

// popen and its kin: a child that no other call made, whose first record is that of a new image.
void ForkList::find_shell_children() {
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
    if (const auto found = pairs.find(fork.event.position); found != pairs.end())
      fork.child = found->second;
  std::erase_if(forks_, [](const Fork& fork) {  // it forks only where the words ask for a command
    return fork.event.base.op == Op::kWordexp && fork.child == 0 && !fork.event.failed();
  });
}

void ForkList::note(const Event& event) {
  const EventBase& b = event.base;
  if (is_fork(event)) forks_.emplace_back().event = event;
  ends_.note(event);
  if (b.op == Op::kExit || b.op == Op::kUnderscoreExit || b.op == Op::kQuickExit)
    exits_[b.pid].emplace_back(b.begin_tick, event.position);
  if (b.op == Op::kSnapshot) snapshots_[b.args[0]] = event.fact(FactKey::kMapsAcKb);
  if (b.op == Op::kStart && (b.flags & kChildSide)) forked_.insert(b.pid);
  if (b.op == Op::kStart && !(b.flags & kChildSide))
    images_[b.pid].emplace_back(b.begin_tick, event.text);
  for (const Fact& fact : event.facts) note_provider(event, fact);
}

// Children of recorded processes that no recorded call made: popen, system, raw clone.
std::vector<Process> ForkList::unseen_births() const {
  std::vector<Process> list;
  if (log_.vitals_overwritten()) return list;  // the call may have been overwritten
  std::set<uint32_t> known;
  const std::vector<Process> all = log_.processes();
  for (const Process& p : all) known.insert(p.slot.pid);
  for (const Process& p : all)
    if (known.contains(p.slot.parent_pid) && !births_.contains(p.slot.pid) &&
        p.slot.fork_position == kUnknown)
      list.push_back(p);
  return list;
}

void ForkList::note_provider(const Event& event, const Fact& fact) {
  const uint32_t op = fact.key - static_cast<uint32_t>(FactKey::kProviderBase);
  if (op < static_cast<uint32_t>(Op::kFork) || op > static_cast<uint32_t>(Op::kClone)) return;
  const std::string module = symbols_.module_of(event.base.image, fact.value);
  if (!module.empty()) providers_[module].insert(op_name(static_cast<Op>(op)));
}

// libc's clone beneath a fork that is recorded itself.
void ForkList::drop_inner_clones() {
  std::map<std::pair<uint32_t, uint32_t>, const Fork*> outer;
  std::vector<Fork> kept;
  kept.reserve(forks_.size());
  for (Fork& fork : forks_) {
    const EventBase& b = fork.event.base;
    const Fork*& last = outer[{b.pid, b.tid}];
    const bool inner = last && (b.flags & kInsideLibc) &&
                       (!last->event.returned() || last->event.base.end_tick >= b.begin_tick);
    if (inner) continue;
    kept.push_back(std::move(fork));
    last = &kept.back();
  }
  forks_ = std::move(kept);
}

void ForkList::complete(Fork& fork) {
  const EventBase& b = fork.event.base;
  const Asker asker = asker_of(log_, symbols_, fork.event);
  fork.comm = asker.comm;
  fork.object = asker.object;
  fork.purpose = purpose(asker).value_or("");
  for (const Frame& frame : symbols_.stack(b.image, fork.event.frames, Detail::kNames))
    if (!frame.function.empty() && frame.function != "_start" && !is_plumbing(frame.module))
      fork.functions.push_back(frame.function);
  const auto snapshot = snapshots_.find(fork.event.position);
  const bool listed = snapshot != snapshots_.end() && copies_memory(fork.event);
  fork.charge_kb = listed ? snapshot->second : charge_kb(fork.event, rules_);
  const bool spawn = b.op == Op::kPosixSpawn || b.op == Op::kPosixSpawnp ||
                     b.op == Op::kPidfdSpawn || b.op == Op::kPidfdSpawnp;
  if (spawn && !fork.event.failed())
    fork.charge_kb = 0;  // memory is shared until the exec (glibc 2.24 and later, musl)
  const uint64_t after = b.args[5], before = b.before.committed_kb;
  const bool read = fork.event.returned() && !fork.event.failed() && after != 0 &&
                    after != kUnknown && before != kUnknown;
  if (read) fork.committed_change_kb = static_cast<int64_t>(after - before);
  if (fork.child) find_life(fork);
}

// Of a granted fork no list of mappings was taken: its charge follows from the calls before it, and
// is given where the size that the kernel had just then is the replay's.
void ForkList::charge_granted() {
  const Ledger ledger(log_);
  for (const LedgerProcess& process : ledger.processes()) {
    std::vector<Fork*> asked;
    std::vector<uint64_t> ticks;
    for (Fork& fork : forks_) {
      const EventBase& b = fork.event.base;
      if (b.process != process.index || b.process_serial != process.serial || fork.charge_kb ||
          fork.event.failed())
        continue;
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

void ForkList::find_role(Fork& fork, uint64_t from, uint64_t to) {
  for (const auto& [tick, position] : exits_[fork.child]) {
    const auto event = tick > from && tick < to ? log_.event_at(position) : std::nullopt;
    if (!event) continue;
    if (const auto found = role(fork.purpose, asker_of(log_, symbols_, *event).functions))
      fork.purpose = *found;
  }
}

// The same pid can come again: what lies between this fork and the next with that result belongs to
// this child.
void ForkList::find_life(Fork& fork) {
  const uint32_t pid = fork.child;
  const uint64_t from = fork.event.base.begin_tick, to = next_birth(pid, from);
  for (const auto& [tick, exe] : images_[pid])
    if (tick > from && tick < to) fork.program = exe;
  for (const UnseenImage& image : unseen_images_[pid])
    if (image.tick >= from && image.tick < to) fork.unseen = image;
  find_role(fork, from, to);
  if (fork.purpose == kForkByPhp && (!fork.program.empty() || fork.unseen))
    fork.purpose = kProgramByPhp;
  ProcessEnd end = ends_.of(pid, from, to);
  if (!end.told && !end.status)
    for (const Process& p : processes_[fork.event.position])
      if (p.slot.pid == pid) end = ends_.of(log_, p);
  if (end.kind != EndKind::kNotRecorded) fork.end = std::move(end);
}

uint64_t ForkList::next_birth(uint32_t pid, uint64_t after) const {
  const auto ticks = births_.find(pid);
  if (ticks == births_.end()) return UINT64_MAX;
  const auto next = std::upper_bound(ticks->second.begin(), ticks->second.end(), after);
  return next == ticks->second.end() ? UINT64_MAX : *next;
}

std::string fate_text(const Fork& fork) {
  if (!fork.event.returned() || fork.event.failed()) return "";
  std::string text = fork.end || fork.child ? end_text(fork.end.value_or(ProcessEnd{})) : "";
  if (fork.end && fork.end->status.value_or(0) != 0 && fork.end->err && fork.program.empty())
    text += fmt::format(" (errno was {})", errno_name(fork.end->err));
  if (fork.end && fork.end->page_faults)
    text += fmt::format("; {} page faults", grouped(fork.end->page_faults));
  if (!fork.program.empty()) text += "; ran " + escaped(fork.program);
  if (fork.unseen)
    text += fmt::format("; ran {}, not seen: {}", escaped(fork.unseen->program),
                        escaped(fork.unseen->why));
  return text;
}

}  // namespace ovc
