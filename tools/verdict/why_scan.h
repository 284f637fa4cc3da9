// SPDX-License-Identifier: MIT
//
// One walk over the event lane that finds what `ovc why` is about: refused calls and where their
// proof lies, signs of how processes ended, and what can be said if nothing was refused. Keeps
// positions, not records: memory is bounded by the lane's number of events times a few words.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tools/causes/causes.h"
#include "tools/log/log_reader.h"
#include "tools/verdict/process_end.h"

namespace ovc {

struct ProcessKey {
  uint32_t index = ovcshim::kNoIndex, serial = 0, pid = 0;
  auto operator<=>(const ProcessKey&) const = default;
};
ProcessKey key_of(const Event& event);

// A call of the malloc, memory or fork family, for finding what happened inside what.
struct CallSpan {
  uint64_t begin = 0, end = 0, position = 0;
  Op op = Op::kNone;
  bool failed = false, inside_libc = false;
  bool changes_mappings =
      false;  // a memory call that was granted, other than the question where the break is

  // Can other calls be part of this one? An exported call may make libc's own, an allocation any
  // memory call.
  bool may_contain(const CallSpan& other) const;
};
CallSpan span_of(const Event& event);

// A record and when it was written: positions of the two rings of the event lane cannot be
// compared.
struct Moment {
  uint64_t tick = 0, position = 0;
};

// A reading of the OOM killer's counters.
struct OomReading {
  uint64_t tick = 0;
  std::optional<uint64_t> host_kills, group_kills;
  ProcessKey process;
};

// What is known of one process besides its slot.
struct ProcessSigns {
  uint64_t last_tick = 0;
  uint64_t events = 0;
  std::vector<Moment> listed;     // refused calls whose mappings were listed, ascending
  std::vector<Moment> baselines;  // kStart and kSnapshot records with counters, ascending
  std::map<uint32_t, std::vector<CallSpan>> spans;  // by thread, ascending begin
  std::map<Op, uint64_t> granted_since;  // tick of the first call of a kind that was granted
  std::vector<std::pair<uint64_t, uint64_t>>
      breaks;  // when brk or sbrk was granted, and the break then; ascending
  uint64_t noreserve_kb = 0,
           noreserve_calls =
               0;  // granted private writable MAP_NORESERVE mappings that were not charged
  uint64_t accounted_kb = 0, accounted_calls = 0;  // granted mappings that were charged
  std::optional<uint64_t>
      noreserve_mode;  // the setting last seen when the newest of those was made
  uint64_t forks = 0,
           failures = 0;  // failures: of the counted memory and fork calls, whatever the reason
  std::optional<uint64_t> last_fork;  // position
};

// Calls of one kind that failed with one errno and count as no refusal.
struct OtherFailure {
  Op op = Op::kNone;
  uint16_t err = 0;
  uint64_t count = 0;
};

class WhyScan {
 public:
  explicit WhyScan(const LogReader& log);

  const std::vector<uint64_t>& refused() const {
    return refused_;
  }  // positions of refused calls worth a verdict, by time
  const std::map<ProcessKey, ProcessSigns>& processes() const { return processes_; }
  std::vector<OtherFailure> other_failures() const;    // most frequent first
  uint64_t unfinished() const { return unfinished_; }  // counted calls begun, not known to return
  // Of OVCSHIM_INJECT and OVCSHIM_REHEARSE, where a start record says.
  std::optional<bool> inject_in_force() const { return inject_in_force_; }
  std::optional<bool> rehearse_in_force() const { return rehearse_in_force_; }
  const ProcessEnds& ends() const { return ends_; }
  // When the process of this pid asked for the exec from which it has not come back, and which no
  // image of ours followed; 0: it did not.
  uint64_t exec_tick(uint32_t pid) const;
  const std::vector<OomReading>& oom() const { return oom_; }
  const HostRules& rules() const { return rules_; }

  // Everything recorded about a refused call, and about the calls that were part of it.
  Evidence evidence(const Event& event) const;
  // The call of the same thread that this one was part of, nullptr if there is none.
  const CallSpan* around(const Event& event) const;
  // The snapshot that was taken for the record at this position.
  std::optional<Event> snapshot_about(uint64_t position) const;
  // The newest record before this one that has counters: of the process, or of an ancestor.
  std::optional<Event> baseline_of(const Event& event) const;
  // Was any memory call granted to the process of this event between the two ticks?
  bool changed(const Event& event, uint64_t from_tick, uint64_t to_tick) const;
  // The call that the same thread made next, not one of libc's own; nullptr if there is none.
  const CallSpan* next_of(const Event& event) const;

 private:
  void take(const Event& event);
  void take_call(const Event& event, ProcessSigns& signs);
  void take_fork(const Event& event, ProcessSigns& signs);
  void take_facts(const Event& event, ProcessSigns& signs);
  void sort_spans();
  Evidence alone(const Event& event) const;
  void add_mappings(Evidence& evidence, uint64_t position) const;
  void borrow_mappings(Evidence& evidence) const;
  bool changed_between(const ProcessSigns& signs, uint64_t from_tick, uint64_t to_tick) const;
  std::optional<ovcshim::MappingEntry> made_before(const Event& event,
                                                   const HostRules& rules) const;
  std::optional<uint64_t> old_break(const Event& event) const;
  const std::vector<CallSpan>* spans_of(const Event& event) const;
  std::vector<const CallSpan*> inside(const Event& event) const;
  bool continues_streak(const CallSpan& earlier, const CallSpan& later) const;
  void add_proof(Evidence& evidence) const;

  const LogReader& log_;
  HostRules rules_;
  bool granted_over_limit_ = false;  // of mode 0: then the limit is not the kernel's
  std::vector<uint64_t> refused_;
  std::map<ProcessKey, ProcessSigns> processes_;
  std::map<ProcessKey, ProcessKey> parents_;
  std::unordered_map<uint64_t, uint64_t> snapshots_;  // by position of what they prove
  std::unordered_map<uint64_t, std::vector<uint64_t>> mappings_;
  ProcessEnds ends_;
  std::map<std::pair<Op, uint16_t>, uint64_t> other_failures_;
  uint64_t unfinished_ = 0;
  std::optional<bool> inject_in_force_, rehearse_in_force_;
  std::map<uint32_t, uint64_t> execs_;  // by pid; a vfork child's record names its parent's slot
  std::vector<OomReading> oom_;
};

// Is this failed call one that says something about memory or tasks? Waits with no child, exec of a
// missing file and the like are normal life.
bool is_refusal(const Event& event);

}  // namespace ovc
