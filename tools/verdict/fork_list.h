// SPDX-License-Identifier: MIT
//
// All forks of a log: who asked for each, what it was charged, which child it made and what became
// of that.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tools/causes/causes.h"
#include "tools/log/log_reader.h"
#include "tools/replay/unseen_images.h"
#include "tools/rules/commit_rules.h"
#include "tools/symbols/symbols.h"
#include "tools/verdict/process_end.h"

namespace ovc {

struct Fork {
  Event event;
  std::vector<std::string> functions;  // outside libc and the shim, innermost first
  std::string purpose, comm, object;
  std::optional<uint64_t>
      charge_kb;  // proven: from the list of mappings of a refused fork, or from the ledger
  std::optional<int64_t> committed_change_kb;  // observed
  std::string program;                         // the child's exec, if it came to a new image
  std::optional<UnseenImage> unseen;           // the child's last image, if it left no record
  // As far as some record tells. Its page faults are minor ones: each copied at most one page of
  // the parent's, or a huge one.
  std::optional<ProcessEnd> end;
  uint32_t child = 0;  // its pid; 0: none, or not known
};

class ForkList {
 public:
  // Without charges it does not replay the log, which takes its time.
  explicit ForkList(const LogReader& log, bool with_charges = true);

  const std::vector<Fork>& forks() const { return forks_; }  // by time
  // Children of recorded processes that no recorded call made.
  std::vector<Process> unseen_births() const;
  const ProcessEnds& ends() const { return ends_; }  // of all processes
  // Module -> calls of the fork family that it serves.
  const std::map<std::string, std::set<std::string_view>>& providers() const { return providers_; }

 private:
  void collect();
  void note(const Event& event);
  void note_births();
  void note_provider(const Event& event, const ovcshim::Fact& fact);
  void find_shell_children();
  void drop_inner_clones();
  void complete(Fork& fork);
  void charge_granted();
  void find_life(Fork& fork);
  void find_role(Fork& fork, uint64_t from, uint64_t to);
  uint64_t next_birth(uint32_t pid, uint64_t after) const;

  const LogReader& log_;
  Symbols symbols_;
  HostRules rules_;
  std::vector<Fork> forks_;
  std::map<uint32_t, std::vector<uint64_t>> births_;  // child pid -> its forks, by time
  ProcessEnds ends_;
  std::map<uint32_t, std::vector<std::pair<uint64_t, std::string>>>
      images_;                 // pid -> start of an image, its exe
  std::set<uint32_t> forked_;  // pids that began as a copy of their parent
  std::map<uint32_t, std::vector<UnseenImage>> unseen_images_;  // by pid
  std::map<uint32_t, std::vector<std::pair<uint64_t, uint64_t>>>
      exits_;  // by pid: when it asked for its end, position
  std::map<uint64_t, std::optional<uint64_t>> snapshots_;  // position of the failed call -> charge
  std::map<uint64_t, std::vector<Process>> processes_;     // by fork position
  std::map<std::string, std::set<std::string_view>> providers_;
};

// How the child of a granted fork ended, and what it ran: "exited, 0; ran /usr/bin/id". Escaped;
// empty if the fork was refused.
std::string fate_text(const Fork& fork);

}  // namespace ovc
