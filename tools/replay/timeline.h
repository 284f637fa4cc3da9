// SPDX-License-Identifier: MIT
//
// Events and call records in the order in which they happened: each thread's own order is exact,
// threads are merged by time. Says of each event what only its neighbours tell: which call encloses
// it, whether an exec came to a new image. Memory: about 80 bytes per event of the log, nothing per
// call record.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <vector>

#include "tools/log/call_text.h"
#include "tools/log/log_reader.h"
#include "tools/symbols/symbols.h"

namespace ovc {

struct EventPlace {
  unsigned depth = 0;  // > 0: seen inside libc, beneath the call before it on the same thread
  Fate fate = Fate::kReturned;
};

class Timeline {
 public:
  using EachEvent = std::function<bool(const Event&, const EventPlace&)>;
  // tick: the call happened at or after it, and before what comes next on its thread.
  using EachCall = std::function<bool(const Call&, uint64_t tick)>;

  Timeline(const LogReader& log, const Symbols& symbols);
  // Both stop the walk when they return false. Without on_call the call lane is not read.
  void walk(const EachEvent& on_event, const EachCall& on_call);

 private:
  struct Entry {
    uint64_t position, begin_tick, end_tick, call_seq;
    uint32_t pid, tid, image;
    ovcshim::Op op;
    uint16_t flags;
    EventPlace place;
    bool under_shim;  // inside libc, called through one of the shim's functions
    bool dropped;     // an intent whose completion stands elsewhere
  };
  struct Thread {
    std::vector<uint32_t> entries;  // of this thread, by time
    size_t next = 0;                // not yet shown
    CallThread* calls = nullptr;
    bool has_call = false;  // the one that `calls` is at is next to be shown
    uint64_t floor = 0, key = 0;
    std::optional<uint64_t> last_seq;  // of the call shown last
  };
  using ThreadId = std::pair<uint32_t, uint32_t>;
  using QueueItem = std::pair<uint64_t, Thread*>;

  void index_events();
  void note_fates(const std::vector<uint32_t>& entries);
  void note_depths(const std::vector<uint32_t>& entries);
  void drop_repeated_intents();
  void open_calls();
  void fetch(Thread& thread);
  bool show_event(Entry& entry, const EachEvent& on_event, const EachCall* on_call);
  bool show_calls(Thread& thread, uint64_t until, const EachCall& on_call);
  bool show_call(Thread& thread, uint64_t tick, const EachCall& on_call);
  const Entry* pending_before_call(const Thread& thread) const;

  const LogReader& log_;
  const Symbols& symbols_;
  std::vector<Entry> entries_;  // by begin_tick
  std::map<ThreadId, Thread> threads_;
  std::map<uint32_t, std::vector<uint64_t>>
      images_started_;  // pid -> ticks of its kStart records of new images
  std::vector<CallThread> call_threads_;
};

}  // namespace ovc
