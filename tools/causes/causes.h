// SPDX-License-Identifier: MIT
//
// Why a recorded call was refused: decided from what the log recorded and the rules of
// tools/rules/commit_rules.h, in the order in which the kernel checks. A cause is named only if the
// recorded facts prove it; everything else is `unknown`, with the reason why it is. Nothing here
// reads a file, a clock or the running machine.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/causes/setting.h"
#include "tools/log/call_families.h"
#include "tools/log/log_reader.h"
#include "tools/rules/commit_rules.h"

namespace ovc {

// Everything recorded about one refused call.
struct Evidence {
  Event event;
  std::optional<Event> snapshot;  // kSnapshot taken for it, or for the malloc it happened in
  std::optional<Event> baseline;  // newest kStart or kSnapshot of the same process before it
  std::vector<ovcshim::MappingEntry> mappings;  // ascending; only meaningful if mappings_complete
  bool mappings_complete = false;
  // Of a list that is too long to be whole: those around the range that the call was given. Only
  // meaningful if range_known.
  std::vector<ovcshim::MappingEntry> range;
  bool range_known = false;
  // Mappings at the newest list before, whatever was granted since.
  std::optional<uint64_t> count_before;
  // mprotect: the mapping that holds the range, as the same thread made it shortly before, if
  // nothing it did since changed it.
  std::optional<ovcshim::MappingEntry> made_before;
  HostRules rules;  // as snapshot and event describe the host
  ovcshim::Machine machine = ovcshim::Machine::kX86_64;
  uint64_t address_bits = 48;          // of aarch64: a process has the addresses below 2^n
  std::optional<int64_t> duration_ns;  // from forwarding to return
  std::optional<bool> libc_malloc;  // malloc family: is the C library's allocator behind the shim
  std::optional<uint64_t>
      old_break;  // brk, sbrk: where the break was, from the newest granted call before
  bool granted_before =
      false;  // the same kind of call was granted to the process earlier: no filter refuses it
  bool sees_libc =
      false;  // libc's own memory calls were recorded too: if there is none, it made none
  std::string comm;
  Setting setting;
  // Calls the same thread made as part of this one (libc's own, an allocator's memory calls),
  // granted and refused, in order.
  std::vector<Evidence> inner;

  // From the snapshot, else the event itself.
  std::optional<uint64_t> fact(ovcshim::FactKey key) const;
  // How far a counter rose between baseline and snapshot; nullopt if one of them lacks it or it
  // fell.
  std::optional<uint64_t> rise(ovcshim::FactKey key) const;
  uint16_t err() const { return event.base.err; }
};

struct Figure {
  std::string label;
  uint64_t value = 0;
  std::string_view unit;    // "kB", "tasks", "mappings", ...; empty for plain numbers
  std::string_view source;  // where the value was read
};

struct RefusedAt {
  uint64_t index = 0;  // 1-based, among the mappings that are charged, ascending addresses
  ovcshim::MappingEntry mapping{};
};

// What the call asked the kernel to promise.
struct Charge {
  uint64_t kb = 0;
  uint64_t mappings = 0;               // 0: not known
  std::optional<uint64_t> biggest_kb;  // largest single request in it
  std::optional<RefusedAt> refused_at;
};

// Would the same call pass under each vm.overcommit_memory? nullopt: not proven.
struct WouldPass {
  std::optional<bool> mode0, mode1, mode2;
  LimitSettings mode2_with;  // smallest single change that lets it pass in mode 2
  bool by_kbytes = false;    // the limit is set by vm.overcommit_kbytes now, not by the ratio
  std::optional<uint64_t> mode0_more_swap_mib;
};

// A charge against the commit rules of all three modes, whether or not it was refused.
struct CommitOutlook {
  Charge charge;                      // refused_at: in the mode in force
  std::optional<Mode2Verdict> mode2;  // nullopt: a term of the inequality is not known
  std::optional<uint64_t> committed_kb, total_vm_pages;  // that mode2 was decided with
  std::optional<uint64_t> mode0_limit_kb;  // largest single request that mode 0 grants, >= 5.2 only
  WouldPass would_pass;
};

struct CauseRow;

// What may have refused, by figures that exclude it as little as they prove it.
struct Suspect {
  std::string_view cause;
  std::string text;
  unsigned order = 9;  // the most likely first
};

struct InnerStep {
  Event event;
  std::optional<uint64_t> charge_kb;
  std::string_view cause;  // empty if it was granted
};

struct Finding {
  std::string_view cause = "unknown";  // stable names, see design of the command line
  std::string summary;                 // one line, for people
  std::string_view meaning, rule;      // from the row that proved it
  std::vector<Figure> figures;
  std::optional<Charge> charge;
  std::optional<Mode2Verdict> mode2;
  std::optional<int64_t> short_by;  // what was missing, in short_unit; <= 0 only if borderline
  std::string_view short_unit = "kB";
  std::optional<int64_t> band;  // uncertainty of short_by
  bool borderline = false;
  std::optional<WouldPass> would_pass;  // only where the overcommit setting decides
  std::vector<std::string>
      notes;  // what limits this verdict, or what is known though nothing is proven
  std::vector<std::string> advice;  // least invasive first
  std::vector<InnerStep> steps;     // what a malloc tried inside
  std::vector<Suspect> suspects;    // of `unknown`: none is proven; most likely first
};

// A way to fail and the proof it needs. First row that applies and proves wins.
struct CauseRow {
  std::string_view id;
  bool (*applies)(const Evidence&);
  bool (*proves)(const Evidence&, Finding&);  // fills the figures if it returns true
  std::string_view meaning, source;
};
// In the order they are tried.
std::span<const CauseRow> common_causes();
std::span<const CauseRow> fork_causes();
std::span<const CauseRow> memory_causes();
std::span<const CauseRow> shared_causes();  // shmget, locks
std::span<const CauseRow> exec_causes();
std::span<const CauseRow> malloc_causes();

Finding diagnose(const Evidence& evidence);

// Advice for a finding; appended to Finding::advice.
void advise(const Evidence& evidence, Finding& finding);

// The decision for a fork from its mappings alone, for use on any list: totals, and where it would
// be refused.
Charge fork_charge(std::span<const ovcshim::MappingEntry> mappings, const HostRules& rules);
// Mode 2: first mapping at which committed + running sum reaches `allowed`.
std::optional<RefusedAt> mode2_crossing(std::span<const ovcshim::MappingEntry> mappings,
                                        const HostRules& rules, int64_t headroom_kb);
// Mode 0 since 5.2: first mapping that is larger than RAM + swap.
std::optional<RefusedAt> mode0_crossing(std::span<const ovcshim::MappingEntry> mappings,
                                        const HostRules& rules);

// What the commit rules say of a fork that asks for this charge, in the state that `evidence`
// describes: its host, readings of Committed_AS and total_vm, and mappings if they are complete. A
// charge of nothing is never checked.
CommitOutlook commit_outlook(const Evidence& evidence, Charge charge);

// Is it proven that RLIMIT_NPROC binds the caller? The superuser and holders of two capabilities
// are exempt.
bool nproc_limit_applies(const Evidence& evidence);

bool is_redis(std::string_view comm);  // redis, valkey and their relatives

// "anonymous", "heap", "stack", "file", ...: what a mapping is, for people.
std::string_view mapping_kind_text(const ovcshim::MappingEntry& mapping);

}  // namespace ovc
