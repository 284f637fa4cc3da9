// SPDX-License-Identifier: MIT
//
// Who sent the signal that ended a process: the recorded calls of kill and its kin. Only what
// recorded processes sent is known; nothing is concluded from its absence.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/log/log_reader.h"
#include "tools/symbols/symbols.h"

namespace ovc {

struct Sender {
  uint32_t pid = 0;
  std::string comm;  // raw
  std::string call;  // "kill(7143, SIGKILL)"; escaped
  std::vector<std::string> functions;
  uint64_t tick = 0;
  bool to_group =
      false;  // to a process group or all: whether the process was in it is not recorded
};

class Senders {
 public:
  explicit Senders(const LogReader& log);
  // The last before `to` of those sent to the process since `from`; `signal` 0: any.
  std::optional<Sender> of(uint32_t pid, int signal, uint64_t from, uint64_t to,
                           Symbols& symbols) const;

 private:
  struct Sent {
    uint64_t position = 0, tick = 0;
    int64_t target = 0;  // as given to kill: 0 and below are groups
    int signal = 0;
    uint32_t sender = 0;
  };
  const LogReader& log_;
  std::vector<Sent> sent_;  // by time
};

// "bash (pid 12): kill(7143, SIGKILL) at 14:23:33.819; asked by stop_all"
std::string sender_text(const LogReader& log, const Sender& sender);

}  // namespace ovc
