// SPDX-License-Identifier: MIT
//
// See siblings.h.
#include "tools/verdict/siblings.h"

#include <algorithm>
#include <tuple>

#include "tools/causes/setting.h"
#include "tools/log/call_families.h"
#include "tools/symbols/purposes.h"

namespace ovc {
namespace {

using ovcshim::kUnknown;

constexpr size_t kParentFaultsArg = 4;  // of fork, _Fork, and all waits but waitid
// redis, valkey: src/server.h SERVER_CHILD_NOERROR_RETVAL, how a child ends that its parent stopped
constexpr int kToldToStop = 255;

std::optional<uint64_t> faults_so_far(const Event& event) {
  const uint64_t faults = event.base.args[kParentFaultsArg];
  const bool has = event.base.op == Op::kFork || event.base.op == Op::kUnderscoreFork ||
                   (is_wait(event.base.op) && event.base.op != Op::kWaitid);
  return has && faults != 0 && faults != kUnknown ? std::optional(faults) : std::nullopt;
}

std::optional<uint64_t> faults_between(const LogReader& log, const Fork& fork) {
  const auto before = faults_so_far(fork.event);
  const auto wait =
      fork.end && fork.end->told ? log.event_at(fork.end->told->position) : std::nullopt;
  const auto after =
      wait && wait->base.pid == fork.event.base.pid ? faults_so_far(*wait) : std::nullopt;
  return before && after && *after >= *before ? std::optional(*after - *before) : std::nullopt;
}

Copy copy_of(const LogReader& log, const Fork& fork) {
  Copy copy{fork.child, fork.event.base.begin_tick, fork.event.position, fork.end, 0, {}, {}};
  if (!fork.end) return copy;
  copy.lived_ns = log.ticks_to_ns(static_cast<int64_t>(fork.end->tick - copy.tick));
  if (fork.end->page_faults) copy.own_faults = fork.end->page_faults;
  copy.parent_faults = faults_between(log, fork);
  return copy;
}

bool is_copy(const Fork& fork) {
  return fork.child != 0 && !fork.event.failed() && copies_memory(fork.event) &&
         fork.event.base.op != Op::kDaemon && fork.program.empty() && !fork.unseen;
}

}  // namespace

bool Copy::failed() const {
  return end && end->kind == EndKind::kExited && end->status.value_or(0) != 0 &&
         end->status != kToldToStop;
}

uint64_t Siblings::ended() const {
  return static_cast<uint64_t>(
      std::count_if(copies.begin(), copies.end(), [](const Copy& c) { return c.end.has_value(); }));
}

int64_t Siblings::longest_ns() const {
  int64_t longest = 0;
  for (const Copy& copy : copies) longest = std::max(longest, copy.lived_ns);
  return longest;
}

std::vector<Siblings> siblings_of(const LogReader& log, const ForkList& forks) {
  using Key = std::tuple<uint32_t, uint32_t, uint32_t, uint64_t, std::string>;
  std::map<Key, size_t> places;
  std::vector<Siblings> all;
  for (const Fork& fork : forks.forks()) {
    if (!is_copy(fork)) continue;
    const auto& b = fork.event.base;
    const Key key{b.process, b.process_serial, b.pid, b.caller, fork.purpose};
    const auto [place, fresh] = places.try_emplace(key, all.size());
    if (fresh) {
      const auto process = log.process(b.process, b.process_serial);
      Setting setting;
      if (process) setting.exe = process->exe();
      const bool saves = fork.purpose.empty() ? service_of(setting, fork.comm) == Service::kRedis
                                              : is_save(fork.purpose);
      all.push_back(
          {fork.comm, fork.purpose, b.pid, b.process, b.process_serial, fork.functions, saves, {}});
    }
    all[place->second].copies.push_back(copy_of(log, fork));
  }
  return all;
}

}  // namespace ovc
