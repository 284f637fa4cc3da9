// SPDX-License-Identifier: MIT
//
// The facts of this host that decide about a fork of any process: memory, settings, tasks. Read
// again whenever asked, since they change all the time.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "tools/host/proc_files.h"
#include "tools/rules/commit_rules.h"

namespace ovc {

// Tasks by real user id, as far as /proc shows them.
struct TaskCensus {
  std::map<uint64_t, uint64_t> tasks_of_user;
  bool whole_namespace =
      false;  // none of this pid namespace and those below it is hidden from us: no hidepid
  bool complete = false;  // none of the machine is: that, in the initial pid namespace
};

class LiveHost {
 public:
  explicit LiveHost(SystemRoot root);

  const SystemRoot& root() const { return root_; }
  // The part of the rules that does not change: kernel, page size, CPUs.
  const HostRules& fixed() const { return fixed_; }
  // meminfo, overcommit settings and task limits as they are now.
  std::vector<ovcshim::Fact> facts() const;
  HostRules rules() const { return with_facts(fixed_, facts()); }
  // Walks /proc once; later calls give the same.
  const TaskCensus& census() const;
  std::vector<uint32_t> pids() const;  // ascending

 private:
  SystemRoot root_;
  HostRules fixed_;
  mutable std::optional<TaskCensus> census_;
};

}  // namespace ovc
