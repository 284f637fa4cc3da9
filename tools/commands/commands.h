// SPDX-License-Identifier: MIT
//
// The commands of ovc, one function each. They print data on stdout, throw Error when they cannot
// do the work, and return the exit status: 0 nothing found wrong, 1 something found.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/export/export_formats.h"
#include "tools/log/call_families.h"

namespace ovc {

struct WhyOptions {
  std::string log;
  bool json = false;
  bool all = false;                          // also refusals that did no harm
  std::optional<WaitedFor> waited_for = {};  // by `ovc run`
};

// Prints the verdicts on stdout. 0: nothing found wrong, 1: something found.
int why(const WhyOptions& options);

struct CheckOptions {
  std::string target;  // a process number, or a command name as in /proc/PID/comm; empty with `all`
  bool all = false, json = false, openmetrics = false, estimate = false, stacks = false;
  double watch_seconds = 0;  // 0: once
  std::string root;          // where /proc and /sys of the system looked at are; empty: this one's
};

// 0: a fork of each process that could be judged would pass. 1: one would be refused, or is
// borderline. Throws Error if there is no such process, or nothing could be judged.
int check(const CheckOptions& options);
// ovc check PID --stacks. 1: a thread waits for a lock that no thread of its process holds.
int stacks(const CheckOptions& options, const std::vector<uint32_t>& pids);

struct PlanOptions {
  std::string target;  // a process number, else a log; empty: the newest log
  std::optional<uint32_t> pid;
  std::optional<uint64_t> mode, ratio, kbytes, swap_bytes, ram_bytes,
      grow_bytes;    // in place of the host's
  size_t limit = 5;  // largest mappings listed
  bool json = false;
};

// 0: the fork would pass under these settings, 1: it would be refused or is borderline. Throws
// Error if that is not known.
int plan(const PlanOptions& options);

struct MapsOptions {
  std::string log;
  std::string at;               // as `ovc show --since`; empty: the end of the log
  std::optional<uint32_t> pid;  // default: of those alive the one with the most accountable memory,
                                // else the log's first
  bool json = false;
};

// Prints the mappings on stdout; 0.
int maps(const MapsOptions& options);

struct FollowOptions {
  std::string log;
  bool json = false;
  bool wait = false;      // for a log that is not there yet
  double interval = 1.0;  // seconds between two looks
  size_t last = 10;       // of what happened before: this many lines first
};

// 0: nothing found wrong, 1: a call was refused or a process killed.
int follow(const FollowOptions& options);

struct ReportOptions {
  std::string log;
  std::string page;  // a file; empty or "-": standard output
};

// 0: nothing found wrong, 1: something found, as `ovc why`.
int report(const ReportOptions& options);

int export_log(const ExportOptions& options);

struct ShowOptions {
  std::string log;
  std::vector<std::string> ops;  // names, or %families
  std::vector<uint32_t> pids, tids;
  std::string since, until;  // HH:MM:SS[.frac], or +seconds after the log's start
  uint64_t min_size = 0;
  bool failed = false, stacks = false, json = false, calls = true;
};
int show(const ShowOptions& options);

struct ForksOptions {
  std::string log;
  bool json = false;
};
int forks(const ForksOptions& options);

struct StatsOptions {
  std::string log;
  bool json = false;
  size_t limit = 20;    // processes or stacks shown, busiest first; 0: all
  bool stacks = false;  // who made them grow, instead
};
int stats(const StatsOptions& options);

struct DiffOptions {
  std::string log, second;   // the second empty: moments of one log
  std::string since, until;  // as `ovc show`
  size_t limit = 20;         // stacks shown; 0: all
  bool json = false;
};
int diff(const DiffOptions& options);

struct AttachOptions {
  std::string pid, log;  // empty: a name made of command and pid, here, else in /var/tmp
  uint64_t events_bytes = 16u << 20;
  uint32_t stack_depth = 32;
  bool malloc_family = false;
  uint64_t calls_bytes = 64u << 20, min_size = 0;  // with malloc_family
};
// 0: recorded from now on, or no longer. Throw Error with the reason, and what to do, where that
// cannot be.
int attach(const AttachOptions& options);
int detach(const AttachOptions& options);

// The shim's file beside ovc or where it is installed; its bare name if neither is there.
std::string shim_path();

struct RunOptions {
  std::string log;  // -o; empty: a name made of command and pid
  std::string events_size, calls_size, min_size, stack_depth,
      follow;                       // empty: leave the variable alone
  std::vector<std::string> inject;  // rules of OVCSHIM_INJECT
  std::string rehearse;             // OVCSHIM_REHEARSE; limit=+SIZE: above Committed_AS now
  std::vector<std::string> command;
};
// The command begins behind "--", or at the first word that is neither an option nor an option's
// value; the parser of our own options must not look at it. Returns how many words are left for
// that.
int cut_run_command(int argc, char** argv, std::vector<std::string>& command);
// Returns the exit status of the command.
int run(const RunOptions& options);

}  // namespace ovc
