// SPDX-License-Identifier: MIT
//
// Which row of the totals brought each page that this process has: OWNERS of growth_format.h. The
// trees are the log's; callable anywhere, by any number of threads; never waits for anybody.
#pragma once
#include <cstdint>

#include "shim/record/stack_table.h"

namespace ovcshim {

// Whose a range is, run by run: part of Event, therefore outside of what is hidden.
struct OwnedRun {
  uint32_t pages, word;
};
struct OwnedRuns {
  static constexpr unsigned kMost = 8;
  OwnedRun runs[kMost];
  unsigned count = 0;
  bool all = false;
};

}  // namespace ovcshim

#pragma GCC visibility push(hidden)

namespace ovcshim {

struct Range {
  uint64_t start, end;  // addresses
};

// This process begins. With a new image nothing is left of the one before; a forked child has
// nothing of its own yet.
void begin_owners(bool new_image);
// Of a process that is dead; whoever retires it.
void free_owners(uint32_t slot);

// The range belongs to `row` now; to nobody with kNoRow.
void own(Range range, uint32_t row);
// About to be taken away, and what became of that: it is gone, or stays.
void leaving(Range range);
void left(Range range);
void stays(Range range);
// mremap: what is leaving `from` goes to `to`, as it was `before` the call. Where that was too much
// to be kept: as it is now, but what another thread has mapped there meanwhile stays, and what
// moved then belongs to `row`.
void read_owned(Range range, OwnedRuns& found);
void move_owned(Range from, uint64_t to, uint32_t row, const OwnedRuns& before);
// mprotect by this stack. Returns the bytes that became writable for the first time: they are its
// own now, and counted as granted to it.
uint64_t protect_owned(Range range, bool writable, uint32_t stack, uint32_t op);
// The new break; returns the one before, 0: not known.
uint64_t move_break(uint64_t to);
// The kind of memory at this address; kNoKind: nobody's.
inline constexpr uint32_t kNoKind = UINT32_MAX;
uint32_t kind_at(uint64_t address);
uint32_t kind_of_owner(uint32_t word);

// What has owners now, beside a list that says what is charged. Kept in the log.
void note_listed_charge(uint64_t charged_kb);
// Who holds the most: row numbers and kB of private memory that was ever writable.
struct Holder {
  uint64_t row, kb;
};
struct Holders {
  static constexpr unsigned kMost = 8;
  Holder largest[kMost];
  unsigned count;
  uint64_t all_kb;
  bool cut;  // more rows than the working memory takes: others may hold more
};
void find_holders(Holders& found, void* room, uint64_t bytes);

}  // namespace ovcshim

#pragma GCC visibility pop
