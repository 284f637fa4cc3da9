// SPDX-License-Identifier: MIT
//
// See snapshot.h. Streams /proc/self/smaps through a small buffer; totals are exact even where the list is cut.
// Rules: as event_lane.cc; the working memory is g_private->big, taken by exchange, never waited for.
#include "shim/snapshot.h"

#include <errno.h>
#include <fcntl.h>

#include "shim/event.h"
#include "shim/proc_files.h"
#include "shim/state.h"

namespace ovcshim {
namespace {

constexpr uint32_t kEntriesPerRecord = 60;
constexpr uint32_t kMaxListed = 20000;  // entries; 0.65 MB of the lane

// Reads a file line by line.
class Lines {
 public:
  Lines(const char* path, char* io, uint64_t room)
      : fd_(sys::call(__NR_openat, AT_FDCWD, reinterpret_cast<long>(path), O_RDONLY | O_CLOEXEC)), io_(io), room_(room) {}
  ~Lines() {
    if (ok()) sys::call(__NR_close, fd_);
  }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;
  bool ok() const { return !sys::failed(fd_); }

  // The next line, terminated, or nullptr at the end. A line longer than the buffer is cut into pieces.
  char* next() {
    for (;;) {
      for (uint64_t i = at_; i < have_; ++i)
        if (io_[i] == '\n') return take(i);
      if (at_ == 0 && have_ == room_ - 1) return take(have_);
      if (!more()) return at_ < have_ ? take(have_) : nullptr;
    }
  }

 private:
  char* take(uint64_t end) {
    io_[end] = '\0';
    char* line = io_ + at_;
    at_ = end < have_ ? end + 1 : have_;
    return line;
  }
  bool more() {
    for (uint64_t i = at_; i < have_; ++i) io_[i - at_] = io_[i];
    have_ -= at_, at_ = 0;
    const long n = sys::call(__NR_read, fd_, reinterpret_cast<long>(io_ + have_), static_cast<long>(room_ - 1 - have_));
    if (n <= 0) return false;
    have_ += static_cast<uint64_t>(n);
    return true;
  }
  long fd_;
  char* io_;
  uint64_t room_, at_ = 0, have_ = 0;
};

uint64_t parse_hex(const char* s, const char** rest) {
  uint64_t value = 0;
  for (;; ++s) {
    const int digit = *s >= '0' && *s <= '9' ? *s - '0' : *s >= 'a' && *s <= 'f' ? *s - 'a' + 10 : -1;
    if (digit < 0) break;
    value = value << 4 | static_cast<uint64_t>(digit);
  }
  *rest = s;
  return value;
}

uint32_t kind_of(const char* name) {
  if (name[0] == '/') return kMapFile;
  if (name[0] != '[') return 0;
  if (sys::equal(name, "[heap]", 6)) return kMapHeap;
  if (sys::equal(name, "[stack]", 7)) return kMapStack;
  if (sys::equal(name, "[anon", 5)) return kMapNamedAnon;
  return kMapSpecial;
}

// "55d0c8a00000-55d0c8a21000 rw-p 00000000 00:00 0    [heap]"
bool parse_header(const char* line, MappingEntry& m) {
  const char* rest = line;
  const uint64_t start = parse_hex(line, &rest);
  if (rest == line || *rest != '-') return false;
  const char* second = rest + 1;
  const uint64_t end = parse_hex(second, &rest);
  if (rest == second || *rest != ' ' || !rest[1] || !rest[2] || !rest[3] || !rest[4]) return false;
  m = {start, end, 0, 0, 0, 0};
  m.flags = (rest[1] == 'r' ? kMapRead : 0u) | (rest[2] == 'w' ? kMapWrite : 0u) | (rest[3] == 'x' ? kMapExec : 0u) |
            (rest[4] == 's' ? kMapShared : 0u);
  rest += 5;
  for (int fields = 0; fields < 3; ++fields) {  // offset, device, inode
    while (*rest == ' ') ++rest;
    while (*rest && *rest != ' ') ++rest;
  }
  while (*rest == ' ') ++rest;
  m.flags |= kind_of(rest);
  const auto log = reinterpret_cast<uint64_t>(g.header), own = reinterpret_cast<uint64_t>(g_private);
  if ((start >= log && start < log + g.mapped_bytes) || (start >= own && start < own + sizeof(Private))) m.flags |= kMapOwn;
  return true;
}

uint32_t vm_flags(const char* list) {
  static constexpr struct {
    char name[3];
    uint32_t flag;
  } kFlags[] = {
      {"ac", kMapAc}, {"nr", kMapNr}, {"dc", kMapDc}, {"wf", kMapWf}, {"ht", kMapHt},
      {"gd", kMapGd}, {"lo", kMapLo}, {"sl", kMapSl}, {"dd", kMapDd},
  };
  uint32_t flags = kMapFlagsKnown;
  for (const char* c = list; c[0] && c[1]; c += c[2] ? 3 : 2)
    for (const auto& row : kFlags)
      if (c[0] == row.name[0] && c[1] == row.name[1]) flags |= row.flag;
  return flags;
}

struct Attribute {
  const char* name;
  uint32_t MappingEntry::*field;
};

// One more line about the mapping; true if it was VmFlags, its last.
bool parse_attribute(const char* line, MappingEntry& m) {
  static constexpr Attribute kAttributes[] = {
      {"Rss:", &MappingEntry::rss_kb}, {"Anonymous:", &MappingEntry::anonymous_kb}, {"Swap:", &MappingEntry::swap_kb}};
  if (sys::equal(line, "VmFlags: ", 9)) {
    m.flags |= vm_flags(line + 9);
    return true;
  }
  for (const Attribute& a : kAttributes) {
    const uint64_t len = sys::length(a.name);
    if (!sys::equal(line, a.name, len)) continue;
    const uint64_t kb = parse_number(line + len);
    m.*a.field = kb > UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(kb);
  }
  return false;
}

struct MapTotals {
  uint64_t count = 0, ac_kb = 0, ac_count = 0, dc_kb = 0, nr_kb = 0, biggest_kb = 0, biggest_start = 0, shared_writable_kb = 0;

