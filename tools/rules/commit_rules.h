// SPDX-License-Identifier: MIT
//
// The kernel's commit accounting as tables: what a mapping or a change of one is charged, and when
// a charge is refused. Pure functions of facts; each row names the kernel file and function it
// restates and the versions it holds for, so that an old log can be read again when a rule turns
// out to be better known. No other file of the project knows these rules.
//
// Amounts are in kB unless a name says otherwise; the kernel counts pages, so every amount is a
// multiple of the page size. std::nullopt always means "not proven by the facts given", never zero.
#pragma once
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "shim/format/log_format.h"

namespace ovc {

struct Event;

struct KernelVersion {
  unsigned major = 0, minor = 0;  // 0.0 = unknown
  auto operator<=>(const KernelVersion&) const = default;
  constexpr bool known() const { return major != 0; }
};
KernelVersion parse_kernel_release(std::string_view release);  // "6.1.0-18-amd64" -> 6.1

// Values of vm.overcommit_memory, as the kernel names them.
inline constexpr uint64_t kModeGuess = 0, kModeAlways = 1, kModeNever = 2;

// Where RAM and swap were read: host_figures.h says when /proc/meminfo does not count.
enum class HostTotals : uint8_t { kMeminfo, kSysinfo, kDoubtful };

// What decides whether the kernel grants a charge: settings and sizes of the host, and the caller's
// privilege.
struct HostRules {
  KernelVersion kernel;
  bool vendor_kernel =
      false;  // long-lived vendor tree: rules may have been backported, see guess_is_simple()
  std::optional<bool> simple_guess_probed;  // what trying it has shown (guess_probe.h), where the
                                            // release tells nothing
  uint64_t page_kb = 4;
  uint64_t cpus = 0;             // present; 0 = unknown
  std::optional<uint64_t> mode;  // vm.overcommit_memory
  std::optional<uint64_t> ram_kb, swap_kb, hugetlb_kb;
  std::optional<uint64_t> ratio, overcommit_kbytes, user_reserve_kb, admin_reserve_kb;
  std::optional<uint64_t> limit_kb, committed_kb;  // /proc/meminfo CommitLimit, Committed_AS
  bool noreserve_ignored =
      false;                  // recorded under a rehearsal of mode 2: the shim took the flag away
  std::optional<bool> admin;  // CAP_SYS_ADMIN in the initial user namespace
  // Whose figures these are, see host_figures.h.
  bool files_looked_at = false;
  uint64_t foreign_files = 0, foreign_fs = 0;  // HostFile bits, f_type of the first of them
  HostTotals totals = HostTotals::kMeminfo;
  std::string_view doubt;        // of kDoubtful: why
  bool committed_lives = false;  // Committed_AS was seen to change: it is no copy
};
HostRules host_rules(const ovcshim::FileHeader& header);
// The mode that OVCSHIM_REHEARSE put in force; nullopt: none, or it was not understood.
std::optional<uint64_t> rehearsed_mode(const ovcshim::FileHeader& header);
// The same host as these later facts describe it; what they do not mention stays.
HostRules with_facts(HostRules rules, std::span<const ovcshim::Fact> facts);

// ---- What a new mapping is charged
// -------------------------------------------------------------------------------------

enum class Tri : uint8_t { kNo, kYes, kAny };
constexpr bool matches(Tri tri, bool value) {
  return tri == Tri::kAny || (tri == Tri::kYes) == value;
}

enum class Cost : uint8_t {
  kNone,
  kLength,   // the whole length, at once
  kTouched,  // page by page, when it is touched: nothing at the call
};

struct MappingKind {
  bool shared = false, writable = false, file = false, noreserve = false, hugetlb = false,
       droppable = false;
};
MappingKind mapping_kind(uint64_t prot, uint64_t flags, const HostRules& rules = {});  // of mmap(2)

// The same of a recorded call: the file system of its file makes a mapping one of huge pages, too.
MappingKind mapping_kind_of(const Event& mmap, const HostRules& rules = {});

// First matching row wins.
struct MappingRow {
  Tri shared, file, writable, noreserve, hugetlb, droppable;
  uint8_t modes;  // bit n: holds under vm.overcommit_memory = n
  Cost cost;
  std::string_view what, source;
  KernelVersion since{}, until{};  // until: first version where it no longer holds; 0.0 = no bound
};
std::span<const MappingRow> mapping_rows();
// nullptr if the answer depends on a mode or version that is not known.
const MappingRow* mapping_row(const MappingKind& kind, const HostRules& rules);

// Shared memory that is an object of its own: its mappings are never accounted, and a fork is not
// charged for it.
enum class SharedObject : uint8_t {
  kSysV,  // shmget
  kFile,  // memfd_create, shm_open, a file on tmpfs
  kHuge,  // of huge pages: SHM_HUGETLB, MFD_HUGETLB, a file on hugetlbfs
};
struct SharedRow {
  SharedObject object;
  Tri noreserve;  // SHM_NORESERVE
  uint8_t modes;
  Cost cost;
  std::string_view what, source;
};
std::span<const SharedRow> shared_rows();
const SharedRow* shared_row(SharedObject object, bool noreserve, const HostRules& rules);

// ---- What a change of an existing mapping is charged or gives back
// -----------------------------------------------------

enum class Change : uint8_t {
  kGainWrite,
  kLoseWrite,
  kUnmap,
  kReplaceFixed,
  kGrow,
  kShrink,
  kMove,
  kMoveKeepOld,
  kBrkGrow,
  kBrkShrink,
  kStackGrow,
  kMadvise,
  kFork,
  kForkSharedMemory,
};
enum class Effect : uint8_t {
  kNothing,
  kCharge,         // + the pages in question, refusable
  kChargeLessOld,  // + length - what it replaces; no check if that is nothing
  kRelease,        // - the pages in question
  kCheckOnly,      // + 0 pages, but refusable: fails in mode 2 while the limit is exceeded
};

// A mapping as smaps' VmFlags shows it, before the change.
struct MappingState {
  bool accounted = false;  // ac
  bool noreserve = false;  // nr
  bool writable = false, shared = false, hugetlb = false;
  bool dont_copy = false;  // dc
  bool file = false;
  bool touched = true;  // was ever write-faulted; assume so unless known
};
MappingState mapping_state(const ovcshim::MappingEntry& mapping);

struct ChangeRow {
  Change change;
  Tri accounted, noreserve, writable, shared, hugetlb, dont_copy, file, touched;
  Effect effect;
  std::string_view what, source;
  KernelVersion since{}, until{};
};
std::span<const ChangeRow> change_rows();
const ChangeRow* change_row(Change change, const MappingState& state, const HostRules& rules);

// What a fork is charged for this mapping.
uint64_t fork_charge_kb(const ovcshim::MappingEntry& mapping, const HostRules& rules);
// What mprotect to a writable protection is charged for the part of this mapping inside [start,
// end).
uint64_t gain_write_kb(const ovcshim::MappingEntry& mapping, uint64_t start, uint64_t end,
                       const HostRules& rules);

// kB that a recorded call asked to be charged. nullopt: not proven by the record alone (a fork
// without its list of mappings, mprotect, mremap and MAP_FIXED without what was there, brk without
// the old break), or no call that charges.
std::optional<uint64_t> charge_kb(const Event& event, const HostRules& rules);

uint64_t round_to_pages_kb(uint64_t bytes, const HostRules& rules);

// ---- When a charge is refused
// ------------------------------------------------------------------------------------------

// CommitLimit as it would be with these settings. kbytes wins over ratio unless it is 0, as in the
// kernel.
std::optional<uint64_t> commit_limit_kb(const HostRules& rules, uint64_t ratio,
                                        uint64_t overcommit_kbytes);

// Mode 2: allowed iff committed + request < allowed, all in pages.
struct Mode2Verdict {
  int64_t limit_kb = 0, committed_kb = 0, user_reserve_kb = 0, admin_reserve_kb = 0, request_kb = 0;
  int64_t allowed_kb = 0;   // limit - reserves
  int64_t headroom_kb = 0;  // allowed - committed
  int64_t short_kb = 0;     // least amount that would have to be added to pass; <= 0: passes
  int64_t band_kb = 0;  // the counter the kernel compares may differ from Committed_AS by this much
  bool passes() const { return short_kb <= 0; }
  bool borderline() const { return (short_kb < 0 ? -short_kb : short_kb) <= band_kb; }
};
// total_vm_pages: of the caller (of the parent for fork). nullopt if a term of the inequality is
// not known.
std::optional<Mode2Verdict> mode2(const HostRules& rules, std::optional<uint64_t> committed_kb,
                                  std::optional<uint64_t> total_vm_pages, uint64_t request_kb);

// How far the kernel's per-CPU counter may be from its exact sum.
std::optional<uint64_t> counter_band_kb(const HostRules& rules, uint64_t mode);

// Is Committed_AS of /proc/meminfo an exact sum? Then no process alone is charged more than that.
bool committed_is_exact(const HostRules& rules);

struct LimitSettings {  // smallest settings that lift CommitLimit to at least a wanted value
  std::optional<uint64_t> ratio, overcommit_kbytes, more_swap_mib;
};
LimitSettings settings_for_limit(const HostRules& rules, uint64_t wanted_limit_kb);
// Could a machine like this one be given as much more swap, or promise as much more? Beyond that a
// figure is no advice.
bool can_have_more(const HostRules& rules, uint64_t more_kb);

// Mode 0. Since 5.2: a request passes unless it alone is larger than RAM + swap. nullopt: kernel or
// sizes not known.
std::optional<bool> guess_is_simple(const HostRules& rules);
std::optional<uint64_t> guess_limit_kb(
    const HostRules& rules);  // largest request that passes, >= 5.2 only

// Mode 0 before 5.2: the estimate of free memory, step by step.
struct GuessStep {
  char sign;              // '+' or '-'
  ovcshim::FactKey fact;  // kNone: user space cannot read it
  std::string_view what;
  bool unless_admin;
  KernelVersion since{}, until{};
};
std::span<const GuessStep> guess_steps();
// The estimate without the steps that user space cannot read; they only lower it, so a larger
// request was surely refused.
std::optional<int64_t> guess_estimate_at_most_kb(const HostRules& rules,
                                                 std::span<const ovcshim::Fact> facts);

// Does a row or step hold for this kernel? nullopt if the version is needed and unknown.
std::optional<bool> holds(KernelVersion since, KernelVersion until, const HostRules& rules);

inline constexpr std::string_view kEnoughMemorySource = "mm/util.c __vm_enough_memory()";

}  // namespace ovc
