// SPDX-License-Identifier: MIT
//
// Reads a log (shim/format/log_format.h is the specification): maps it, checks it once, then yields
// copies of what is valid. Nothing here trusts a count, offset or string from the file; the log may
// be live (written while it is read) or damaged. Memory: bounded by the log's process table and
// chunk index, not by its number of records.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shim/format/log_format.h"
#include "tools/log/log_mapping.h"
#include "tools/text/error.h"

namespace ovc {

using ovcshim::Op;

// One event, copied out of the lane and checked.
struct Event {
  uint64_t position = 0;
  bool updating = false;  // its owner was just completing it: treat as intent
  ovcshim::EventBase base{};
  std::vector<uint64_t> frames;  // innermost first
  std::string text;              // raw bytes, may be hostile: escape before printing
  std::vector<ovcshim::Fact> facts;
  std::vector<ovcshim::MappingEntry> mappings;

  bool failed() const { return base.flags & ovcshim::kFailed; }
  bool returned() const { return !(base.flags & ovcshim::kIntent) && !updating; }
  // Value of a fact; nullopt if not recorded or kUnknown.
  std::optional<uint64_t> fact(ovcshim::FactKey key) const;
};

// Made by its number: inside libc or through syscall(2). brk then gives the break, and clone has no
// function.
inline bool is_system_call(const ovcshim::EventBase& base) {
  return (base.flags & (ovcshim::kInsideLibc | ovcshim::kRawSyscall)) != 0;
}
// The process that a call of the fork family made (its thread id if it made a thread by clone); 0:
// none, or not returned.
uint32_t child_pid(const Event& event);

// One call-lane record with what its chunk says about it.
struct Call {
  Op op = Op::kNone;
  uint64_t address = 0, size = 0, caller = 0;
  uint64_t old_address =
      0;  // realloc family: from the kReallocFrom record before it; kUnknown: that one is not there
  uint64_t alignment = 0;  // bytes, 0 if none
  bool failed = false;
  uint32_t pid = 0, tid = 0, process = ovcshim::kNoIndex, process_serial = 0, image = 0;
  uint64_t seq = 0;  // per thread, exact order; same count as EventBase::call_seq
  uint64_t earliest_tick = 0,
           latest_tick =
               0;  // the call happened between these (latest 0: not bounded by a later mark)
};

class LogReader;
class MemoryRecords;

// The call records of one thread in exact order, read a group (one time mark) at a time. Valid
// while its LogReader lives.
class CallThread {
 public:
  uint32_t pid() const { return call_.pid; }
  uint32_t tid() const { return call_.tid; }
  bool next();                                // on to the next record; false at the end
  const Call& call() const { return call_; }  // the record that next() went to
  uint64_t mark() const { return mark_; }     // time mark of the group in which it begins

 private:
  friend class LogReader;
  static constexpr uint32_t kGroupRecords = ovcshim::kTimeMarkBytes / ovcshim::kCallRecordBytes;
  static constexpr uint32_t kGroups = ovcshim::kChunkBytes / ovcshim::kTimeMarkBytes;
  void add(const ovcshim::ChunkHeader& header, uint32_t index);
  void sort();
  bool read_header(size_t chunk, ovcshim::ChunkHeader& header) const;
  bool open_chunk();
  bool load_group();
  uint64_t next_mark(const unsigned char* chunk) const;
  bool take(const ovcshim::CallRecord& record);

