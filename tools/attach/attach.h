// SPDX-License-Identifier: MIT
//
// Recording in a process that runs already: brings the shim into it, and takes it out again.
// What is done in which thread: one thread that waits for work is held and makes the calls; the
// others run on while the loader works and the log is made, and stand still only while libc's
// system calls are changed. The mappings are listed when all run again.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "shim/format/log_format.h"

namespace ovc {

struct AttachWish {
  uint32_t pid = 0;
  std::string shim;               // the library's file
  std::vector<std::string> logs;  // absolute; the first that can be made
  uint64_t events_bytes = 16u << 20;
  uint32_t stack_depth = 32;
  bool malloc_family = false;
  uint64_t calls_bytes = 64u << 20, min_size = 0;  // with malloc_family
};

struct AttachOutcome {
  uint32_t pid = 0, tid = 0;  // tid: in which the calls were made
  std::string comm, log;      // raw
  uint64_t threads = 0;
  int64_t stopped_ns = 0;  // all threads stood still
  int64_t held_ns = 0;     // one thread was held
  int64_t loader_ns = 0;   // of it, in the loader
  ovcshim::Clock clock{};  // of the log
  // Addresses of malloc's family: that reach the shim; not, being bound elsewhere; not, as the
  // kernel forbids it. Detach: that stay the shim's, 0, 0.
  uint64_t bound = 0, bound_elsewhere = 0, bound_unwritable = 0;
  bool whole = true;  // all of libc's calls are seen; detach: all memory was given back
};

// Both throw Error where it cannot be done, with what was in the way and what to do; the process is
// then as it was, but for a library that is mapped and silent.
AttachOutcome attach_to(const AttachWish& wish);
AttachOutcome detach_from(uint32_t pid);

// Reads the mappings of a process that has been attached to, while it runs, and has them written
// into its log. Empty: done; else why not. Whether calls that were made meanwhile leave it usable,
// the log tells (tools/replay/ledger.h).
std::string list_mappings(const AttachOutcome& attached);

// Why this process is not one to attach to, by what can be told without touching it; empty: nothing
// is known against it.
std::string why_not_attached(uint32_t pid, const std::string& shim);

}  // namespace ovc
