// SPDX-License-Identifier: MIT
//
// What went wrong in children that are copies of their parent though no fork was refused: saves
// that exit with an error, and a child that never ends.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/host/lock_wait.h"
#include "tools/verdict/siblings.h"

namespace ovc {

struct HostNow;

struct ChildStory {
  std::string_view id;                      // "children-failed", "child-stuck", "child-lives-long"
  Siblings of;                              // copies: the failed ones, or the one that lives
  bool found = false;                       // it is a finding; else it is only worth a line
  uint64_t ended = 0;                       // siblings that ended, failed or not
  int64_t shortest_ns = 0, longest_ns = 0;  // lives: of the failed, or of those that ended
  // Failed: the newest one's end, and its last calls that failed, oldest first.
  int status = 0;
  uint16_t err = 0;  // errno when it asked for its end; 0: not known
  std::vector<Event> last_calls;
  // Alive.
  uint32_t pid_here = 0;  // its number for this process; 0: not known
  int64_t alive_ns = 0;
  std::optional<LockWait> wait;
};

// A child that lives now.
struct Living {
  uint32_t pid_here = 0;  // its number for this process; 0: not known
  int64_t alive_ns = 0;
  std::optional<LockWait> wait;
};
std::optional<Living> living(const LogReader& log, const HostNow& now, const Process& process);
// "alive for 8.0 s", "stuck: alive for 8.0 s, waits for a lock that nobody can give back"
std::string living_text(const Living& life);

// Is there any child that could have a story? Asked first: the list of forks takes its time.
bool may_have_stories(const LogReader& log, const ProcessEnds& ends, const HostNow& now);
// By time. What lives now is known only on the machine of the log.
std::vector<ChildStory> child_stories(const LogReader& log, const ForkList& forks,
                                      const HostNow& now);

}  // namespace ovc
