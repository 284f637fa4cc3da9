// SPDX-License-Identifier: MIT
//
// One victim: started under the shim with its own log and journal, killed at a moment that the seed
// decides, with all its children.
#pragma once
#include <cstdint>
#include <string>

#include "tests/trust/kill/journal.h"

namespace kill_test {

// What a seed stands for.
struct Plan {
  explicit Plan(uint64_t seed);
  std::string text() const;

  uint64_t seed;
  uint32_t threads, mapper, forks;
  std::string events_size, calls_size, stack_depth, internals;
  bool at_start;  // the moment counts from exec, else from the first call
  uint64_t moment_us;
};

struct Place {
  std::string shim, victim, folder;
  std::string log() const { return folder + "/log.ovc"; }
  std::string journal() const { return folder + "/journal"; }
};

// Maps the journal of the place anew, all zero.
class JournalFile {
 public:
  JournalFile(const Place& place, const Plan& plan);
  ~JournalFile();
  JournalFile(const JournalFile&) = delete;
  JournalFile& operator=(const JournalFile&) = delete;
  Journal& operator*() const { return *journal_; }

 private:
  Journal* journal_;
};

// Runs and kills; on return every process of the victim is dead and reaped. Throws
// std::runtime_error if the victim ended by itself.
void run_and_kill(const Place& place, const Plan& plan, Journal& journal);

}  // namespace kill_test
