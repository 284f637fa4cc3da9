// SPDX-License-Identifier: MIT
//
// How a process ended: the one place that decides it, from all that the log holds. Evidence, the
// strongest first: what its parent's wait was told by the kernel; what it asked for itself (exit,
// _exit, quick_exit, abort, daemon's parent, its destructors); what its slot keeps of that. Where
// there is none, nothing is concluded: a process of which no exit is recorded may have been killed,
// may have left by a system call that the shim does not see, or may still run.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/log/log_reader.h"

namespace ovc {

enum class EndKind : uint8_t {
  kNotRecorded,
  kExited,   // with a status, or normally with one that is not known
  kAborted,  // it called abort() itself, and nothing says that it lived on
  kKilled,   // by a signal, as its parent's wait says
};

// What one record says of the end of a process.
struct EndSign {
  uint32_t pid = 0;
  EndKind kind = EndKind::kNotRecorded;
  std::optional<int> status;  // 0..255
  int signal = 0;
  uint64_t tick = 0, position = 0;
  std::string_view seen_by;  // "wait", "exit", "_exit", "quick_exit", "abort", "log", "daemon"
  uint32_t waiter =
      ovcshim::kNoIndex;  // of a wait: ProcessSlot of the process that waited, its pid
  uint32_t waiter_pid = 0;
  uint64_t max_rss_kb = 0, page_faults = 0;  // 0: not asked for, not known
  uint16_t err = 0;  // of an exit asked for: errno just then; 0: none, or not known
};
std::optional<EndSign> end_sign(const Event& event);

struct ProcessEnd {
  EndKind kind = EndKind::kNotRecorded;
  std::optional<int> status;
  int signal = 0;
  uint64_t tick = 0;            // the earliest that a record of this end has; 0: none
  std::string_view seen_by;     // by what it was decided; empty: not recorded
  std::optional<EndSign> told;  // the wait that was told of it
  uint64_t max_rss_kb = 0, page_faults = 0;
  uint16_t err = 0;               // errno when it asked for its end; 0: none, or not known
  std::optional<uint64_t> asked;  // position of the call by which it asked for its end
};
// "exited, 0", "ended normally", "called abort", "killed by SIGKILL", "no exit recorded"
std::string end_text(const ProcessEnd& end);
// As waitpid() told of it.
ProcessEnd end_of_status(uint32_t pid, int status);
// Killed by what is nobody's way to end a program on purpose (SIGKILL, SIGSEGV, SIGABRT, ...).
bool is_suspicious(const ProcessEnd& end);
bool is_suspicious_signal(int signal);

class ProcessEnds {
 public:
  void note(const Event& event);
  // Of the process that had this pid between two ticks, both not included.
  ProcessEnd of(uint32_t pid, uint64_t from, uint64_t to) const;
  // Of a process of the table. `log` is where its fork is looked up: a child in a new pid namespace
  // has another number there.
  ProcessEnd of(const LogReader& log, const Process& process) const;
  // Every wait that was told of an end, by the pid it returned.
  const std::map<uint32_t, std::vector<EndSign>>& told() const { return told_; }
  // The tick at which the pid was next given to a new process; UINT64_MAX: never, as far as known.
  uint64_t next_birth(uint32_t pid, uint64_t after) const;
  // What the pid was running at that time: a file's path, raw; empty if no record says.
  std::string image_of(uint32_t pid, uint64_t at) const;

 private:
  struct Image {
    uint64_t tick;
    std::string exe;
  };
  const EndSign* newest_told(uint32_t pid, uint64_t from, uint64_t to) const;
  void add_own(uint32_t pid, uint64_t from, uint64_t to, ProcessEnd& end) const;
  static void add_told(const EndSign* told, ProcessEnd& end);

  std::map<uint32_t, std::vector<EndSign>> own_, told_;
  std::map<uint32_t, std::vector<uint64_t>> births_;  // when each pid was given to a new process
  std::map<uint32_t, std::vector<Image>> images_;
};

}  // namespace ovc
