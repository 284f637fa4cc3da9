// SPDX-License-Identifier: MIT
//
// See follow_story.h. The verdicts are in follow_verdicts.cc.
#include "tools/follow/follow_story.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "tools/causes/finding_text.h"
#include "tools/host/lock_wait.h"
#include "tools/log/call_families.h"
#include "tools/log/call_text.h"
#include "tools/log/names.h"
#include "tools/symbols/purposes.h"
#include "tools/text/json.h"
#include "tools/verdict/why_scan.h"

namespace ovc {

using namespace ovcshim;

namespace {

constexpr size_t kMostWaiting = 1 << 13;  // refused calls without a verdict
constexpr size_t kMostChildren = 1 << 13, kMostThreads = 1 << 12, kMostImages = 1 << 10;
constexpr size_t kFunctionsShown = 3;

bool is_exit(Op op) { return in_family(op, Family::kEnd) || op == Op::kEnd; }

ProcessEnd as_end(const EndSign& sign) {
  ProcessEnd end;
  end.kind = sign.kind, end.status = sign.status, end.signal = sign.signal;
  return end;
}

std::string signed_kb(uint64_t before, uint64_t after) {
  return signed_grouped(static_cast<int64_t>(after - before)) + " kB";
}

}  // namespace

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::kRefused: return "refused";
    case Kind::kForked: return "forked";
    case Kind::kBegan: return "began";
    case Kind::kEnded: return "ended";
    case Kind::kVanished: return "vanished";
    case Kind::kLost: return "lost";
    case Kind::kStuck: return "stuck";
  }
  return "";
}

Story::Story(const LogReader& log) : log_(log), tail_(log), symbols_(log) {}

std::vector<Happening> Story::go_on(const HostNow& now, bool last) {
  proofs_.clear();
  tail_.read([this](const EventBase& base) { return wants(base); },
             [this](const Event& event) { take(event); });
  if (last) tail_.give_up();
  tell_ends(last);
  judge(last);
  note_vanished(now, last);
  note_stuck(now);
  note_losses();
  bound_memory();
  begun_ = true;
  const auto when = [](const Happening& h) { return h.tick == 0 ? UINT64_MAX : h.tick; };
  std::stable_sort(told_.begin(), told_.end(),
                   [&](const Happening& a, const Happening& b) { return when(a) < when(b); });
  return std::exchange(told_, {});
}

// Called for every record, so that figures are had from those that are of no further interest.
bool Story::wants(const EventBase& base) {
  const bool sized = base.before.vm_size_pages != kUnknown && base.before.vm_size_pages != 0 &&
                     base.process != kNoIndex;
  if (sized && base.op != Op::kMappings) {
    SizeNow& size = seen_[{base.process, base.process_serial}].size;
    if (base.begin_tick >= size.tick)
      size = {base.begin_tick, base.before.vm_size_pages, base.before.data_pages};
  }
  if (base.flags & kFailed) return true;
  const Op op = base.op;
  return is_fork_op(op) || is_wait(op) || is_exec(op) || is_exit(op) || op == Op::kStart ||
         op == Op::kModule || op == Op::kSnapshot;
}

void Story::take(const Event& event) {
  const Op op = event.base.op;
  if (op == Op::kModule) symbols_.add_module(event);
  if (op == Op::kSnapshot) proofs_.insert(event.base.args[0]);
  if (op == Op::kStart) take_start(event);
  if (is_exit(op)) take_exit(event);
  if (is_exec(op)) take_exec(event);
  if (is_wait(op)) take_wait(event);
  if (is_fork_op(op)) take_fork(event);
  if (!is_refusal(event) || (op == Op::kClone && is_inner_clone(event))) return;
  const EventBase& b = event.base;
  const auto since = begun_ ? Clock::now() : Clock::time_point{};
  if (refused_.size() < kMostWaiting)
    refused_.push_back({event.position, since, {b.pid, b.tid}, b.begin_tick, b.end_tick});
  else ++unjudged_;
}

