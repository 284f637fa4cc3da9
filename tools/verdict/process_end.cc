// SPDX-License-Identifier: MIT
#include "tools/verdict/process_end.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>

#include "tools/log/call_families.h"
#include "tools/log/names.h"

namespace ovc {

using namespace ovcshim;

namespace {

constexpr size_t kFaultsArg = 1, kErrnoArg = 2, kMaxRssArg = 3;
constexpr size_t kCodeArg = 3, kStatusArg = 4, kPidArg = 5;  // of waitid

// What ends a program because something went wrong in it or was done to it. Everything else that
// kills by default is how programs are asked to end, or is sent on purpose (SIGTERM, SIGALRM, ...).
constexpr int kSuspicious[] = {SIGKILL, SIGSEGV, SIGBUS,  SIGABRT, SIGILL,
                               SIGFPE,  SIGSYS,  SIGTRAP, SIGXCPU, SIGXFSZ};

std::optional<EndSign> of_status(uint32_t pid, int status) {
  EndSign sign;
  sign.pid = pid;
  sign.seen_by = "wait";
  if (WIFEXITED(status)) {
    sign.kind = EndKind::kExited;
    sign.status = WEXITSTATUS(status);
  } else if (WIFSIGNALED(status)) {
    sign.kind = EndKind::kKilled;
    sign.signal = WTERMSIG(status);
  } else {
    return std::nullopt;  // stopped or continued
  }
  return sign;
}

std::optional<EndSign> of_waitid(const EventBase& b) {
  const auto pid = static_cast<uint32_t>(b.args[kPidArg]);
  const auto value = static_cast<int>(b.args[kStatusArg]);
  if (b.args[kCodeArg] == CLD_EXITED) return of_status(pid, (value & 0xff) << 8);
  if (b.args[kCodeArg] == CLD_KILLED || b.args[kCodeArg] == CLD_DUMPED)
    return of_status(pid, value & 0x7f);
  return std::nullopt;
}

std::optional<EndSign> told_by_wait(const Event& event) {
  const EventBase& b = event.base;
  if (!event.returned() || event.failed()) return std::nullopt;
  std::optional<EndSign> sign;
  if (b.op == Op::kWaitid) sign = of_waitid(b);
  else if (b.result > 0 && b.args[2] != kUnknown)
    sign = of_status(static_cast<uint32_t>(b.result), static_cast<int>(b.args[2]));
  if (!sign || sign->pid == 0) return std::nullopt;
  const bool has_usage = b.op == Op::kWait3 || b.op == Op::kWait4;
  sign->max_rss_kb = has_usage && b.args[kMaxRssArg] != kUnknown ? b.args[kMaxRssArg] : 0;
  sign->tick = b.end_tick;
  sign->waiter = b.process;
  sign->waiter_pid = b.pid;
  return sign;
}

std::optional<EndSign> asked_for(const Event& event) {
  const EventBase& b = event.base;
  EndSign sign;
  sign.pid = b.pid;
  sign.kind = EndKind::kExited;
  sign.tick = b.begin_tick;
  sign.seen_by = op_name(b.op);
  if (b.op == Op::kExit || b.op == Op::kUnderscoreExit || b.op == Op::kQuickExit) {
    sign.status = static_cast<int>(b.args[0] & 0xff);
    sign.page_faults = b.args[kFaultsArg] == kUnknown ? 0 : b.args[kFaultsArg];
    sign.err = b.args[kErrnoArg] < 4096 ? static_cast<uint16_t>(b.args[kErrnoArg]) : uint16_t{0};
  } else if (b.op == Op::kAbort) {
    sign.kind = EndKind::kAborted;
    sign.signal = SIGABRT;
  } else if (b.op == Op::kEnd && !b.args[0]) {  // not by ovc detach
    sign.seen_by = "log";
  } else if (b.op == Op::kDaemon && event.returned() && !event.failed()) {
    sign.status = 0;  // misc/daemon.c: _exit(0) is the parent's last act
    sign.tick = b.end_tick;
  } else {
    return std::nullopt;
  }
  return sign;
}

}  // namespace

std::optional<EndSign> end_sign(const Event& event) {
  auto sign = is_wait(event.base.op) ? told_by_wait(event) : asked_for(event);
  if (sign) sign->position = event.position;
  return sign;
}

std::string end_text(const ProcessEnd& end) {
  switch (end.kind) {
    case EndKind::kExited:
      return end.status ? fmt::format("exited, {}", *end.status) : "ended normally";
    case EndKind::kAborted: return "called abort";
    case EndKind::kKilled: return "killed by " + signal_name(static_cast<unsigned>(end.signal));
    case EndKind::kNotRecorded: break;
  }
  return "no exit recorded";
}

ProcessEnd end_of_status(uint32_t pid, int status) {
  ProcessEnd end;
  const auto sign = of_status(pid, status);
  if (!sign) return end;
  end.kind = sign->kind;
  end.status = sign->status;
  end.signal = sign->signal;
  end.seen_by = "run";
  return end;
}

bool is_suspicious_signal(int signal) {
  return std::find(std::begin(kSuspicious), std::end(kSuspicious), signal) != std::end(kSuspicious);
}

bool is_suspicious(const ProcessEnd& end) {
  return end.kind == EndKind::kAborted ||
         (end.kind == EndKind::kKilled && is_suspicious_signal(end.signal));
}

void ProcessEnds::note(const Event& event) {
  const EventBase& b = event.base;
  if (const auto sign = end_sign(event))
    (sign->seen_by == "wait" ? told_ : own_)[sign->pid].push_back(*sign);
  if (b.op == Op::kStart && !(b.flags & kChildSide))
    images_[b.pid].push_back({b.begin_tick, event.text});
  if (is_exec(b.op) && !event.failed()) images_[b.pid].push_back({b.begin_tick, event.text});
  if (is_spawn(b.op) && child_pid(event) != 0)
    images_[child_pid(event)].push_back({b.begin_tick, event.text});
  if (is_fork_op(b.op) && !makes_thread(b) && child_pid(event) != 0)
    births_[child_pid(event)].push_back(b.begin_tick);
}

uint64_t ProcessEnds::next_birth(uint32_t pid, uint64_t after) const {
  const auto found = births_.find(pid);
  uint64_t next = UINT64_MAX;
  if (found == births_.end()) return next;
  for (const uint64_t tick : found->second)
    if (tick > after) next = std::min(next, tick);
  return next;
}

std::string ProcessEnds::image_of(uint32_t pid, uint64_t at) const {
  const auto found = images_.find(pid);
  std::string exe;
  uint64_t newest = 0;
  if (found == images_.end()) return exe;
  for (const Image& image : found->second)
    if (image.tick <= at && image.tick >= newest) newest = image.tick, exe = image.exe;
  return exe;
}

const EndSign* ProcessEnds::newest_told(uint32_t pid, uint64_t from, uint64_t to) const {
  const auto found = told_.find(pid);
  const EndSign* newest = nullptr;
  if (found == told_.end()) return newest;
  for (const EndSign& sign : found->second)
    if (sign.tick > from && sign.tick < to && (!newest || sign.tick >= newest->tick))
      newest = &sign;
  return newest;
}

// The last that a process asked for counts: a handler of exit() may abort, one of SIGABRT may leave
// by exit(). That its destructors ran says less than the status it gave before.
void ProcessEnds::add_own(uint32_t pid, uint64_t from, uint64_t to, ProcessEnd& end) const {
  const auto found = own_.find(pid);
  if (found == own_.end()) return;
  const EndSign* last = nullptr;
  for (const EndSign& sign : found->second) {
    if (sign.tick <= from || sign.tick >= to) continue;
    end.page_faults = std::max(end.page_faults, sign.page_faults);
    end.tick = end.tick ? std::min(end.tick, sign.tick) : sign.tick;
    const bool says_less = last && last->status && !sign.status && sign.kind == EndKind::kExited;
    if (!last || (sign.tick >= last->tick && !says_less)) last = &sign;
  }
  if (!last) return;
  end.kind = last->kind;
  end.status = last->status;
  end.signal = last->signal;
  end.seen_by = last->seen_by;
  end.err = last->err;
  end.asked = last->position;
}

// What the kernel told the parent counts, but the parent may have asked late. SIGABRT after abort()
// is the same event.
void ProcessEnds::add_told(const EndSign* told, ProcessEnd& end) {
  if (!told) return;
  const bool own_abort = end.kind == EndKind::kAborted && told->signal == SIGABRT;
  end.told = *told;
  end.kind = own_abort ? EndKind::kAborted : told->kind;
  end.status = told->status;
  end.signal = told->signal;
  end.seen_by = own_abort ? end.seen_by : told->seen_by;
  end.tick = end.tick ? std::min(end.tick, told->tick) : told->tick;
  end.max_rss_kb = told->max_rss_kb;
}

ProcessEnd ProcessEnds::of(uint32_t pid, uint64_t from, uint64_t to) const {
  ProcessEnd end;
  add_own(pid, from, to, end);
  add_told(newest_told(pid, from, to), end);
  return end;
}

namespace {

bool has_ended(const ProcessSlot& slot) {
  const bool by_use = slot.use == static_cast<uint32_t>(SlotUse::kEnded) ||
                      slot.use == static_cast<uint32_t>(SlotUse::kRetiring);
  return slot.exit_known != 0 || slot.end_tick != 0 || by_use;
}

// The number by which its parent knows it: another one where it is the first of a pid namespace.
uint32_t outer_pid(const LogReader& log, const ProcessSlot& slot) {
  const auto fork =
      slot.fork_position == kUnknown ? std::nullopt : log.event_at(slot.fork_position);
  const uint32_t pid = fork ? child_pid(*fork) : 0;
  return pid ? pid : slot.pid;
}

}  // namespace

ProcessEnd ProcessEnds::of(const LogReader& log, const Process& process) const {
  const ProcessSlot& slot = process.slot;
  const uint64_t from = slot.start_tick ? slot.start_tick - 1 : 0;
  const uint32_t outer = outer_pid(log, slot);
  ProcessEnd end;
  add_own(slot.pid, from, next_birth(slot.pid, slot.start_tick), end);
  if (end.kind == EndKind::kNotRecorded && has_ended(slot)) {  // its records were overwritten
    end.kind = EndKind::kExited;
    if (slot.exit_known) end.status = slot.exit_status & 0xff;
    end.tick = slot.end_tick;
    end.seen_by = "log";
  }
  if (end.kind == EndKind::kExited && !end.status && slot.exit_known)
    end.status = slot.exit_status & 0xff;  // libc's _exit comes after the destructors
  add_told(newest_told(outer, from, next_birth(outer, slot.start_tick)), end);
  return end;
}

}  // namespace ovc
