// SPDX-License-Identifier: MIT
//
// What is told of a log while it is written: refused calls with their verdict, forks and how their
// children end, new programs, processes that vanish, lost records. One Happening is one line of
// output. Memory depends on how many processes and calls are open at a time, not on how long the
// log is followed.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/log/lane_tail.h"
#include "tools/log/log_reader.h"
#include "tools/symbols/symbols.h"
#include "tools/text/json.h"
#include "tools/text/output.h"
#include "tools/verdict/why_report.h"

namespace ovc {

enum class Kind : uint8_t { kRefused, kForked, kBegan, kEnded, kVanished, kLost, kStuck };

struct Happening {
  Kind kind = Kind::kLost;
  bool wrong = false;  // refused, killed, lost
  uint64_t times = 1;  // calls told together, or what was lost
  uint64_t tick = 0;   // 0: not known, noticed now
  uint32_t pid = 0;    // 0: it is about the log
  std::string comm;    // raw
  std::string text;    // what it did; escaped
  Json fields;         // the same for programs
};
std::string_view kind_name(Kind kind);  // in JSON

// The sizes of a process's address space, from the newest call that carries them.
struct SizeNow {
  uint64_t tick = 0, vm_size_pages = 0, data_pages = 0;
};

class Story {
 public:
  explicit Story(const LogReader& log);

  // What is new since the last time, by time. `last`: nothing is waited for any more.
  std::vector<Happening> go_on(const HostNow& now, bool last = false);
  // Have all processes of the log ended? Asks the machine. False if that cannot be known from here.
  bool all_ended(const HostNow& now) const;
  // Those that have not ended, as far as can be told from here.
  std::vector<Process> running(const HostNow& now) const;
  bool found() const { return found_; }  // something was refused or killed
  double share_read() const { return tail_.share_read(); }
  // Per process: refused calls and granted forks seen; the newest sizes.
  struct Seen {
    uint64_t refused = 0, forks = 0;
    SizeNow size;
  };
  const std::map<ProcessId, Seen>& seen() const { return seen_; }

 private:
  using Thread = std::pair<uint32_t, uint32_t>;  // pid, tid
  using Clock = std::chrono::steady_clock;
  struct Outer {  // the newest call of the fork family that a thread made itself
    uint64_t begin = 0, end = 0;
  };
  struct Child {
    std::string comm, purpose;
    uint64_t tick = 0;
    uint64_t end_tick = 0;  // 0: its end has not been told
  };
  struct Goodbye {  // a normal end: with which status a wait may tell, if there is one
    uint64_t tick = 0;
    std::string comm;
    unsigned looks = 0;
  };
  struct Waiting {  // a refused call whose proof may not be complete yet
    uint64_t position = 0;
    Clock::time_point since;
    Thread thread{};
    uint64_t begin = 0, end = 0;
    bool proven = false;
    bool inside(const Waiting& other) const {
      return position != other.position && thread == other.thread && begin >= other.begin &&
             end <= other.end;
    }
  };

  bool wants(const ovcshim::EventBase& base);
  void take(const Event& event);
  void take_fork(const Event& event);
  void take_start(const Event& event);
  void take_exit(const Event& event);
  void take_exec(const Event& event);
  void take_wait(const Event& event);
  void tell_waited(const EndSign& told);
  bool is_inner_clone(const Event& event) const;
  void tell_ends(bool last);
  void tell_end(const EndSign& sign, uint64_t tick, const std::string& comm);
  void judge(bool last);
  void tell_verdicts(const std::vector<Verdict>& verdicts);
  void tell_verdict(const Verdict& verdict, uint64_t times);
  void note_vanished(const HostNow& now, bool last);
  void note_stuck(const HostNow& now);
  void note_losses();
  void bound_memory();
  Happening& tell(Kind kind, uint64_t tick, uint32_t pid, std::string comm);
  std::string comm_of(const Event& event) const;
  std::string name_of(uint32_t pid) const;

  const LogReader& log_;
  LaneTail tail_;
  Symbols symbols_;
  std::vector<Happening> told_;
  std::map<Thread, Outer> outer_;
  std::map<uint32_t, Child> children_;    // by pid: forked in this log, or begun in it
  std::map<uint32_t, Goodbye> goodbyes_;  // by pid
  std::vector<EndSign> waits_;  // of this reading: a wait stands before its child's records
  std::vector<Waiting> refused_;
  std::set<uint64_t> proofs_;  // what the snapshots of this reading are about
  std::map<ProcessId, Seen> seen_;
  std::map<ProcessId, uint64_t>
      execs_;  // position of an exec that no new image has followed so far
  std::set<ProcessId> gone_,
      missed_,  // known to be dead; found dead at the last look, nothing was told of it yet
      stuck_;   // told that it waits for ever
  std::map<std::string_view, uint64_t> lost_;
  uint64_t unjudged_ = 0;  // refused calls, more than can be looked at one by one
  Clock::time_point next_judgement_{};
  bool found_ = false, begun_ = false;
};

}  // namespace ovc