  void add(const MappingEntry& m) {
    const uint64_t kb = (m.end - m.start) / 1024;
    ++count;
    if ((m.flags & (kMapAc | kMapDc)) == kMapAc) {
      ac_kb += kb, ++ac_count;
      if (kb > biggest_kb) biggest_kb = kb, biggest_start = m.start;
    }
    if ((m.flags & (kMapAc | kMapDc)) == (kMapAc | kMapDc)) dc_kb += kb;
    if (m.flags & kMapNr) nr_kb += kb;
    if ((m.flags & (kMapShared | kMapWrite)) == (kMapShared | kMapWrite)) shared_writable_kb += kb;
  }
};

// Collects entries and writes a record whenever enough have come.
class MappingWriter {
 public:
  MappingWriter(uint64_t about, BigScratch& big) : about_(about), start_tick_(tick_now()), big_(big) {}
  void add(const MappingEntry& m) {
    totals.add(m);
    if (listed_ + pending_ >= kMaxListed) return;
    big_.mappings[pending_++] = m;
    if (pending_ == kEntriesPerRecord) flush(false);
  }
  void flush(bool last) {
    Record record{plain_base(Op::kMappings)};
    record.base.begin_tick = start_tick_;  // the list shows the process somewhere between its two ticks
    record.base.args[0] = about_;
    record.base.args[1] = listed_;
    record.base.args[2] = totals.count;
    record.base.args[3] = last && listed_ + pending_ == totals.count;
    record.base.mappings = static_cast<uint8_t>(pending_);
    record.mapping_list = big_.mappings;
    if (last && facts_of_list) record.base.facts = static_cast<uint8_t>(facts_of_list->count);
    if (last && facts_of_list) record.fact_list = facts_of_list->list;
    write_event(record);
    listed_ += pending_, pending_ = 0;
  }
  uint64_t ticks() const { return tick_now() - start_tick_; }
  MapTotals totals;
  const Facts* facts_of_list = nullptr;  // go with the last record