  const LogReader* log_ = nullptr;
  std::vector<uint32_t> chunks_;  // indexes, oldest first
  uint64_t newest_claim_ = 0;     // of these
  bool sorted_ = true;
  size_t chunk_ = 0;    // being read
  uint32_t group_ = 0;  // to be loaded next
  std::array<ovcshim::CallRecord, kGroupRecords> records_{};
  uint32_t at_ = kGroupRecords;    // in them, next
  ovcshim::ChunkHeader header_{};  // of the chunk being read
  uint64_t seq_of_slot_0_ = 0, mark_ = 0;
  uint64_t old_address_ = 0,
           old_seq_ =
               ovcshim::kUnknown;  // the newest kReallocFrom, which belongs to the record behind it
  Call call_;                      // what it shares with the others of its group is set once
};

struct Losses {
  uint64_t memory_units_overwritten = 0;  // by the wrap of the memory ring
  uint64_t event_slots_overwritten = 0;   // by the wrap of the events ring
  uint64_t vital_slots_overwritten = 0;   // by the wrap of the vitals ring
  uint64_t event_slots_torn = 0;          // left busy, void, or damaged
  uint64_t events_lost_busy = 0, events_lost_lapped = 0;
  uint64_t calls_overwritten = 0, calls_lost_nested = 0, call_chunks_damaged = 0;
  uint64_t snapshots_skipped = 0, processes_unslotted = 0, threads_unslotted = 0,
           threads_unrecorded = 0;
};

struct Process {
  uint32_t index = 0;
  ovcshim::ProcessSlot slot{};  // copied; strings are terminated by the reader
  std::string comm() const;
  std::string exe() const;
};
// Did the process itself, or its parent's wait, leave its end in its slot?
bool end_is_recorded(const ovcshim::ProcessSlot& slot);

using ProcessId = std::pair<uint32_t, uint32_t>;  // index and serial of its ProcessSlot

// Counters of one process (sum of its stripes), or of all retired ones.
struct Totals {
  std::array<uint64_t, static_cast<size_t>(Op::kCallOps)> calls{}, failed{};
  std::array<uint64_t, ovcshim::kHistogramBuckets> sizes{};
  uint64_t requested_bytes = 0, calls_not_kept = 0, threads = 0;
};

// A place in each ring of the event lane: positions without kVitalBit and kMemoryBit.
struct LanePlace {
  uint64_t events = 0, vitals = 0, memory = 0;
};

// What stands at a position of a log that is being written.
enum class Stands : uint8_t {
  kRecord,   // a valid record, or one that was not wanted
  kNotYet,   // claimed, but its writer is not done, or died over it; or not claimed yet
  kNothing,  // given up by its claimer, or a later part of a record that begins before
  kPassed,   // overwritten
};
struct Look {
  Stands stands = Stands::kNotYet;
  unsigned parts = 0;  // of a record: slots it takes
  bool read = false;   // it was wanted, and has been copied
};

class LogReader {
 public:
  // Throws Error naming what is wrong: missing, unreadable, empty, not a regular file, not a log,
  // other byte order, unknown machine, newer incompatible version, shorter than its header says,
  // creation not finished.
  explicit LogReader(const std::string& path);
  ~LogReader();
  LogReader(const LogReader&) = delete;
  LogReader& operator=(const LogReader&) = delete;

  const std::string& path() const { return path_; }
  const ovcshim::FileHeader& header() const {
    return header_;
  }                            // copied at opening, strings terminated
  LanePlace lane_end() const;  // slots claimed so far
  std::optional<uint64_t> host(ovcshim::FactKey key) const;  // host fact at creation

  // Calls `each` for valid events from `from` on, each ring in claim order, the three merged by
  // begin ticks (those of different threads may be slightly out of order); stops early when it
  // returns false. Returns the place after those looked at. Only those whose kind is wanted, if
  // that is given: the others are passed over unread.
  using Wanted = bool (*)(Op);
  LanePlace for_each_event(const std::function<bool(const Event&)>& each, LanePlace from = {},
                           Wanted wanted = nullptr) const;
  std::optional<Event> event_at(uint64_t position) const;
  // For those who follow: a record whose base `wants` declines is passed over without a copy of the
  // rest.
  using Wants = std::function<bool(const ovcshim::EventBase&)>;
  Look look(uint64_t position, Event& event, const Wants& wants) const;
  // Tick from which no call of the events and the memory ring has been overwritten; 0: none ever
  // was.
  uint64_t events_complete_from() const;
  bool events_overwritten() const;  // of these two rings, by the wrap
  bool vitals_overwritten() const { return ring(true).start != 0; }

  // The threads that have records in the call lane; their chunks oldest first.
  std::vector<CallThread> call_threads() const;

  // Calls `each` for every valid call record, each thread's in exact order, threads merged by time
  // marks (records between two marks of a thread come together).
  void for_each_call(const std::function<bool(const Call&)>& each) const;

  // Of the area that GrowthLog reads. Throws beyond it.
  const unsigned char* growth_bytes(uint64_t offset, uint64_t bytes) const;
  // Likewise, of the one that kept_readings reads.
  const unsigned char* readings_bytes(uint64_t offset, uint64_t bytes) const;