// libc's clone beneath a fork that is recorded itself.
bool Story::is_inner_clone(const Event& event) const {
  const EventBase& b = event.base;
  if (!(b.flags & kInsideLibc)) return false;
  const auto outer = outer_.find({b.pid, b.tid});
  return outer != outer_.end() && b.begin_tick >= outer->second.begin &&
         (outer->second.end == 0 || outer->second.end >= b.begin_tick);
}

void Story::take_fork(const Event& event) {
  const EventBase& b = event.base;
  if (!(b.flags & kInsideLibc))
    outer_[{b.pid, b.tid}] = {b.begin_tick, event.returned() ? b.end_tick : 0};
  if (!event.returned()) return tail_.expect(event.position);
  if (event.failed() || makes_thread(b) || is_inner_clone(event) || b.op == Op::kWordexp) return;
  ++seen_[{b.process, b.process_serial}].forks;
  const Asker asker = asker_of(log_, symbols_, event);
  const auto known = purpose(asker);
  const uint32_t child = child_pid(event);
  const int64_t took = log_.ticks_to_ns(static_cast<int64_t>(b.end_tick - b.begin_tick));
  const uint64_t before = b.before.committed_kb, after = b.args[5];
  const bool read = before != kUnknown && after != kUnknown && after != 0 && copies_memory(event);
  std::string asked;
  for (size_t i = 0, shown = 0; i < asker.functions.size() && shown < kFunctionsShown; ++i)
    if (!asker.functions[i].empty()) asked += (shown++ ? " <- " : "") + asker.functions[i];
  Happening& line = tell(Kind::kForked, b.begin_tick, b.pid, comm_of(event));
  line.text = fmt::format("{} = {}, took {}", op_name(b.op),
                          child ? fmt::format("{}", child) : "a child", duration_text(took));
  if (read) line.text += ", Committed_AS " + signed_kb(before, after);
  if (known || !asked.empty())
    line.text += fmt::format("  ({})", known ? std::string(*known) : escaped(asked));
  line.fields = {
      {"call", op_name(b.op)},
      {"position", event.position},
      {"child", child ? Json(child) : Json()},
      {"duration_ns", took},
      {"committed_as_change_kb", read ? Json(static_cast<int64_t>(after - before)) : Json()},
      {"purpose", known ? Json(*known) : Json()},
      {"asked_by", asker.functions}};
  if (b.op == Op::kDaemon)
    if (const auto sign = end_sign(event)) tell_end(*sign, sign->tick, comm_of(event));
  if (child == 0) return;
  Child& life = children_[child];
  if (life.tick < b.begin_tick)
    life = {comm_of(event), "", b.begin_tick, 0};  // else its own records were read first
  life.purpose = known.value_or("");
}

void Story::take_start(const Event& event) {
  const EventBase& b = event.base;
  execs_.erase({b.process, b.process_serial});
  Child& life = children_[b.pid];
  if (life.tick == 0 || (life.end_tick != 0 && life.end_tick < b.begin_tick))
    life = {"", "", b.begin_tick, 0};
  life.comm = comm_of(event);
  if (b.flags & kChildSide) return;
  Happening& line = tell(Kind::kBegan, b.begin_tick, b.pid, life.comm);
  line.text = "runs " + escaped(event.text);
  line.fields = {{"exe", event.text}};
}

void Story::take_exit(const Event& event) {
  const EventBase& b = event.base;
  if (b.op == Op::kEnd && b.args[0]) {
    children_[b.pid].end_tick = std::max<uint64_t>(b.begin_tick, 1);
    Happening& line = tell(Kind::kEnded, b.begin_tick, b.pid, comm_of(event));
    line.text = "is no longer recorded (ovc detach)";
    line.fields = {{"how", "detached"}};
    return;
  }
  if (b.op == Op::kEnd) {
    goodbyes_[b.pid] = {b.begin_tick, comm_of(event), 0};
    return;
  }
  if (const auto sign = end_sign(event)) tell_end(*sign, sign->tick, comm_of(event));
}

void Story::take_exec(const Event& event) {
  const ProcessId process{event.base.process, event.base.process_serial};
  if (event.returned()) execs_.erase(process);
  else execs_[process] = event.position;
}

