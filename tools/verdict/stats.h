// SPDX-License-Identifier: MIT
//
// What `ovc stats` prints, gathered: exact totals per process, what was lost, what was not
// recorded.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tools/log/log_reader.h"
#include "tools/log/names.h"
#include "tools/replay/ledger.h"
#include "tools/replay/unseen_images.h"
#include "tools/symbols/symbols.h"
#include "tools/verdict/process_end.h"

namespace ovc {

struct ProcessStats {
  Process process;
  Totals totals;
  std::map<std::string, std::string> served_by;  // call -> module of its newest image
  std::optional<uint64_t> own_mapped_kb, own_commit_kb, own_start_ns;
  std::optional<Coverage> growth;  // of accountable memory, and what calls explain of it
  ProcessEnd end;
  std::map<std::string_view, uint64_t>
      unexplained_kb;              // kind of mapping -> what it grew by without a call
  bool calls_overwritten = false;  // memory calls of the time that `growth` is about
  // The highest of all readings since the program began.
  std::optional<uint64_t> peak_vm_size_kb{}, peak_resident_kb{}, peak_data_kb{};
  std::string inside_libc{};  // are the calls that libc makes itself recorded?
  uint64_t calls() const;
};

struct Loss {
  std::string_view key;  // in JSON
  uint64_t count;
  std::string_view what;
};

struct Stats {
  std::vector<ProcessStats> processes;  // busiest first
  Totals retired, shared;
  uint64_t retired_processes = 0;
  std::vector<Loss> losses;              // all, zero ones included
  std::vector<std::string> blind_spots;  // sentences
  uint64_t first_tick = 0, last_tick = 0, events = 0;
};

// Processes that another log of the family has are not among what this one cannot see.
Stats gather_stats(const LogReader& log, Symbols& symbols, const SeenElsewhere& seen = {});

// Why the log is smaller than asked for; empty if it is not.
std::string size_reason(const LogReader& log);

// Bucket b counts requests of 2^(b-1) .. 2^b - 1 bytes; the last one also larger ones.
std::pair<uint64_t, uint64_t> bucket_bounds(size_t bucket);

}  // namespace ovc
