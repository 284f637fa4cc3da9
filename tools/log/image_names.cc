// SPDX-License-Identifier: MIT
//
// What a process was called when it made a call: its slot has the name of its newest program only.
#include <algorithm>
#include <cstring>

#include "tools/log/log_reader.h"

namespace ovc {

using ovcshim::FactKey;

namespace {

// Logs from before the name was recorded with each image have the path of its program.
std::string name_of_image(const Event& start) {
  const auto first = start.fact(FactKey::kCommFirst), second = start.fact(FactKey::kCommSecond);
  if (!first || !second) {
    const std::string& exe = start.text;
    return exe.substr(exe.rfind('/') + 1).substr(0, sizeof ovcshim::ProcessSlot::comm - 1);
  }
  char comm[2 * sizeof(uint64_t) + 1]{};
  std::memcpy(comm, &*first, sizeof *first);
  std::memcpy(comm + sizeof *first, &*second, sizeof *second);
  return comm;
}

}  // namespace

// Those that a log which is being written has got since the last time.
void LogReader::find_starts() const {
  const auto add = [&](const Event& start) {
    const auto& b = start.base;
    const bool forked = b.flags & ovcshim::kChildSide;
    starts_[{b.process, b.process_serial}].push_back(
        {b.begin_tick, forked, forked ? std::string() : name_of_image(start)});
    return true;
  };
  starts_until_ = for_each_event(add, starts_until_, [](Op op) { return op == Op::kStart; });
}

std::string LogReader::comm_at(const ovcshim::EventBase& event) const {
  return comm_at({event.process, event.process_serial}, event.begin_tick);
}

// Every fork and exec left a record of its start; the oldest of them may have been overwritten.
std::string LogReader::comm_at(ProcessId id, uint64_t tick) const {
  constexpr int kGenerations = 16;
  for (int i = 0; i < kGenerations; ++i) {
    const auto owner = process(id.first, id.second);
    if (!owner) return {};
    if (owner->slot.images <= 1) return owner->comm();
    const auto& starts = starts_[id];
    if (starts.size() < owner->slot.images) find_starts();
    const auto next = std::partition_point(starts.begin(), starts.end(),
                                           [&](const Start& s) { return s.tick <= tick; });
    if (next == starts.begin()) return {};
    if (next == starts.end()) return owner->comm();
    if (const Start& start = *std::prev(next); !start.forked) return start.name;
    id = {owner->slot.parent, owner->slot.parent_serial};
    tick = owner->slot.start_tick;
  }
  return {};
}

}  // namespace ovc
