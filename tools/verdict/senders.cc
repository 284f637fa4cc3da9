// SPDX-License-Identifier: MIT
//
// See senders.h.
#include "tools/verdict/senders.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/log/call_families.h"
#include "tools/log/call_text.h"
#include "tools/log/names.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

constexpr size_t kFunctionsShown = 3;

// To whom, and which signal. kTgkill ends the whole process as well.
std::pair<int64_t, int> aim_of(const ovcshim::EventBase& b) {
  const auto arg = [&](size_t i) { return static_cast<int64_t>(b.args[i]); };
  const auto signal = [&](size_t i) { return static_cast<int>(b.args[i]); };
  switch (b.op) {
    case Op::kKill: return {static_cast<int32_t>(arg(0)), signal(1)};
    case Op::kSigqueue: return {arg(0), signal(1)};
    case Op::kTgkill: return {arg(0), signal(2)};
    case Op::kPidfdSendSignal: return {arg(3) ? arg(3) : INT64_MAX, signal(1)};
    default: return {INT64_MAX, 0};
  }
}

}  // namespace

Senders::Senders(const LogReader& log) : log_(log) {
  const auto note = [this](const Event& event) {
    const auto& b = event.base;
    if (event.failed()) return true;
    const auto [target, signal] = aim_of(b);
    sent_.push_back({event.position, b.begin_tick, target, signal, b.pid});
    return true;
  };
  log.for_each_event(note, {}, [](Op op) { return in_family(op, Family::kSignal); });
  std::stable_sort(sent_.begin(), sent_.end(),
                   [](const Sent& a, const Sent& b) { return a.tick < b.tick; });
}

std::optional<Sender> Senders::of(uint32_t pid, int signal, uint64_t from, uint64_t to,
                                  Symbols& symbols) const {
  for (const bool groups : {false, true})
    for (auto sent = sent_.rbegin(); sent != sent_.rend(); ++sent) {
      if (sent->tick < from || sent->tick > to || (signal && sent->signal != signal)) continue;
      const bool leads = sent->target < -1 && -sent->target == pid;
      const bool names = sent->target == pid || leads;
      if (groups ? sent->target > 0 || names : !names) continue;
      const auto event = log_.event_at(sent->position);
      if (!event) continue;
      Sender sender{sent->sender, "", "", {}, sent->tick, !names};
      sender.comm = log_.comm_at(event->base);
      append_call(sender.call, *event);
      for (const Frame& frame : symbols.stack(event->base.image, event->frames, Detail::kNames))
        if (!frame.function.empty() && !is_plumbing(frame.module) && frame.function != "_start" &&
            sender.functions.size() < kFunctionsShown)
          sender.functions.push_back(frame.function);
      return sender;
    }
  return std::nullopt;
}

std::string sender_text(const LogReader& log, const Sender& sender) {
  std::string text =
      fmt::format("{} (pid {}): {} at {}", sender.comm.empty() ? "a process" : escaped(sender.comm),
                  sender.pid, sender.call, clock_text(log.posix_ns(sender.tick), 3));
  if (sender.to_group) text += ", to a group that it may have been in";
  std::string asked;
  for (const std::string& function : sender.functions)
    asked += (asked.empty() ? "" : " <- ") + function;
  return asked.empty() ? text : text + "; asked by " + escaped(asked);
}

}  // namespace ovc
