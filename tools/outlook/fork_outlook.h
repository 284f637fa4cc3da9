// SPDX-License-Identifier: MIT
//
// Would a fork of a running process pass? Pure: the facts of a LiveProcess against the commit rules
// and the limits on tasks, in the order in which the kernel checks them. What a limit that cannot
// be seen would say stays unknown.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/outlook/live_process.h"

namespace ovc {

enum class Answer : uint8_t {
  kPass,
  kBorderline,  // the arithmetic says pass or fail, but by less than the kernel's own counter may
                // be off
  kFail,
  kUnknown,
};
std::string_view answer_name(Answer answer);  // "pass", "borderline", "fail", "unknown"

// A limit that is not about commit.
struct LimitCheck {
  std::string_view cause;  // stable name, as in Finding::cause
  Answer answer = Answer::kUnknown;
  std::optional<uint64_t> used, limit;
  std::string_view unit = "tasks";
  std::string what;  // "pids.max of /sys/fs/cgroup/a", raw
};

struct ForkOutlook {
  Answer answer = Answer::kUnknown;  // in the mode in force, all limits together
  std::string reason;                // of kUnknown, for people
  CommitOutlook commit;              // exact, or of the highest charge possible
  bool estimated = false;            // commit.charge is an upper bound; the lower one is 0
  std::vector<LimitCheck> limits;
  // What stands in the way, with the figures that show it and what to do, as `ovc why` would tell
  // it afterwards. No cause if nothing does; then the commit arithmetic alone.
  Finding finding;
};
ForkOutlook fork_outlook(const LiveProcess& process);

}  // namespace ovc
