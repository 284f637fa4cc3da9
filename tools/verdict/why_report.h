// SPDX-License-Identifier: MIT
//
// What `ovc why` found in a log, before it is written as text or JSON.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/causes/causes.h"
#include "tools/log/call_families.h"
#include "tools/log/log_reader.h"
#include "tools/replay/holders.h"
#include "tools/replay/unseen_images.h"
#include "tools/symbols/living_processes.h"
#include "tools/symbols/symbols.h"
#include "tools/text/json_fwd.h"
#include "tools/verdict/child_stories.h"
#include "tools/verdict/why_scan.h"

namespace ovc {

// The machine that runs ovc, as far as it is the one the log tells of. Tests put their own in its
// place.
struct HostNow {
  using Alive = ovc::Alive;
  std::string boot_id;
  std::optional<uint64_t> mode, oom_kills;
  std::function<Alive(const ovcshim::ProcessSlot&)> alive;  // asked only if the boot is the same
  // Its number as we see it; 0: not known. The clock, ns since 1970.
  std::function<uint32_t(const ovcshim::ProcessSlot&)> pid_here;
  int64_t posix_ns = 0;
  std::optional<WaitedFor> waited_for = {};  // by `ovc run`: how what it started ended
};
HostNow host_now();

// A refused call, or several of the same kind: same process, call, caller and errno, and a verdict
// that would print the same but for its figures, which are the first one's.
struct Verdict {
  Event event;  // the first of them
  Finding finding;
  std::string comm;  // raw, like all text here
  std::vector<std::string>
      callers;               // functions, innermost first; module+offset where there is no name
  std::string_view purpose;  // empty if unknown
  uint64_t count = 1, last_tick = 0;
  std::vector<uint64_t> positions;           // of the first kMostPositions
  bool coped = false;                        // no harm came of it:
  std::string_view coped_how = {};           // see harmless.h
  uint64_t least_bytes = 0, most_bytes = 0;  // asked for, of calls that have a size
  bool figures_differ = false;
  std::optional<Held> held;  // of a refused fork, when it was refused
};
inline constexpr size_t kMostPositions = 1000;

// How a process ended that is worth telling, or several of the same name in the same way.
struct Ending {
  std::string_view id;  // "killed-by-signal", "aborted", "no-exit-recorded"
  std::string comm;
  uint32_t pid = 0;  // of the first
  uint64_t tick = 0;
  bool exact = false;    // tick is when it was learned of; else it is the last sign of life
  bool by_wait = false;  // its parent was told of it; else it is its own record that says so
  bool by_run = false;   // ... or `ovc run`, which started it
  int signal = 0;
  std::string reason;   // of an exit that could not be seen: why; raw, empty if not known
  std::string sent_by;  // who sent the signal, if a recorded process did; escaped
  uint32_t sender_pid = 0;
  std::vector<std::string> callers;  // of abort(), innermost first; raw
  std::vector<std::string> notes;
  uint64_t count = 1, last_tick = 0;
};

// The granted forks of one process, or of several of the same name whose last fork was asked for in
// the same way.
struct ForkGroup {
  std::string comm;
  uint32_t pid = 0;                   // of the first
  uint64_t count = 0, last_tick = 0;  // last_tick 0: no record is left
  std::vector<std::string> callers;   // of the last one
  std::string_view purpose;
  uint64_t processes = 1;
};

// A process whose granted mappings were mostly MAP_NORESERVE, so that a fork is charged little for
// them.
struct NoReserveUse {
  std::string comm;
  uint32_t pid = 0;
  uint64_t noreserve_kb = 0, calls = 0, accounted_kb = 0;
  std::optional<uint64_t> mode_then;
};

struct WhyReport {
  std::vector<Verdict> verdicts;      // by time of the first of each group
  std::vector<Ending> endings;        // suspicious ones
  std::vector<Ending> quiet_endings;  // gone, and no exit recorded: no finding
  std::vector<Ending>
      asked_endings;  // by SIGTERM and other signals that are no finding; probes that were killed
  std::vector<ChildStory> children;  // copies of their parent that failed or never end
  std::vector<ForkGroup> forks;      // most forks first
  uint64_t other_forks = 0;          // counted, but who made them has been overwritten
  std::vector<NoReserveUse> noreserve;
  std::vector<UnseenProgram> unseen;         // left no record of their own
  std::vector<std::string> unseen_code;      // what recorded processes did unseen; raw sentences
  std::vector<std::string> seen;             // names of the processes looked at, busiest first; raw
  std::vector<OtherFailure> other_failures;  // failed, but no refusal; most frequent first
  std::vector<std::string> notes;            // losses, OOM kills without a victim in the log
  std::optional<uint64_t> mode_now;          // if the boot is the same
  uint64_t processes = 0, events = 0;
  bool found() const;  // something is wrong: exit status 1
};

// seen: images that another log of the same tree has.
WhyReport why_report(const LogReader& log, const HostNow& now, const SeenElsewhere& seen = {});

// Its parts.
std::vector<Verdict> find_verdicts(const LogReader& log, const WhyScan& scan, Symbols& symbols);
// Of these refused calls only, each by itself: none is counted together with others like it.
std::vector<Verdict> judge_each(const LogReader& log, const WhyScan& scan, Symbols& symbols,
                                std::span<const uint64_t> positions);
struct EndsFound {
  std::vector<Ending> suspicious, quiet, asked;  // by time
};
EndsFound find_endings(const LogReader& log, const WhyScan& scan, Symbols& symbols,
                       const HostNow& now);
bool same_boot(const LogReader& log, const HostNow& now);
// Neither holds where the log or this machine does not say its boot id (no /proc).
bool other_boot(const LogReader& log, const HostNow& now);
// now.alive() of one process, without a look at all others where its pid is of our own namespace.
Alive is_alive(const ovcshim::ProcessSlot& slot, const HostNow& now);

// One of them in words: a title, then labelled facts. Escaped already, as for a terminal.
struct Told {
  std::string title;
  std::vector<std::pair<std::string_view, std::string>>
      lines;  // label, text; a label that repeats belongs to the same list
  void add(std::string_view label, std::string_view text) { lines.emplace_back(label, text); }
};
Told tell(const LogReader& log, const Verdict& verdict);
Told tell(const LogReader& log, const Ending& ending);
Told tell(const LogReader& log, const ChildStory& story);
// What was not seen, one line each; escaped.
std::vector<std::string> unseen_lines(const WhyReport& report);
// What is worth saying of a log in which nothing is wrong: one line each.
std::string nothing_found_text(const LogReader& log, const WhyReport& report);

// As text for people: those without harm one by one if `all`, else counted. And as JSON: always
// all.
std::string why_text(const LogReader& log, const WhyReport& report, bool all = false);
Json why_object(const LogReader& log, const WhyReport& report);
std::string why_json(const LogReader& log, const WhyReport& report);

}  // namespace ovc