  std::vector<Process> processes() const;  // slots in use, by index
  std::optional<Process> process(uint32_t index, uint32_t serial) const;
  // The name that the process of an event had then: an exec gives it another. Empty: not known.
  std::string comm_at(const ovcshim::EventBase& event) const;
  std::map<ProcessId, Totals> totals() const;  // of processes with counters of their own
  Totals retired_totals() const;
  uint64_t retired_processes() const;
  Totals shared_totals() const;   // kSharedStripe
  Losses losses() const;          // walks the event lane
  Losses counted_losses() const;  // those that the shim counted itself: nothing is walked
  uint64_t call_chunks() const;   // size of the call lane; 0: off

  // Clocks. Seconds between ticks from the calibration pairs in the log (header, kStart and
  // kSnapshot facts).
  double ns_per_tick() const { return ns_per_tick_; }
  int64_t ticks_to_ns(int64_t ticks) const;
  int64_t posix_ns(uint64_t tick) const;  // wall clock, ns since 1970
  // Calibrates anew from what a live log has by now: walks the event lane.
  void renew_clock() { calibrate(); }

 private:
  friend class CallThread;
  friend class MemoryRecords;
  struct ClockBase {  // the wall clock ran without a step from this tick on
    uint64_t tick;
    int64_t posix_ns;
  };
  void map_file(const std::string& path);
  std::string other_kind() const;
  void check_header(size_t on_disk);
  void check_areas();
  void calibrate();
  std::vector<ovcshim::ClockPair> clock_pairs() const;
  void set_wall_clock(const std::vector<ovcshim::ClockPair>& pairs);
  struct Ring {  // of the event lane
    uint64_t offset, slots, mark;
    uint64_t start, end;  // the claims that can still be there; not positions: without the mark
  };
  Ring ring(bool vital) const;
  class Walk;
  class RingWalk;
  class MemoryWalk;
  uint64_t oldest_complete(Walk& walk) const;
  std::optional<Event> memory_at(uint64_t position) const;
  Look look_at_memory(uint64_t count, Event& event, const Wants& wants) const;
  struct Start {  // of a process, by a fork or an exec
    uint64_t tick;
    bool forked;
    std::string name;  // of an exec
  };
  void find_starts() const;
  std::string comm_at(ProcessId id, uint64_t tick) const;
  // The first claim from `count` on whose slot can have been written: holes of a sparse file are
  // passed over.
  uint64_t next_written(const Ring& ring, uint64_t count) const;
  void add_clock_pairs(const Ring& ring,
                       const std::function<void(const ovcshim::ClockPair&)>& add) const;
  unsigned copy_event(uint64_t position, unsigned char* payload, bool& updating) const;
  unsigned read_event(uint64_t position, Event& event) const;
  unsigned unwanted_parts(uint64_t position, Wanted wanted) const;
  bool is_tail(const Ring& ring, uint64_t count) const;
  void count_losses(const Ring& ring, uint64_t& overwritten, uint64_t& torn) const;
  const ovcshim::Slot& slot_at(uint64_t position) const;
  const unsigned char* chunk_at(uint64_t index) const;
  uint64_t next_written_chunk(uint64_t index) const;  // likewise; call_chunks() if there is none
  uint64_t damaged_chunks() const;
  void for_each_stripe(
      const std::function<void(const ovcshim::Stripe&, uint64_t index)>& each) const;
  ovcshim::RetiredTotals retired() const;

  std::string path_;
  LogMapping bytes_;
  ovcshim::FileHeader header_{};
  std::unique_ptr<MemoryRecords> memory_;
  double ns_per_tick_ = 1.0;
  std::vector<ClockBase> wall_;                             // by tick, never empty
  mutable std::map<ProcessId, std::vector<Start>> starts_;  // found so far, ascending
  mutable LanePlace starts_until_;
};

// The newest log in the working directory, else in /var/tmp: ovcshim.*.ovc by modification time.
// Empty if there is none.
std::string newest_log_if_any();
// The same. Throws Error if there is none.
std::string newest_log();
// `log`, or newest_log() if it is empty.
std::string log_or_newest(const std::string& log);

}  // namespace ovc
