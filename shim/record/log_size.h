// SPDX-License-Identifier: MIT
//
// How large a new log is, and where in it everything lies. As large as asked for, unless the
// program could feel it:
//   a log in memory (tmpfs)   an eighth of what is left in the process's memory group, in those
//                             above it, and on the machine: its pages cannot be given back
//   any filesystem            an eighth of what is free there
//   RLIMIT_AS                 a thirty-second of the limit, and an eighth of what is left of it
//   RLIMIT_FSIZE              the limit
// Then the lanes are halved, the larger first, down to the smallest log that is still of use (0.7
// MiB); where that does not fit either there is none.
#pragma once
#include "shim/record/log_file.h"

namespace ovcshim {

struct LogSize {
  uint64_t events_bytes, calls_bytes;
  uint64_t stripes = kStripes;
  uint64_t growth_bytes = kGrowthBytes;
  bool readings = true;       // beside growth
  uint64_t wanted_bytes = 0;  // of the whole file
  LogBound bound = LogBound::kNone;
  uint64_t left_bytes = kUnknown;  // of what bounds it
};

// Offsets and sizes of all areas, and of the file.
void lay_out(FileHeader& h, const LogSize& size);

// What a log in this file may have. Its lanes may still not fit: see make_fit.
LogSize wanted_size(const LogWish& wish);

// Halves the lanes until the file has at most `allowed` bytes. False: it cannot.
bool make_fit(LogSize& size, LogBound bound, uint64_t left, uint64_t allowed);

// By all bounds that are known before the file is allocated. False: `size.bound` leaves no room.
bool fit_all(LogSize& size, long fd);

// Bytes of a log that a process under RLIMIT_AS may map.
uint64_t mappable_bytes();

inline constexpr uint64_t kShareOfRest = 8;

}  // namespace ovcshim
