// SPDX-License-Identifier: MIT
//
// The commands of ovc, one function each. They print data on stdout, throw Error when they cannot do the work, and
// return the exit status: 0 nothing found wrong, 1 something found.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/cmd_check.h"
#include "tools/cmd_export.h"
#include "tools/cmd_follow.h"
#include "tools/cmd_maps.h"
#include "tools/cmd_plan.h"
#include "tools/cmd_report.h"
#include "tools/cmd_why.h"

namespace ovc {

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
  size_t limit = 20;  // processes shown, busiest first; 0: all
};
int stats(const StatsOptions& options);

struct RunOptions {
  std::string log;                                                     // -o; empty: a name made of command and pid
  std::string events_size, calls_size, min_size, stack_depth, follow;  // empty: leave the variable alone
  std::vector<std::string> inject;                                     // rules of OVCSHIM_INJECT
  std::string rehearse;                                                // OVCSHIM_REHEARSE; limit=+SIZE: above Committed_AS now
  std::vector<std::string> command;
};
// The command begins behind "--", or at the first word that is neither an option nor an option's value; the parser of our
// own options must not look at it. Returns how many words are left for that.
int cut_run_command(int argc, char** argv, std::vector<std::string>& command);
// Returns the exit status of the command.
int run(const RunOptions& options);

}  // namespace ovc
