// SPDX-License-Identifier: MIT
//
// Registration of a process (image or forked child), module lists, ends. Cold code; same rules as
// event_lane.cc.
#include "shim/record/process.h"

#include <time.h>

#include "shim/record/clock.h"
#include "shim/record/leaving.h"

#include "shim/proc/group_memo.h"
#include "shim/proc/proc_file.h"
#include "shim/proc/proc_files.h"
#include "shim/providers/providers.h"
#include "shim/record/event.h"
#include "shim/record/module_list.h"
#include "shim/record/refusal.h"
#include "shim/record/snapshot.h"
#include "shim/sys/thread_pointer.h"
#include "shim/sys/vdso.h"

namespace ovcshim {
namespace {

constexpr uint64_t kBaselineIo = kGroupsIo;  // more would be touched, too
constexpr uint64_t kForked = kUnknown - 1;  // in place of an overcommit mode: there is no new image

void add_name(Facts& facts) {
  uint64_t halves[2];
  static_assert(sizeof halves == sizeof ProcessSlot::comm);
  if (g_private->slot == kNoIndex) return;
  sys::copy(reinterpret_cast<char*>(halves), g.processes[g_private->slot].comm, sizeof halves);
  facts.add(FactKey::kCommFirst, halves[0]);
  facts.add(FactKey::kCommSecond, halves[1]);
}

// The kills of the host are in the list already.
void add_groups(Facts& facts, char* io, uint64_t room) {
  constexpr uint64_t kHostFacts = sizeof FileHeader::host / sizeof FileHeader::host[0];
  const uint64_t foreign = fact_in(g.header->host, kHostFacts, FactKey::kForeignFiles);
  const bool kernels_own = foreign != kUnknown && !(foreign & kFileVmstat);
  const uint64_t kills = fact_in(facts.list, facts.count, FactKey::kVmstatOomKill);
  add_cgroups_by_memo(facts, io, room, *g.groups,
                      {tick_now(), g_ticks_per_ms, kernels_own ? kills : kUnknown});
}

// What a later finding may need as a baseline. A forked child gets the cheap part only: fork must
// stay cheap.
void add_baseline(Facts& facts, const StatFields& stat, uint64_t overcommit_mode, char* io,
                  uint64_t room) {
  facts.add(FactKey::kParentPid, stat.parent_pid);
  facts.add(FactKey::kStartTicks, stat.start_ticks);
  if (overcommit_mode == kForked) return;
  add_name(facts);
  facts.add(FactKey::kStartBrk, stat.start_brk);
  facts.add(FactKey::kInternals, g.internals_word);
  facts.add(FactKey::kOvercommitMemory, overcommit_mode);
  add_limits(facts, io, room);
  add_oom_kills(facts, io, room);
  add_groups(facts, io, room);
  add_own_cost(facts);
  if (rehearses()) {
    facts.add(FactKey::kRehearsedMode, g_rehearsal.mode);
    facts.add(FactKey::kRehearsedLimitKb, g_rehearsal.limit_kb);
  }
  if (g.inject_in_force != kUnknown) facts.add(FactKey::kInjectInForce, g.inject_in_force);
  if (g.rehearse_in_force != kUnknown) facts.add(FactKey::kRehearseInForce, g.rehearse_in_force);
  // Of who was attached to nothing comes by the shim's own functions, but malloc's family if asked.
  if (!g.attached) add_providers(facts, unrefused());
  if (g.bound_slots == kUnknown) return;
  facts.add(FactKey::kBoundSlots, g.bound_slots);
  facts.add(FactKey::kBoundElsewhere, g.bound_elsewhere);
  facts.add(FactKey::kBoundUnwritable, g.bound_unwritable);
  add_malloc_providers(facts);
}

// What the image's list says was there at its start or later: it stands behind it in time, too.
void add_start_clock(Facts& facts, EventBase& base, const ImageList* list) {
  const ClockPair pair = list && list->before.tick ? list->before : clock_pair();
  add_clocks(facts, pair);
  base.begin_tick = base.end_tick = pair.tick;
}

// Out of line: a forked child's stack is copied by the page as it is written to.
[[gnu::noinline]] uint64_t write_start(const StatFields& stat, uint64_t overcommit_mode,
                                       const ImageList* list) {
  const bool new_image = overcommit_mode != kForked;
  BigScratch& big = g_private->big;  // nobody else uses it before we are registered
  Record record{plain_base(Op::kStart)};
  Fact few[8];  // of a forked child: it need not touch the other's pages
  Facts facts{few, sizeof few / sizeof few[0]};
  if (new_image) facts = {big.facts, sizeof big.facts / sizeof big.facts[0]};
  // a forked child's clock is its parent's
  const bool known = !new_image && is_clock_known(record.base.begin_tick);
  if (!known) add_start_clock(facts, record.base, list);
  add_baseline(facts, stat, overcommit_mode, big.io, kBaselineIo);
  record.base.facts = static_cast<uint8_t>(facts.count);
  record.fact_list = facts.list;
  if (!new_image) record.base.flags |= kChildSide;
  record.base.args[0] = new_image && g.attached;
  if (g_private->slot != kNoIndex) {  // bounded: others can write there, too
    const auto& exe = g.processes[g_private->slot].exe;
    while (record.base.text_len < sizeof exe && exe[record.base.text_len]) ++record.base.text_len;
    record.text = exe;
  }
  return write_event(record);
}

}  // namespace

// Private memory is charged in full; so are the writable segments of the shim's own object. The log
// is a shared file: no charge.
void add_own_cost(Facts& facts) {
  facts.add(FactKey::kOwnMappedKb, (g.mapped_bytes + sizeof(Private)) / 1024);
  facts.add(FactKey::kOwnCommitKb, g.own_commit_kb);
  facts.add(FactKey::kOwnStartNs, sys::clock_ns(CLOCK_MONOTONIC) - g.start_ns);
  facts.add(FactKey::kRing, g.joined);
}

namespace {

bool enter(uint64_t fork_position, const StatFields* image) {
  const bool new_image = image != nullptr;
  Private& p = *g_private;
  if (!g.recording || is_quiet()) return false;
  uint32_t fresh = 0;
  if (!__atomic_compare_exchange_n(&p.registered, &fresh, 1, false, __ATOMIC_ACQUIRE,
                                   __ATOMIC_RELAXED))
    return fresh == 2;
  if (!new_image) close_inherited_files(), touch_for_writing(g.header->ready);
  if (!new_image && g.follow == 0) {
    g.recording = false;  // this process's own copy: from here the shim only forwards
    keep_calls_from(UINT64_MAX);
    return false;
  }
  p.pid = new_image && g.start_pid ? g.start_pid : static_cast<uint32_t>(sys::call(__NR_getpid));
  p.slot = kNoIndex;
  // Just executed or forked; who was attached to may stand in any thread.
  const bool first_thread = new_image ? !g.attached : fork_position != kUnknown;
  p.entering_tid = first_thread ? p.pid : static_cast<uint32_t>(sys::call(__NR_gettid));
  if (t_hot != &g_no_hot) __atomic_store_n(&t_hot->tid, p.entering_tid, __ATOMIC_RELAXED);
  ImageList list;
  // Of who was attached to while all its threads stand still: ovc reads it when they run again.
  ImageList* const listed = new_image && !g.attached ? &list : nullptr;
  if (new_image) begin_image_modules(listed);
  const StatFields stat = new_image ? *image : stat_of_child();
  claim_process_slot(stat, fork_position, new_image);
  p.module_position =
      new_image || g_lineage.slot == kNoIndex ? 0 : g.processes[g_lineage.slot].module_position;
  g_lineage.pid = p.pid, g_lineage.slot = p.slot, g_lineage.serial = p.serial;
  const uint64_t mode = new_image ? read_number("/proc/sys/vm/overcommit_memory") : kForked;
  const uint64_t position = write_start(stat, mode, listed);
  if (new_image) {
    write_modules();
    if (listed && list.part.entries) write_image_list(position, list, mode);
    else if (listed) write_mapping_list(position, UINT64_MAX, mode);
    if (listed) forget_image_entries(list);
    p.start_position = position;
  }
  note_listed();
  __atomic_store_n(&p.registered, 2, __ATOMIC_RELEASE);
  return true;
}

}  // namespace

bool register_process(uint64_t fork_position) { return enter(fork_position, nullptr); }
uint64_t register_image(const StatFields& stat) {
  const SignalsWait wait;
  return enter(kUnknown, &stat) ? g_private->start_position : kUnknown;
}

void note_exit_status(int status, uint32_t pid) {
  const Private& p = *g_private;
  if (p.slot == kNoIndex || is_quiet() || pid != p.pid) return;  // a vfork child ends, not we
  ProcessSlot& slot = g.processes[p.slot];
  slot.exit_status = status;
  __atomic_store_n(&slot.exit_known, 1, __ATOMIC_RELEASE);
  __atomic_store_n(&slot.end_tick, tick_now(), __ATOMIC_RELEASE);
}

bool exit_is_news(int status) {
  const Private& p = *g_private;
  if (p.slot == kNoIndex || is_quiet()) return true;
  const auto pid = static_cast<uint32_t>(sys::call(__NR_getpid));
  if (pid != p.pid) return true;
  const ProcessSlot& slot = g.processes[p.slot];
  if (__atomic_load_n(&slot.exit_known, __ATOMIC_ACQUIRE)) return false;
  const bool ended = slot.end_tick != 0;
  note_exit_status(status, pid);
  return !ended;
}

namespace {

uint64_t write_end(bool detached) {
  Record record{plain_base(Op::kEnd)};
  record.base.args[0] = detached;
  Fact list[16];
  Facts facts{list, sizeof list / sizeof list[0]};
  char io[2048];
  commit_state(record.base.before, Freshness::kFresh, &facts);
  if (!is_quiet() && facts.count == 0) add_status(facts, io, sizeof io);
  record.base.facts = static_cast<uint8_t>(facts.count);
  record.fact_list = list;
  const uint64_t position = write_event(record);
  constexpr uint64_t kMost = 20000;
  if (record.base.pid == g_private->pid && may_list_mappings(ListOccasion::kEnd))
    write_mapping_list(position, kMost);
  return record.base.pid;
}

}  // namespace

void leave_process() {
  const SignalsWait wait;
  if (g.recording && has_libc_tls() && ensure_process()) write_end(true);
}

void end_process() {
  const SignalsWait wait;
  if (!g.recording || !has_libc_tls() || !ensure_process() || !g.recording) return;
  const Private& p = *g_private;
  const uint64_t pid = write_end(false);
  if (p.slot == kNoIndex || pid != p.pid) return;
  __atomic_store_n(&g.processes[p.slot].end_tick, tick_now(), __ATOMIC_RELEASE);
  __atomic_store_n(&g.processes[p.slot].use, static_cast<uint32_t>(SlotUse::kEnded),
                   __ATOMIC_RELEASE);
}

uint64_t copy_text(char* to, uint64_t room, const char* from) {
  uint64_t n = 0;
  while (n < room) {
    const uint64_t page_left =
        kPageBytes - (reinterpret_cast<uint64_t>(from + n) & (kPageBytes - 1));
    const uint64_t take = page_left < room - n ? page_left : room - n;
    // 8 bytes that do not cross into the next page tell whether this page can be read
    const uint64_t probe = (reinterpret_cast<uint64_t>(from + n) & ~uint64_t{7});
    if (is_quiet() || !sys::readable(reinterpret_cast<const void*>(probe))) return n;
    for (uint64_t i = 0; i < take; ++i, ++n) {
      if (!from[n]) return n;
      to[n] = from[n];
    }
  }
  return n;
}

// Old kernels write what is not plain in it in another way.
static void take_name(StatFields& out, const char* text, const char* end) {
  while (*text && *text != '(') ++text;
  const auto length = static_cast<uint64_t>(end - text) - 1;
  if (text >= end || length >= sizeof out.name) return;
  for (const char* c = text + 1; c < end; ++c)
    if (*c < ' ' || *c == '\\') return;
  sys::copy(out.name, text + 1, length);
}

StatFields stat_of_child() {
  const uint64_t before = __atomic_load_n(&g_fork_clock, __ATOMIC_RELAXED);
  const uint64_t start = before ? same_clock_tick(before, boot_ns()) : kUnknown;
  if (start == kUnknown || static_cast<uint32_t>(sys::call(__NR_getppid)) != g_lineage.pid)
    return read_stat(0);
  return {g_lineage.pid, start, 1, {}};
}

StatFields read_stat(uint32_t pid) {
  char path[40] = "/proc/self/stat", text[512];
  if (pid) {
    char digits[12];
    int n = 0;
    for (uint32_t v = pid; v; v /= 10) digits[n++] = static_cast<char>('0' + v % 10);
    char* at = path + 6;
    while (n) *at++ = digits[--n];
    sys::copy(at, "/stat", 6);
  }
  StatFields out{kUnknown, kUnknown, kUnknown, {}};
  const long len = read_file(path, text, sizeof text);
  if (len <= 0) {  // /proc is not mounted
    if (!pid && !is_quiet()) out.parent_pid = static_cast<uint64_t>(sys::call(__NR_getppid));
    return out;
  }
  // the command can hold anything, brackets too: fields count from the last ')'
  const char* at = text + len;
  while (at > text && *at != ')') --at;
  if (*at != ')') return out;
  take_name(out, text, at);
  const char* rest = at + 1;  // field 3, the state, comes next
  const bool whole = text[len - 1] == '\n';
  for (int field = 3; field <= 47 && *rest; ++field) {
    while (*rest == ' ') ++rest;
    if (field == 4) out.parent_pid = parse_number(rest);
    if (field == 20) out.threads = parse_number(rest);
    if (field == 22) out.start_ticks = parse_number(rest);
    if (field == 47 && whole && *rest != '0') out.start_brk = parse_number(rest);
    while (*rest && *rest != ' ') ++rest;
  }
  return out;
}

}  // namespace ovcshim
