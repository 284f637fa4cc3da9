// SPDX-License-Identifier: MIT
//
// See owners.h. Same rules as event_lane.cc.
#include "shim/record/owners.h"

#include "shim/record/owner_tree.h"

namespace ovcshim {
namespace {

constexpr uint64_t kAllPages = kOwnerEnd >> kOwnerPageShift;

// Of this process; also in a vfork child, which runs in its parent's memory. nullptr: none.
ProcessSpace* my_space() {
  const uint32_t slot = g_private->slot;
  return g.growth.header && slot < kProcessSlots ? g.growth.spaces + slot : nullptr;
}

// Whole pages; empty if it is no process's.
Range pages_of(Range range) {
  if (range.end > kOwnerEnd || range.start >= range.end) return {0, 0};
  return {range.start >> kOwnerPageShift, (range.end + kPageBytes - 1) >> kOwnerPageShift};
}

// ---- tables ----

// The change count keeps a table that was taken and given back meanwhile from being taken twice.
uint32_t pop_free() {
  uint64_t& head = g.growth.header->tables_free;
  uint64_t there = __atomic_load_n(&head, __ATOMIC_ACQUIRE);
  for (;;) {
    const auto number = static_cast<uint32_t>(there);
    if (number == 0 || number > g.growth.table_count) return 0;
    const uint64_t next = __atomic_load_n(&g.growth.tables[number - 1].words[0], __ATOMIC_RELAXED);
    if (__atomic_compare_exchange_n(&head, &there, ((there >> 32) + 1) << 32 | next, false,
                                    __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
      return number;
  }
}

void push_free(uint32_t number) {
  uint64_t& head = g.growth.header->tables_free;
  uint64_t there = __atomic_load_n(&head, __ATOMIC_RELAXED);
  do {
    __atomic_store_n(&g.growth.tables[number - 1].words[0], static_cast<uint32_t>(there),
                     __ATOMIC_RELAXED);
  } while (!__atomic_compare_exchange_n(&head, &there, ((there >> 32) + 1) << 32 | number, false,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

// A number + 1; 0: all are in use. Killed with it in hand, its owner costs the log this table.
uint32_t take_table(uint32_t fill) {
  GrowthHeader& h = *g.growth.header;
  uint32_t number = pop_free();
  if (!number) {
    if (__atomic_load_n(&h.tables_used, __ATOMIC_RELAXED) >= g.growth.table_count) return 0;
    const uint64_t next = __atomic_fetch_add(&h.tables_used, 1, __ATOMIC_RELAXED);
    if (next >= g.growth.table_count) return 0;
    number = static_cast<uint32_t>(next) + 1;
  }
  for (uint32_t& word : g.growth.tables[number - 1].words)
    __atomic_store_n(&word, fill, __ATOMIC_RELAXED);
  return number;
}

bool ensure_root(ProcessSpace& space) {
  if (__atomic_load_n(&space.root, __ATOMIC_ACQUIRE)) return true;
  const uint32_t table = take_table(0);
  uint32_t none = 0;
  if (table && !__atomic_compare_exchange_n(&space.root, &none, table, false, __ATOMIC_RELEASE,
                                            __ATOMIC_RELAXED))
    push_free(table);
  if (table) return true;
  count(space.missing);
  count(g.growth.header->tables_missing);
  return false;
}

// Not reached from anywhere any more. `left` as in OwnerWalk.
void free_table(uint32_t number, unsigned level, uint64_t& left) {
  if (number == 0 || number > g.growth.table_count || left == 0) return;
  --left;
  for (const uint32_t word : g.growth.tables[number - 1].words)
    if (level && (word & kOwnerTable)) free_table(word & ~kOwnerTable, level - 1, left);
  push_free(number);
}

// The root first: a writer killed in the middle leaves tables that nobody uses, none used twice.
void free_tree(ProcessSpace& space) {
  const uint32_t root = __atomic_exchange_n(&space.root, 0, __ATOMIC_ACQ_REL);
  uint64_t left = g.growth.table_count;
  free_table(root, kOwnerLevels - 1, left);
}

// ---- changes ----

struct Set {
  uint32_t value;
  uint32_t next(uint32_t) const { return value; }
  void done(uint32_t, uint32_t, uint64_t, uint64_t) const {}
};
struct Leave : Set {
  uint32_t next(uint32_t word) const { return word ? word | kOwnerLeaves : 0; }
};
struct Gone : Set {
  uint32_t next(uint32_t word) const { return word & kOwnerLeaves ? 0 : word; }
};
struct Stay : Set {
  uint32_t next(uint32_t word) const { return word & ~kOwnerLeaves; }
};

uint64_t key_of(uint32_t word) {
  const uint32_t row = owner_value(word);
  if (row == 0 || row > g.growth.row_count) return 0;
  return __atomic_load_n(&g.growth.rows[row - 1].key, __ATOMIC_RELAXED);
}

class Protect {
 public:
  Protect(bool writable, uint32_t stack, uint32_t op)
      : writable_(writable), stack_(stack), op_(op) {}
  uint32_t next(uint32_t word) {
    if (word == 0 || word == last_) return word ? last_next_ : 0;
    last_ = word, last_next_ = word, gained_ = false;
    const uint64_t key = key_of(word);
    const uint32_t kind = totals_kind(key);
    if (key == 0 || writable_ == ((kind & kKindWritable) != 0)) return word;
    gained_ = writable_ && !(kind & kKindEverWritable);
    const uint32_t now =
        writable_ ? kind | kKindWritable | kKindEverWritable : kind & ~uint32_t{kKindWritable};
    const uint32_t row =
        gained_ ? totals_row(stack_, op_, now) : totals_row(totals_stack(key), totals_op(key), now);
    if (row != kNoRow) last_next_ = (row + 1) | (word & kOwnerLeaves);
    return last_next_;
  }
  void done(uint32_t, uint32_t now, uint64_t first, uint64_t end) {
    const uint64_t here = (end - first) << kOwnerPageShift;
    if (!gained_ || !owner_value(now)) return;
    bytes += here;
    count(g.growth.rows[owner_value(now) - 1].granted_bytes, here);
  }
  uint64_t bytes = 0;

 private:
  bool writable_, gained_ = false;
  uint32_t stack_, op_;
  uint32_t last_ = 0, last_next_ = 0;
};

template <typename Change>
void change(Range range, Change&& how) {
  ProcessSpace* space = my_space();
  const Range pages = pages_of(range);
  if (space && pages.start < pages.end) OwnerWalk(*space).change(pages.start, pages.end, how);
}

// Whether memory of this kind belongs to find_holders' sums, and to which of the others.
bool may_be_charged(uint32_t kind) {
  return (kind & (kKindEverWritable | kKindShared | kKindHuge)) == kKindEverWritable;
}
OwnedSum sum_of(uint32_t kind) {
  return kind & kKindNoreserve  ? kOwnedNoreserve
         : kind & kKindWritable ? kOwnedPlain
                                : kOwnedReadOnly;
}

// Row numbers by hash; full: the rest is let go.
struct HolderTable {
  Holder* places;
  uint64_t room;
  bool full = false;
  void add(uint64_t row, uint64_t kb) {
    uint64_t at = mixed(row + 1) % room;
    for (uint64_t probe = 0; probe < room; ++probe, at = at + 1 < room ? at + 1 : 0) {
      if (places[at].kb && places[at].row != row) continue;
      places[at].row = row, places[at].kb += kb;
      return;
    }
    full = true;
  }
};

void keep_if_large(Holders& found, const Holder& holder) {
  unsigned at = found.count;
  while (at > 0 && found.largest[at - 1].kb < holder.kb) --at;
  if (at == Holders::kMost) return;
  if (found.count < Holders::kMost) ++found.count;
  for (unsigned i = found.count - 1; i > at; --i) found.largest[i] = found.largest[i - 1];
  found.largest[at] = holder;
}

}  // namespace

// Release: the table is filled before it can be met.
bool OwnerWalk::divide(uint32_t& word, uint32_t there) {
  const uint32_t table = take_table(there);
  if (!table) return false;
  if (!__atomic_compare_exchange_n(&word, &there, table | kOwnerTable, false, __ATOMIC_RELEASE,
                                   __ATOMIC_RELAXED))
    push_free(table);
  return true;
}

void begin_owners(bool new_image) {
  ProcessSpace* space = my_space();
  if (!space) return;
  for (uint64_t& leaf : g_private->leaves) __atomic_store_n(&leaf, 0, __ATOMIC_RELEASE);
  free_tree(*space);
  const uint32_t parent = g_lineage.slot;
  const uint64_t inherited = !new_image && parent < kProcessSlots ? g.growth.spaces[parent].brk : 0;
  sys::zero(space, sizeof *space);
  space->serial = g_private->serial;
  space->brk = inherited;
  space->inherits = !new_image;
}

void free_owners(uint32_t slot) {
  if (!g.growth.header) return;
  ProcessSpace& space = g.growth.spaces[slot];
  free_tree(space);
  sys::zero(&space, sizeof space);
}

void own(Range range, uint32_t row) {
  ProcessSpace* space = my_space();
  if (!space || (row != kNoRow && !ensure_root(*space))) return;
  if (range.end > kOwnerEnd) count(space->missing);
  change(range, Set{row == kNoRow ? 0 : row + 1});
}

void leaving(Range range) { change(range, Leave{}); }
void left(Range range) { change(range, Gone{}); }
void stays(Range range) { change(range, Stay{}); }

void read_owned(Range range, OwnedRuns& found) {
  ProcessSpace* space = my_space();
  const Range pages = pages_of(range);
  found.count = 0, found.all = true;
  if (!space || pages.start >= pages.end || pages.end - pages.start > UINT32_MAX) {
    found.all = false;
    return;
  }
  OwnerWalk(*space).read(pages.start, pages.end, [&](uint64_t first, uint64_t end, uint32_t word) {
    const auto more = static_cast<uint32_t>(end - first), owner = owner_value(word);
    if (found.count && found.runs[found.count - 1].word == owner)
      found.runs[found.count - 1].pages += more;
    else if (found.count < OwnedRuns::kMost) found.runs[found.count++] = {more, owner};
    else found.all = false;
  });
}

void move_owned(Range from, uint64_t to, uint32_t row, const OwnedRuns& before) {
  ProcessSpace* space = my_space();
  const Range pages = pages_of(from);
  if (!space || pages.start >= pages.end) return;
  const auto move = [&](uint64_t first, uint64_t end, uint32_t owner) {
    const uint64_t start = to + ((first - pages.start) << kOwnerPageShift);
    own({start, start + ((end - first) << kOwnerPageShift)}, owner - 1 /* kNoRow of 0 */);
  };
  uint64_t at = pages.start;
  for (unsigned i = 0; before.all && i < before.count && at < pages.end; ++i) {
    const uint64_t end = at + before.runs[i].pages;
    move(at, end < pages.end ? end : pages.end, before.runs[i].word);
    at = end;
  }
  if (!before.all)
    OwnerWalk(*space).read(at, pages.end, [&](uint64_t first, uint64_t end, uint32_t word) {
      const bool overtaken = word && !(word & kOwnerLeaves);
      if (overtaken) count(g.growth.header->moves_overtaken, end - first);
      move(first, end, overtaken ? row + 1 : owner_value(word));
    });
  left(from);
}

uint64_t protect_owned(Range range, bool writable, uint32_t stack, uint32_t op) {
  Protect protect(writable, stack, op);
  change(range, protect);
  return protect.bytes;
}

uint64_t move_break(uint64_t to) {
  ProcessSpace* space = my_space();
  return space ? __atomic_exchange_n(&space->brk, to, __ATOMIC_RELAXED) : 0;
}

uint32_t kind_of_owner(uint32_t word) {
  const uint64_t key = key_of(word);
  return key ? totals_kind(key) : kNoKind;
}

uint32_t kind_at(uint64_t address) {
  ProcessSpace* space = my_space();
  uint32_t kind = kNoKind;
  const Range page = pages_of({address, address + 1});
  if (!space || page.start >= page.end) return kind;
  OwnerWalk(*space).read(page.start, page.end, [&kind](uint64_t, uint64_t, uint32_t word) {
    kind = kind_of_owner(word);
  });
  return kind;
}

void note_listed_charge(uint64_t charged_kb) {
  ProcessSpace* space = my_space();
  if (!space) return;
  ListedCharge now{tick_now(), charged_kb, {}};
  OwnerWalk(*space).read(0, kAllPages, [&now](uint64_t first, uint64_t end, uint32_t word) {
    const uint64_t key = key_of(word);
    if (key && may_be_charged(totals_kind(key)))
      now.owned_kb[sum_of(totals_kind(key))] += (end - first) << kOwnerPageShift >> 10;
  });
  if (space->first.tick == 0) space->first = now;
  // One writer: the lists of a process are made one at a time (BigScratch).
  __atomic_store_n(&space->seq, space->seq + 1, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE);
  space->newest = now;
  __atomic_store_n(&space->seq, space->seq + 1, __ATOMIC_RELEASE);
}

void find_holders(Holders& found, void* room, uint64_t bytes) {
  found = {};
  ProcessSpace* space = my_space();
  if (!space) return;
  HolderTable table{static_cast<Holder*>(room), bytes / sizeof(Holder)};
  sys::zero(room, bytes);
  OwnerWalk(*space).read(0, kAllPages, [&](uint64_t first, uint64_t end, uint32_t word) {
    const uint64_t key = key_of(word);
    if (!key || !may_be_charged(totals_kind(key))) return;
    const uint64_t kb = (end - first) << kOwnerPageShift >> 10;
    found.all_kb += kb;
    table.add(owner_value(word) - 1, kb);
  });
  for (uint64_t i = 0; i < table.room; ++i)
    if (table.places[i].kb) keep_if_large(found, table.places[i]);
  found.cut = table.full;
}

}  // namespace ovcshim
