// SPDX-License-Identifier: MIT
//
// See growth.h. Same rules as event.cc.
#include "shim/record/growth.h"

#include <sys/mman.h>

#include "shim/record/owners.h"

namespace ovcshim {
namespace {

constexpr uint64_t kHugetlbfsMagic = 0x958458f6;

uint64_t page_up(uint64_t bytes) {
  const uint64_t told = g.header->page_size;  // the log's word: not to be trusted
  const uint64_t page =
      told >= kPageBytes && told <= 1 << 20 && !(told & (told - 1)) ? told : kPageBytes;
  return (bytes + page - 1) & ~(page - 1);
}

Range range_of(uint64_t start, uint64_t bytes) {
  const uint64_t all = bytes < kOwnerEnd ? page_up(bytes) : kOwnerEnd;
  return {start, start < kOwnerEnd ? start + all : start};
}

bool is_malloc(Op op) { return op >= Op::kMalloc && op <= Op::kPvalloc && op != Op::kFree; }
bool changes_memory(Op op) { return op >= Op::kMmap && op <= Op::kSbrk; }
bool is_counted(Op op) {
  return is_malloc(op) || changes_memory(op) || op == Op::kShmget || is_fork_op(op);
}

bool is_huge_file(const Record& record) {
  for (unsigned i = 0; i < record.base.facts; ++i)
    if (record.fact_list[i].key == static_cast<uint32_t>(FactKey::kFileFsType) &&
        record.fact_list[i].value == kHugetlbfsMagic)
      return true;
  return false;
}

constexpr struct {
  uint64_t flag;
  uint32_t kind;
} kFlagKinds[] = {
    {MAP_NORESERVE, kKindNoreserve},
    {MAP_HUGETLB, kKindHuge},
    {MAP_GROWSDOWN, kKindGrowsdown},
};

uint32_t kind_of_mmap(const Record& record) {
  constexpr uint64_t kTypes = 0xf, kDroppable = 8;
  const uint64_t prot = record.base.args[2], flags = record.base.args[3];
  const uint64_t type = flags & kTypes;
  uint32_t kind = 0;
  if (type == kDroppable) kind = kKindDroppable;
  else if (type != MAP_PRIVATE) kind = kKindShared;
  for (const auto& row : kFlagKinds)
    if (flags & row.flag) kind |= row.kind;
  if (!(flags & MAP_ANONYMOUS)) kind |= kKindFile;
  if (is_huge_file(record)) kind |= kKindHuge;
  if (prot & PROT_WRITE) kind |= kKindWritable | kKindEverWritable;
  return kind;
}

// What the call asks for, as it says it.
uint64_t asked_bytes(const Event& event) {
  const uint64_t* args = event.base.args;
  switch (event.base.op) {
    case Op::kMmap:
    case Op::kMunmap:
    case Op::kMprotect:
    case Op::kShmget: return args[1];
    case Op::kMremap: return args[2];
    case Op::kSbrk: return static_cast<int64_t>(args[0]) > 0 ? args[0] : 0;
    default: return event.size;
  }
}

// One call of a row.
struct Row {
  uint32_t stack, op, number;
  CallTotals* totals;
};

Row row_for(uint32_t stack, Op op, uint32_t kind) {
  Row row{stack, static_cast<uint32_t>(op), 0, nullptr};
  row.number = totals_row(stack, row.op, kind);
  if (row.number == kNoRow) count(g.growth.header->rows_missing);
  else row.totals = g.growth.rows + row.number;
  return row;
}

void add_call(const Row& row, const Event& event, bool failed) {
  if (!row.totals) return;
  CallTotals& t = *row.totals;
  const uint64_t asked = asked_bytes(event);
  count(t.calls);
  if (failed) count(t.failed);
  if (asked) count(failed ? t.failed_bytes : t.asked_bytes, asked);
  __atomic_store_n(&t.last_tick, event.base.begin_tick, __ATOMIC_RELAXED);
}

void grant(const Row& row, uint64_t bytes) {
  if (row.totals && bytes) count(row.totals->granted_bytes, bytes);
}

// libc's brk() returns 0, sbrk() the old break, the system call the new one.
uint64_t break_after(const EventBase& base) {
  const auto result = static_cast<uint64_t>(base.result);
  if (base.op == Op::kSbrk) return result + base.args[0];
  return base.flags & (kInsideLibc | kRawSyscall) ? result : base.args[0];
}

void grow_by_break(const Row& row, const EventBase& base) {
  const uint64_t now = page_up(break_after(base)), before = page_up(move_break(break_after(base)));
  if (before == 0 || now == before || now > kOwnerEnd) return;
  if (now < before) return own({now, before}, kNoRow);
  own({before, now}, row.number);
  grant(row, now - before);
}

void remap(const Row& row, const EventBase& base, const OwnedRuns& before) {
  const uint64_t* args = base.args;
  const auto to = static_cast<uint64_t>(base.result);
  const Range old = range_of(args[0], args[1]), now = range_of(to, args[2]);
  const uint64_t old_bytes = old.end - old.start, bytes = now.end - now.start;
  if (to != args[0] && old_bytes && !(args[3] & MREMAP_DONTUNMAP)) {
    const uint64_t moved = bytes < old_bytes ? bytes : old_bytes;
    move_owned({old.start, old.start + moved}, to, row.number, before);
    left(old);
    if (bytes > moved) own({to + moved, now.end}, row.number), grant(row, bytes - moved);
  } else if (to != args[0]) {  // a second one, the first stays
    stays(old);
    own(now, row.number);
    grant(row, bytes);
  } else {
    const uint64_t kept = old.start + (bytes < old_bytes ? bytes : old_bytes);
    stays({old.start, kept});
    left({kept, old.end});
    if (bytes > old_bytes) own({old.end, now.end}, row.number), grant(row, bytes - old_bytes);
  }
}

void grow(const Row& row, const Event& event) {
  const EventBase& base = event.base;
  const uint64_t* args = base.args;
  switch (base.op) {
    case Op::kMmap: {
      const Range range = range_of(static_cast<uint64_t>(base.result), args[1]);
      own(range, row.number);
      return grant(row, range.end - range.start);
    }
    case Op::kMunmap: return left(range_of(args[0], args[1]));
    case Op::kMremap: return remap(row, base, event.moving);
    case Op::kMprotect:
      protect_owned(range_of(args[0], args[1]), args[2] & PROT_WRITE, row.stack, row.op);
      return;
    case Op::kBrk:
    case Op::kSbrk: return grow_by_break(row, base);
    default: return;
  }
}

// What of its range a call takes away if it is granted.
Range taken_by(Op op, const uint64_t* args) {
  if (op == Op::kMunmap) return range_of(args[0], args[1]);
  if (op != Op::kMremap) return {0, 0};
  const Range all = range_of(args[0], args[1]);
  if (args[3] & MREMAP_MAYMOVE) return all;
  const uint64_t kept = args[2] < kOwnerEnd ? page_up(args[2]) : kOwnerEnd;
  return kept < all.end - all.start ? Range{all.start + kept, all.end} : Range{0, 0};
}

// Of what grows or moves: as it was before the call, since its old place may be another's by now.
uint32_t kind_before(const Event& event) {
  const OwnedRuns& before = event.moving;
  return before.count ? kind_of_owner(before.runs[0].word) : kind_at(event.base.args[0]);
}

uint32_t kind_of(const Event& event, const Record& record) {
  constexpr uint32_t kPlain = kKindWritable | kKindEverWritable;
  const EventBase& base = record.base;
  if (base.op == Op::kMmap) return kind_of_mmap(record);
  if (base.op == Op::kBrk || base.op == Op::kSbrk) return kPlain;
  if (base.op == Op::kShmget) return kKindShared | kPlain;
  if (base.op != Op::kMremap || (base.flags & kFailed)) return 0;
  const uint32_t kind = kind_before(event);
  return kind == kNoKind ? uint32_t{kKindUnknown} : kind;
}

}  // namespace

void growth_begins(Event& event) {
  if (!g.growth.header) return;
  const Range range = taken_by(event.base.op, event.base.args);
  if (range.start >= range.end) return;
  if (event.base.op == Op::kMremap) read_owned(range, event.moving);
  leaving(range);
}

void note_growth(Event& event, const Record& record) {
  const EventBase& base = record.base;
  if (!g.growth.header || !is_counted(base.op) || (base.flags & kLateCompletion)) return;
  const Stack whole{base.image, record.frames, base.frames, (base.flags & kStackCut) != 0};
  const Stack caller{base.image, &event.base.caller, 1, true};  // OVCSHIM_STACK_DEPTH=0
  const Stack& stack = base.frames ? whole : caller;
  bool is_whole = false;
  const uint32_t number = stack_number(stack, &is_whole);
  const Row row = row_for(number, base.op, kind_of(event, record));
  const bool failed = base.flags & kFailed;
  event.row = row.number, event.stack_is_whole = is_whole;
  add_call(row, event, failed);
  if (base.flags & kIntent) return;
  if (!failed) return grow(row, event);
  const Range range = taken_by(base.op, base.args);
  if (range.start < range.end) stays(range);
}

void note_failed_later(const Event& event) {
  if (event.row != kNoRow && event.row < g.growth.row_count) count(g.growth.rows[event.row].failed);
}

}  // namespace ovcshim
