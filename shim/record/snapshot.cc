// SPDX-License-Identifier: MIT
//
// See snapshot.h. Totals of the mappings are exact even where the list is cut.
// Rules: as event_lane.cc; the working memory is g_private->big, taken by exchange, never waited
// for.
#include "shim/record/snapshot.h"
#include "shim/record/clock.h"

#include "shim/proc/cgroups.h"
#include "shim/proc/host_files.h"
#include "shim/proc/proc_files.h"
#include "shim/record/errno_facts.h"
#include "shim/record/event.h"
#include "shim/record/image_list.h"
#include "shim/record/mapping_writer.h"
#include "shim/record/owners.h"
#include "shim/record/refusal.h"
#include "shim/record/refusal_facts.h"
#include "shim/record/smaps.h"
#include "shim/record/state.h"

namespace ovcshim {
namespace {

// Mappings in the newest list of this process, or of the one that forked it. One that was given up
// counts as many more, and after some times of asking it is tried again.
constinit uint64_t g_listed = 0;
constinit uint32_t g_listed_by = 0;  // the process that wrote it

// False: nothing to be read, or there are more than `most` and it is given up. By their number, not
// by the clock: a busy machine must not decide what is known.
bool list_mappings(MappingWriter& writer, BigScratch& big, uint64_t most = UINT64_MAX) {
  constexpr uint64_t kGivenUp = 32;
  Smaps smaps(big.io, sizeof big.io);
  uint64_t& count = writer.totals.count;
  for (MappingEntry m; count <= most && smaps.next(m);) writer.add(m);
  const bool whole = count <= most;
  __atomic_store_n(&g_listed, whole ? count : kGivenUp * count, __ATOMIC_RELAXED);
  return whole && count != 0;
}

// Who holds the memory that the list shows, and beside it what the kernel charges for all.
void add_holders(Facts& facts, const MapTotals& totals, void* room, uint64_t bytes) {
  if (!g.growth.header) return;
  note_listed_charge(totals.ac_kb + totals.dc_kb);
  Holders holders;
  find_holders(holders, room, bytes);
  for (unsigned i = 0; i < holders.count; ++i) {
    const auto key = [i](FactKey first) {
      return static_cast<FactKey>(static_cast<uint32_t>(first) + i);
    };
    facts.add(key(FactKey::kHolderRow), holders.largest[i].row);
    facts.add(key(FactKey::kHolderKb), holders.largest[i].kb);
  }
  facts.add(FactKey::kHeldKb, holders.all_kb);
  if (holders.cut) facts.add(FactKey::kHoldersCut, 1);
}

// What the rehearsal compared: the newest of this thread, and this is the record about it.
void add_rehearsal(Facts& facts) {
  facts.add(FactKey::kRehearsedMode, g_rehearsal.mode);
  facts.add(FactKey::kRehearsedLimitKb, t_refusal.limit_kb);
  facts.add(FactKey::kRehearsedChargeKb, t_refusal.charge_kb);
  facts.add(FactKey::kRehearsedCommittedKb, t_refusal.committed_kb);
  facts.add(FactKey::kRehearsedAllowedKb, t_refusal.allowed_kb);
}

// What is at these addresses decides: 0 bytes if nothing does. What mremap may grow into counts.
uint64_t range_bytes(const EventBase& call) {
  constexpr uint64_t kFixed = 0x10;  // MAP_FIXED
  switch (call.op) {
    case Op::kMmap: return call.args[3] & kFixed ? call.args[1] : 0;
    case Op::kMremap: return call.args[1] > call.args[2] ? call.args[1] : call.args[2];
    case Op::kMunmap:
    case Op::kMprotect:
    case Op::kMadvise:
    case Op::kMlock:
    case Op::kMlock2: return call.args[1];
    default: return 0;
  }
}

// What a list will cost: by the memory in use, 12 ms per GiB of 4 kB pages and never less than 200
// us, and by the number of mappings, 1 us each.
uint64_t expected_list_ticks() {
  const uint64_t resident = g_private->reading.value.resident_pages;
  if (resident == kUnknown || g_private->reading.value.tick == 0) return 1000 * g_ticks_per_ms;
  const uint64_t listed = __atomic_load_n(&g_listed, __ATOMIC_RELAXED);
  return (200 + resident * 12 / 256 + listed) * g_ticks_per_ms / 1000;
}

// Capabilities that free of a limit, if nothing keeps them from being used.
bool has_privileges(const Facts& facts) {
  constexpr uint64_t kFree = 1u << 14 | 1u << 21 | 1u << 24;  // IPC_LOCK, SYS_ADMIN, SYS_RESOURCE
  for (uint32_t i = 0; i < facts.count; ++i)
    if (facts.list[i].key == static_cast<uint32_t>(FactKey::kCapEff))
      return facts.list[i].value & kFree;
  return false;
}

}  // namespace

bool write_snapshot(uint64_t position, Proof proof, const EventBase& call, uint64_t earlier) {
  BigScratch& big = g_private->big;
  if (__atomic_exchange_n(&big.taken, 1, __ATOMIC_ACQUIRE)) {
    count(g.header->snapshots_skipped);
    return false;
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
  if (has_privileges(facts)) add_security_module(facts, big.io, sizeof big.io);
  add_refusal_facts(facts, call);  // soon: it is about the moment of the refusal
  add_limits(facts, big.io, sizeof big.io);
  add_tasks(facts, big.io, sizeof big.io);
  GroupText groups{g_private->group_text, sizeof g_private->group_text};
  add_cgroups(facts, big.io, sizeof big.io, &groups);
  if (const uint64_t kb = huge_kb_asked_for(call, big.io, sizeof big.io); kb != kUnknown && kb != 0)
    add_huge_group(facts, kb, big.io, sizeof big.io, &groups);
  add_oom_kills(facts, big.io, sizeof big.io);
  add_kernel_totals(facts);
  add_foreign_files(facts);
  add_place_files(facts);
  if (proof == Proof::kFull) {
    MappingWriter writer(position, big);
    const uint64_t range = range_bytes(call), granted = granted_count();
    if (earlier) writer.spare(earlier);
    if (range != 0) writer.always_list(call.args[0], range);
    if (list_mappings(writer, big)) {
      writer.flush(true);
      add_list_totals(facts, writer.totals, writer.ticks());
      keep_totals(writer.totals, granted);
      if (range != 0) facts.add(FactKey::kRangeListed, 1);
      add_holders(facts, writer.totals, big.io, sizeof big.io);
    }
  } else if (proof == Proof::kFacts || proof == Proof::kLasting) {
    count(g.header->snapshots_skipped);
    if (totals_hold(granted_count())) add_map_totals(facts, g_private->big.listed.totals);
  }
  if (call.flags & kRehearsed) add_rehearsal(facts);
  else if (is_fork_op(call.op)) add_errno_facts(facts, call, big.io, sizeof big.io);
  record.vital = proof >= Proof::kFull;
  record.base.args[0] = position;
  record.base.facts = static_cast<uint8_t>(facts.count);
  record.fact_list = facts.list;
  record.base.text_len = static_cast<uint16_t>(groups.length);
  record.text = groups.text;
  record.base.end_tick = tick_now();
  const uint64_t written = write_event(record);
  __atomic_store_n(&big.taken, 0, __ATOMIC_RELEASE);
  return written != kUnknown;
}

void write_reference(uint64_t position, uint64_t proven_by) {
  const Fact fact{static_cast<uint32_t>(FactKey::kProvenBy), 0, proven_by};
  Record record{plain_base(Op::kSnapshot)};
  record.vital = true;
  record.base.args[0] = position;
  record.base.facts = 1;
  record.fact_list = &fact;
  write_event(record);
}

void note_listed() {
  g_private->list_tick = tick_now();
  g_private->listed_at = __atomic_load_n(&g.header->event_cursor, __ATOMIC_RELAXED);
  g_private->listed_units = __atomic_load_n(&g.header->memory_cursor, __ATOMIC_RELAXED);
}

void forget_some_mappings() {
  __atomic_store_n(&g_listed, __atomic_load_n(&g_listed, __ATOMIC_RELAXED) / 2, __ATOMIC_RELAXED);
}

// A short program needs no second list: its few calls stand beside the first one, and its private
// memory is what it was.
static bool little_since_list() {
  constexpr uint64_t kFewRecords = 256, kLittleKb = 1024;
  const Private& p = *g_private;
  const uint64_t pages = p.reading.value.data_pages;
  return __atomic_load_n(&g.header->event_cursor, __ATOMIC_RELAXED) - p.listed_at < kFewRecords &&
         __atomic_load_n(&g.header->memory_cursor, __ATOMIC_RELAXED) - p.listed_units <
             kFewRecords &&
         pages != kUnknown && pages * (g.header->page_size / 1024) < p.listed_data_kb + kLittleKb;
}

bool may_list_mappings(ListOccasion occasion) {
  const uint64_t cost = expected_list_ticks(), now = tick_now();
  const bool seldom = now - g_private->list_tick > 100 * cost;
  if (occasion == ListOccasion::kEnd && (g_listed_by != g_private->pid || little_since_list()))
    return false;
  if (occasion == ListOccasion::kEnd)
    return cost < g_ticks_per_ms || (cost < 20 * g_ticks_per_ms && seldom);
  return cost < g_ticks_per_ms && (occasion == ListOccasion::kNewObjects || seldom);
}

void write_mapping_list(uint64_t about, uint64_t most, uint64_t overcommit_mode) {
  BigScratch& big = g_private->big;
  if (is_quiet() || __atomic_exchange_n(&big.taken, 1, __ATOMIC_ACQUIRE)) return;
  MappingWriter writer(about, big);
  if (list_mappings(writer, big, most)) {
    Facts facts{big.facts, sizeof big.facts / sizeof big.facts[0]};
    if (overcommit_mode == kUnknown)
      overcommit_mode = read_number("/proc/sys/vm/overcommit_memory");
    facts.add(FactKey::kOvercommitMemory, overcommit_mode);
    add_list_totals(facts, writer.totals, writer.ticks());
    if (g.growth.header) note_listed_charge(writer.totals.ac_kb + writer.totals.dc_kb);
    writer.facts_of_list = &facts;
    writer.flush(true);
    g_listed_by = g_private->pid;
    g_private->listed_data_kb = writer.totals.data_kb;
  }
  note_listed();
  __atomic_store_n(&big.taken, 0, __ATOMIC_RELEASE);
}

// `quiet`: nothing was granted to the process since before it was read.
static void write_list(uint64_t about, const ReadList& list, bool quiet, uint64_t overcommit_mode,
                       BigScratch& big) {
  MappingWriter writer(about, big, list.begin_tick);
  auto* entry = reinterpret_cast<const MappingEntry*>(list.entries);
  auto* parts = reinterpret_cast<const ReadPart*>(list.parts);
  uint64_t end_tick = list.begin_tick;
  for (uint64_t i = 0; i < list.part_count; ++i) {
    writer.read_between(parts[i].from_tick, end_tick = parts[i].to_tick);
    for (uint64_t n = 0; n < parts[i].entries; ++n) {
      MappingEntry m = *entry++;
      if (is_own_memory(m.start)) m.flags |= kMapOwn;
      writer.add(m);
    }
  }
  Facts facts{big.facts, sizeof big.facts / sizeof big.facts[0]};
  facts.add(FactKey::kOvercommitMemory, overcommit_mode);
  add_list_totals(facts, writer.totals, end_tick - list.begin_tick);
  if (quiet && g.growth.header) note_listed_charge(writer.totals.ac_kb + writer.totals.dc_kb);
  writer.facts_of_list = &facts;
  writer.flush(true);
  __atomic_store_n(&g_listed, writer.totals.count, __ATOMIC_RELAXED);
  g_listed_by = g_private->pid;
  g_private->listed_data_kb = writer.totals.data_kb;
  note_listed();
}

// Memory of its own: a refusal meanwhile needs g_private->big for its proof.
void write_read_list(uint64_t about, const ReadList& list, bool quiet) {
  BigScratch own;
  write_list(about, list, quiet, read_number("/proc/sys/vm/overcommit_memory"), own);
}

void write_image_list(uint64_t about, const ImageList& list, uint64_t overcommit_mode) {
  const ReadList read{list.part.from_tick, reinterpret_cast<uint64_t>(&list.part), 1,
                      reinterpret_cast<uint64_t>(image_entries())};
  write_list(about, read, true, overcommit_mode, g_private->big);
}

}  // namespace ovcshim