void Story::take_wait(const Event& event) {
  if (!event.returned()) return tail_.expect(event.position);
  if (const auto sign = end_sign(event)) waits_.push_back(*sign);
}

void Story::tell_waited(const EndSign& told) {
  const auto said = goodbyes_.find(told.pid);
  const uint64_t tick =
      said == goodbyes_.end() ? told.tick : said->second.tick;  // it may have asked late
  tell_end(told, tick, name_of(told.pid));
}

void Story::tell_ends(bool last) {
  for (const EndSign& told : std::exchange(waits_, {})) tell_waited(told);
  for (auto goodbye = goodbyes_.begin(); goodbye != goodbyes_.end();) {
    const auto& [pid, said] = *goodbye;
    EndSign normal;
    normal.pid = pid;
    normal.kind = EndKind::kExited;
    if (last || goodbye->second.looks++ != 0) tell_end(normal, said.tick, said.comm);
    const auto life = children_.find(pid);
    const bool told = life != children_.end() && life->second.end_tick != 0;
    goodbye = told ? goodbyes_.erase(goodbye) : std::next(goodbye);
  }
}

// The first that tells of an end is believed: the process itself, or its parent's wait.
void Story::tell_end(const EndSign& sign, uint64_t tick, const std::string& comm) {
  Child& life = children_[sign.pid];
  if (std::exchange(life.end_tick, std::max<uint64_t>(tick, 1)) != 0) return;
  const ProcessEnd end = as_end(sign);
  const std::string how =
      end_text(end) + (sign.seen_by == op_name(Op::kDaemon) ? ", leaving a daemon" : "");
  found_ |= is_suspicious(end);
  Happening& line = tell(Kind::kEnded, tick, sign.pid, comm);
  line.wrong = is_suspicious(end);
  line.text = how;
  line.fields = {{"how", how}};
  if (life.tick == 0) return;
  const int64_t lived = log_.ticks_to_ns(static_cast<int64_t>(tick - life.tick));
  line.text += " after " + duration_text(lived);
  if (!life.purpose.empty()) line.text += fmt::format("  ({})", life.purpose);
  line.fields["lived_ns"] = lived;
  line.fields["purpose"] = life.purpose.empty() ? Json() : Json(life.purpose);
}

// Found dead twice in a row, and nobody has told of its end.
void Story::note_vanished(const HostNow& now, bool last) {
  std::set<ProcessId> missed, still;
  for (const Process& process : log_.processes()) {
    const ProcessId id{process.index, process.slot.serial};
    still.insert(id);
    const auto child = children_.find(process.slot.pid);
    const bool told = child != children_.end() && child->second.end_tick != 0;
    if (told || end_is_recorded(process.slot) || gone_.contains(id)) continue;
    if (is_alive(process.slot, now) != HostNow::Alive::kNo) continue;
    if (!missed_.contains(id) && !last) {
      missed.insert(id);
      continue;
    }
    gone_.insert(id);
    const auto exec = execs_.find(id);
    const bool unseen_image = exec != execs_.end() && log_.event_at(exec->second).has_value();
    if (unseen_image || !begun_) continue;
    Happening& line = tell(Kind::kVanished, seen_[id].size.tick, process.slot.pid, process.comm());
    line.text = "is gone, " + end_text({});
  }
  missed_ = std::move(missed);
  std::erase_if(gone_, [&](const ProcessId& id) { return !still.contains(id); });
  std::erase_if(execs_, [&](const auto& entry) { return !still.contains(entry.first); });
  std::erase_if(seen_, [&](const auto& entry) { return !still.contains(entry.first); });
}