 private:
  uint64_t about_, start_tick_;
  BigScratch& big_;
  uint32_t pending_ = 0, listed_ = 0;
};

// smaps where it is to be had, else maps: then charge flags are not known and the totals of `ac` say so by their absence.
bool list_mappings(MappingWriter& writer, BigScratch& big) {
  Lines smaps("/proc/self/smaps", big.io, sizeof big.io);
  if (!smaps.ok()) return false;
  MappingEntry m{};
  bool open = false;
  while (char* line = smaps.next()) {
    MappingEntry fresh;
    if (parse_header(line, fresh)) {
      if (open) writer.add(m);
      m = fresh, open = true;
    } else if (open && parse_attribute(line, m)) {
      writer.add(m);
      open = false;
    }
  }
  if (open) writer.add(m);
  return writer.totals.count != 0;
}

void add_map_totals(Facts& facts, const MapTotals& t, uint64_t ticks) {
  facts.add(FactKey::kMapsCount, t.count);
  facts.add(FactKey::kMapsAcKb, t.ac_kb);
  facts.add(FactKey::kMapsAcCount, t.ac_count);
  facts.add(FactKey::kMapsDcKb, t.dc_kb);
  facts.add(FactKey::kMapsNrKb, t.nr_kb);
  facts.add(FactKey::kMapsBiggestAcKb, t.biggest_kb);
  facts.add(FactKey::kMapsBiggestAcStart, t.biggest_start);
  facts.add(FactKey::kSharedWritableKb, t.shared_writable_kb);
  facts.add(FactKey::kMapsReadNs, ticks * 1000 / (g_ticks_per_ms / 1000 + 1));
  facts.add(FactKey::kMapsSource, 1);
}

// A fork's failure is always worth the list; a memory call's once a second.
bool mapping_list_due(Op op) {
  Private& p = *g_private;
  const uint64_t now = tick_now();
  const bool is_fork = op >= Op::kFork && op <= Op::kPthreadCreate;
  if (!is_fork && p.snapshot_tick != 0 && now - p.snapshot_tick < 1000 * g_ticks_per_ms) return false;
  p.snapshot_tick = now;
  return true;
}

// What a list will cost by the memory in use: 12 ms per GiB of 4 kB pages, and never less than 200 us.
uint64_t expected_list_ticks() {
  const uint64_t resident = g_private->reading.resident_pages;
  if (resident == kUnknown || g_private->reading.tick == 0) return 1000 * g_ticks_per_ms;
  return (200 + resident * 12 / 256) * g_ticks_per_ms / 1000;
}

}  // namespace

bool wants_snapshot(Op op, int err) {
  const bool subject = op < Op::kMunmap || (op >= Op::kMunmap && op <= Op::kPthreadCreate);
  return subject && err != EINVAL && err != EBADF && err != EEXIST && !ovcshim_quiet;
}

void write_snapshot(uint64_t position, const EventBase& about) {
  BigScratch& big = g_private->big;
  if (__atomic_exchange_n(&big.taken, 1, __ATOMIC_ACQUIRE)) {
    count(g.header->snapshots_skipped);
    return;
  }
  Facts facts{big.facts, sizeof big.facts / sizeof big.facts[0]};
  Record record{plain_base(Op::kSnapshot)};
  commit_state(record.base.before, Freshness::kFresh);
  const ClockPair pair = clock_pair();
  record.base.begin_tick = pair.tick;
  add_clocks(facts, pair);
  add_meminfo(facts, big.io, sizeof big.io);
  add_overcommit(facts);
  add_status(facts, big.io, sizeof big.io);
  add_limits(facts);
  add_tasks(facts, big.io, sizeof big.io);
  add_cgroups(facts, big.io, sizeof big.io);
  add_oom_kills(facts, big.io, sizeof big.io);
  if (mapping_list_due(about.op)) {
    MappingWriter writer(position, big);
    if (list_mappings(writer, big)) {
      writer.flush(true);
      add_map_totals(facts, writer.totals, writer.ticks());
    }
  } else {
    count(g.header->snapshots_skipped);
  }
  record.base.args[0] = position;
  record.base.facts = static_cast<uint8_t>(facts.count);
  record.fact_list = facts.list;
  record.base.end_tick = tick_now();
  write_event(record);
  __atomic_store_n(&big.taken, 0, __ATOMIC_RELEASE);
}

bool may_list_mappings(ListOccasion occasion) {
  const uint64_t cost = expected_list_ticks();
  if (cost < g_ticks_per_ms) return true;
  if (occasion == ListOccasion::kEnd && cost > 20 * g_ticks_per_ms) return false;
  return tick_now() - g_private->list_tick > 100 * cost;
}

void write_mapping_list(uint64_t about) {
  BigScratch& big = g_private->big;
  if (ovcshim_quiet || __atomic_exchange_n(&big.taken, 1, __ATOMIC_ACQUIRE)) return;
  MappingWriter writer(about, big);
  if (list_mappings(writer, big)) {
    Facts facts{big.facts, sizeof big.facts / sizeof big.facts[0]};
    facts.add(FactKey::kOvercommitMemory, read_number("/proc/sys/vm/overcommit_memory"));
    add_map_totals(facts, writer.totals, writer.ticks());
    writer.facts_of_list = &facts;
    writer.flush(true);
  }
  g_private->list_tick = tick_now();
  __atomic_store_n(&big.taken, 0, __ATOMIC_RELEASE);
}

}  // namespace ovcshim