// A copy of its parent that waits for a lock which nobody can give back: told once.
void Story::note_stuck(const HostNow& now) {
  if (!same_boot(log_, now) || !now.pid_here) return;
  for (const Process& process : log_.processes()) {
    const ProcessId id{process.index, process.slot.serial};
    if (process.slot.fork_position == kUnknown || process.slot.images > 1 || stuck_.contains(id) ||
        end_is_recorded(process.slot) || is_alive(process.slot, now) != HostNow::Alive::kYes)
      continue;
    const uint32_t pid = now.pid_here(process.slot);
    const auto wait = pid ? lock_wait(SystemRoot{}, pid) : std::nullopt;
    if (!wait) continue;
    stuck_.insert(id);
    found_ = true;
    const auto life = children_.find(process.slot.pid);
    const int64_t alive = now.posix_ns - log_.posix_ns(process.slot.start_tick);
    Happening& line = tell(Kind::kStuck, 0, process.slot.pid, process.comm());
    line.wrong = true;
    line.text = fmt::format("is stuck after {}: waits for a lock ({:#x}) that nobody can give back",
                            duration_text(alive), wait->futex);
    line.fields = {{"alive_ns", alive}, {"futex", hex_text(wait->futex)}};
    if (life != children_.end() && !life->second.purpose.empty())
      line.text += fmt::format("  ({})", life->second.purpose);
  }
  std::erase_if(stuck_, [&](const ProcessId& id) { return !log_.process(id.first, id.second); });
}

// What the shim could not write, and what was overwritten before it was read here.
void Story::note_losses() {
  const Losses now = log_.counted_losses();
  const std::pair<std::string_view, uint64_t> counts[] = {
      {"event slots were overwritten before they were read", tail_.overwritten()},
      {"event slots were left unfinished by writers that were killed", tail_.torn()},
      {"calls that have not returned are no longer waited for", tail_.forgotten()},
      {"refused calls came too fast for a verdict each", unjudged_},
      {"events were dropped: every slot tried was busy", now.events_lost_busy},
      {"events were dropped: newer ones had overtaken the writer", now.events_lost_lapped},
      {"malloc calls by signal handlers were only counted", now.calls_lost_nested},
      {"processes found the process table full", now.processes_unslotted},
      {"threads share counters", now.threads_unslotted},
      {"threads' small malloc calls are only counted", now.threads_unrecorded},
  };
  for (const auto& [what, count] : counts) {
    const uint64_t before = std::exchange(lost_[what], count);
    if (count == before || !begun_) continue;
    Happening& line = tell(Kind::kLost, 0, 0, "");
    line.wrong = true;
    line.times = count - before;
    line.text = fmt::format("{} {}", grouped(count - before), what);
    line.fields = {{"count", count - before}, {"what", what}};
  }
}

void Story::bound_memory() {
  if (children_.size() > kMostChildren)
    std::erase_if(children_, [](const auto& entry) { return entry.second.end_tick != 0; });
  if (children_.size() > kMostChildren) children_.clear();
  if (outer_.size() > kMostThreads)
    std::erase_if(outer_, [](const auto& entry) { return entry.second.end != 0; });
  if (outer_.size() > kMostThreads) outer_.clear();
  if (symbols_.images() <= kMostImages) return;
  std::set<uint32_t> current;
  for (const Process& process : log_.processes()) current.insert(process.slot.image);
  symbols_.keep_images(current);
}

std::vector<Process> Story::running(const HostNow& now) const {
  std::vector<Process> processes = log_.processes();
  if (other_boot(log_, now)) return {};
  std::erase_if(processes, [&now](const Process& process) {
    const HostNow::Alive alive = is_alive(process.slot, now);
    return alive == HostNow::Alive::kNo ||
           (alive == HostNow::Alive::kUnknown && end_is_recorded(process.slot));
  });
  return processes;
}

bool Story::all_ended(const HostNow& now) const {
  return !log_.processes().empty() && running(now).empty();
}

Happening& Story::tell(Kind kind, uint64_t tick, uint32_t pid, std::string comm) {
  Happening& line = told_.emplace_back();
  line.kind = kind;
  line.tick = tick;
  line.pid = pid;
  line.comm = std::move(comm);
  return line;
}

std::string Story::comm_of(const Event& event) const {
  const std::string comm = log_.comm_at(event.base);
  return comm.empty() ? name_of(event.base.pid) : comm;
}

std::string Story::name_of(uint32_t pid) const {
  const auto child = children_.find(pid);
  return child == children_.end() ? "" : child->second.comm;
}

}  // namespace ovc
