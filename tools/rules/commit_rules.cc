// SPDX-License-Identifier: MIT
//
// What follows from the rows (commit_tables.cc) for a host and a request.
#include "tools/rules/commit_rules.h"

#include <linux/magic.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "shim/format/refusal_spec.h"
#include "tools/log/kernel_numbers.h"
#include "tools/log/log_reader.h"
#include "tools/rules/host_figures.h"

namespace ovc {
namespace {

using ovcshim::FactKey;

constexpr unsigned kCapSysAdmin = 21;

constexpr KernelVersion kSimpleGuessSince{5, 2};  // 8c7829b04c52
constexpr KernelVersion kExactSumSince{5, 9};     // 56f3547bfa4d, 4e2ee51e8251

unsigned take_number(std::string_view& text) {
  unsigned value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value).ptr;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

// Amounts beyond any machine come from a damaged log; below this bound no sum or product here can
// overflow.
constexpr uint64_t kAbsurd = uint64_t{1} << 48;

std::optional<uint64_t> sane(std::optional<uint64_t> value) {
  return value && *value < kAbsurd ? value : std::nullopt;
}

std::optional<uint64_t> find_fact(std::span<const ovcshim::Fact> facts, FactKey key) {
  for (const auto& fact : facts)
    if (fact.key == static_cast<uint32_t>(key) && fact.value != ovcshim::kUnknown)
      return fact.value;
  return std::nullopt;
}

// It is asked as well whether the caller may use the capability (security/selinux/hooks.c
// selinux_vm_enough_memory()); the other modules are not.
bool selinux_decides(std::span<const ovcshim::Fact> facts) {
  const auto module = find_fact(facts, FactKey::kSecurityModule);
  return module == static_cast<uint64_t>(ovcshim::SecurityModule::kSelinuxEnforcing) ||
         module == static_cast<uint64_t>(ovcshim::SecurityModule::kSelinux);
}

// The effective set and the identity of the uid map are what user space can see of
// cap_capable(&init_user_ns).
std::optional<bool> admin_of(std::span<const ovcshim::Fact> facts) {
  const auto caps = find_fact(facts, FactKey::kCapEff),
             identity = find_fact(facts, FactKey::kUserNsIdentity);
  if (caps && !(*caps >> kCapSysAdmin & 1)) return false;
  if (identity && *identity == 0) return false;
  if (caps && identity && !selinux_decides(facts)) return true;
  return std::nullopt;
}

void take(std::optional<uint64_t>& to, std::span<const ovcshim::Fact> facts, FactKey key) {
  if (const auto value = sane(find_fact(facts, key))) to = value;
}

std::optional<uint64_t> mmap_charge_kb(const Event& event, const HostRules& rules) {
  const auto& args = event.base.args;
  const MappingRow* row = mapping_row(mapping_kind_of(event, rules), rules);
  if (!row) return std::nullopt;
  if (row->cost != Cost::kLength) return 0;
  if (args[3] & MAP_FIXED) {
    const ChangeRow* fixed = change_row(Change::kReplaceFixed, {}, rules);
    if (!fixed || fixed->effect == Effect::kChargeLessOld) return std::nullopt;
  }
  return round_to_pages_kb(args[1], rules);
}

std::optional<uint64_t> sbrk_charge_kb(const Event& event, const HostRules& rules) {
  const auto increment = static_cast<int64_t>(event.base.args[0]);
  const uint64_t page = rules.page_kb * 1024;
  if (increment <= 0) return 0;
  if (!event.failed() && event.returned()) {
    const auto old_break = static_cast<uint64_t>(event.base.result);
    return round_to_pages_kb(old_break + static_cast<uint64_t>(increment), rules) -
           round_to_pages_kb(old_break, rules);
  }
  if (static_cast<uint64_t>(increment) % page != 0) return std::nullopt;
  return static_cast<uint64_t>(increment) / 1024;
}

std::optional<uint64_t> mremap_charge_kb(const Event& event, const HostRules& rules) {
  const auto& args = event.base.args;
  const bool grows = round_to_pages_kb(args[2], rules) > round_to_pages_kb(args[1], rules);
  if (grows || args[1] == 0 || (args[3] & MREMAP_DONTUNMAP)) return std::nullopt;
  return 0;
}

}  // namespace

KernelVersion parse_kernel_release(std::string_view release) {
  KernelVersion version;
  version.major = take_number(release);
  if (release.empty() || release.front() != '.') return {};
  release.remove_prefix(1);
  version.minor = take_number(release);
  return version;
}

HostRules with_facts(HostRules rules, std::span<const ovcshim::Fact> facts) {
  const auto committed_before = rules.committed_kb;
  take(rules.mode, facts, FactKey::kOvercommitMemory);
  take(rules.ram_kb, facts, FactKey::kMemTotalKb);
  take(rules.swap_kb, facts, FactKey::kSwapTotalKb);
  take(rules.hugetlb_kb, facts, FactKey::kHugetlbKb);
  take(rules.ratio, facts, FactKey::kOvercommitRatio);
  take(rules.overcommit_kbytes, facts, FactKey::kOvercommitKbytes);
  take(rules.user_reserve_kb, facts, FactKey::kUserReserveKb);
  take(rules.admin_reserve_kb, facts, FactKey::kAdminReserveKb);
  take(rules.limit_kb, facts, FactKey::kCommitLimitKb);
  take(rules.committed_kb, facts, FactKey::kCommittedAsKb);
  if (const auto admin = admin_of(facts)) rules.admin = admin;
  else if (selinux_decides(facts)) rules.admin.reset();
  if (committed_before && rules.committed_kb != committed_before) rules.committed_lives = true;
  settle_figures(rules, facts);
  return rules;
}

// The shim's own parser: what it did not understand was not in force.
std::optional<uint64_t> rehearsed_mode(const ovcshim::FileHeader& header) {
  ovcshim::RehearseSpec spec;
  if (header.rehearse[0] == 0 || ovcshim::parse_rehearse(header.rehearse, spec).what)
    return std::nullopt;
  return spec.mode;
}

HostRules host_rules(const ovcshim::FileHeader& header) {
  const std::string_view release(header.kernel_release,
                                 strnlen(header.kernel_release, sizeof header.kernel_release));
  HostRules rules;
  rules.kernel = parse_kernel_release(release);
  rules.noreserve_ignored = rehearsed_mode(header) == kModeNever;
  rules.vendor_kernel = release.find(".el") != release.npos;
  if (header.page_size >= 1024 && header.page_size <= (1 << 20))
    rules.page_kb = header.page_size / 1024;
  rules.cpus = header.cpus_online == ovcshim::kUnknown
                   ? 0
                   : std::min<uint64_t>(header.cpus_online, 1 << 16);  // 0: not known
  size_t count = 0;
  while (count < std::size(header.host) && header.host[count].key != 0) ++count;
  return with_facts(rules, {header.host, count});
}

MappingKind mapping_kind(uint64_t prot, uint64_t flags, const HostRules& rules) {
  const uint64_t type = flags & kMapTypeMask;
  return {
      .shared = type == MAP_SHARED || type == MAP_SHARED_VALIDATE,
      .writable = (prot & PROT_WRITE) != 0,
      .file = !(flags & MAP_ANONYMOUS),
      .noreserve = (flags & MAP_NORESERVE) && (!rules.noreserve_ignored || (flags & MAP_HUGETLB)),
      .hugetlb = (flags & MAP_HUGETLB) != 0,
      .droppable = type == kMapDroppable};
}

MappingKind mapping_kind_of(const Event& mmap, const HostRules& rules) {
  MappingKind kind = mapping_kind(mmap.base.args[2], mmap.base.args[3], rules);
  if (!kind.file || mmap.fact(FactKey::kFileFsType) != HUGETLBFS_MAGIC) return kind;
  kind.hugetlb = true;
  kind.noreserve = mmap.base.args[3] & MAP_NORESERVE;
  return kind;
}

MappingState mapping_state(const ovcshim::MappingEntry& mapping) {
  const auto has = [&](uint32_t flag) { return (mapping.flags & flag) != 0; };
  return {.accounted = has(ovcshim::kMapAc),
          .noreserve = has(ovcshim::kMapNr),
          .writable = has(ovcshim::kMapWrite),
          .shared = has(ovcshim::kMapShared),
          .hugetlb = has(ovcshim::kMapHt),
          .dont_copy = has(ovcshim::kMapDc),
          .file = has(ovcshim::kMapFile),
          .touched = true};
}

uint64_t fork_charge_kb(const ovcshim::MappingEntry& mapping, const HostRules& rules) {
  const ChangeRow* row = change_row(Change::kFork, mapping_state(mapping), rules);
  return row && row->effect == Effect::kCharge && mapping.end > mapping.start
             ? (mapping.end - mapping.start) / 1024
             : 0;
}

uint64_t gain_write_kb(const ovcshim::MappingEntry& mapping, uint64_t start, uint64_t end,
                       const HostRules& rules) {
  const uint64_t from = std::max(start, mapping.start), to = std::min(end, mapping.end);
  const ChangeRow* row = change_row(Change::kGainWrite, mapping_state(mapping), rules);
  return from < to && row && row->effect == Effect::kCharge ? (to - from) / 1024 : 0;
}

uint64_t round_to_pages_kb(uint64_t bytes, const HostRules& rules) {
  const uint64_t page = rules.page_kb * 1024;
  return (bytes / page + (bytes % page != 0)) * rules.page_kb;
}

namespace {

// Of a segment that is new: one that was there already costs nothing, and the record does not say
// which it was.
std::optional<uint64_t> segment_kb(const Event& event, const HostRules& rules) {
  constexpr uint64_t kHugetlb = 04000, kNoreserve = 010000, kPrivate = 0;
  const auto& args = event.base.args;
  if (args[0] != kPrivate && !event.failed()) return std::nullopt;
  const auto object = args[2] & kHugetlb ? SharedObject::kHuge : SharedObject::kSysV;
  const SharedRow* row = shared_row(object, args[2] & kNoreserve, rules);
  if (!row) return std::nullopt;
  return row->cost == Cost::kLength ? round_to_pages_kb(args[1], rules) : 0;
}

}  // namespace

std::optional<uint64_t> charge_kb(const Event& event, const HostRules& rules) {
  switch (event.base.op) {
    case Op::kMmap: return mmap_charge_kb(event, rules);
    case Op::kSbrk: return sbrk_charge_kb(event, rules);
    case Op::kMremap: return mremap_charge_kb(event, rules);
    case Op::kMprotect:
      return event.base.args[2] & PROT_WRITE ? std::nullopt : std::optional<uint64_t>(0);
    case Op::kMunmap:
    case Op::kMadvise:
    case Op::kVfork: return 0;
    case Op::kClone:
      if (event.base.args[0] & CLONE_VM) return 0;
      return event.fact(FactKey::kMapsAcKb);
    case Op::kFork:
    case Op::kUnderscoreFork:
    case Op::kDaemon:
    case Op::kForkpty: return event.fact(FactKey::kMapsAcKb);
    case Op::kShmget: return segment_kb(event, rules);
    default: return std::nullopt;
  }
}

// ---- When a charge is refused
// ------------------------------------------------------------------------------------------

std::optional<uint64_t> commit_limit_kb(const HostRules& rules, uint64_t ratio,
                                        uint64_t overcommit_kbytes) {
  if (!rules.swap_kb) return std::nullopt;
  if (overcommit_kbytes != 0)
    return overcommit_kbytes / rules.page_kb * rules.page_kb + *rules.swap_kb;
  if (!rules.ram_kb || !rules.hugetlb_kb || *rules.hugetlb_kb > *rules.ram_kb) return std::nullopt;
  const uint64_t pages = (*rules.ram_kb - *rules.hugetlb_kb) / rules.page_kb;
  return pages * ratio / 100 * rules.page_kb + *rules.swap_kb;
}

std::optional<uint64_t> counter_band_kb(const HostRules& rules, uint64_t mode) {
  if (!rules.ram_kb || rules.cpus == 0) return std::nullopt;
  // mm/mm_init.c mm_compute_batch(): coarser while nobody compares the counter with a limit.
  const bool coarse = mode != kModeNever && rules.kernel >= kExactSumSince;
  const uint64_t by_size = *rules.ram_kb / rules.page_kb / rules.cpus / (coarse ? 4 : 256);
  const uint64_t batch = std::max(by_size, std::max<uint64_t>(2 * rules.cpus, 32));
  return rules.cpus * batch * rules.page_kb;
}

bool committed_is_exact(const HostRules& rules) { return rules.kernel >= kExactSumSince; }

std::optional<Mode2Verdict> mode2(const HostRules& rules, std::optional<uint64_t> committed_kb,
                                  std::optional<uint64_t> total_vm_pages, uint64_t request_kb) {
  if (!rules.limit_kb || !rules.user_reserve_kb || !rules.admin_reserve_kb) return std::nullopt;
  if (!sane(committed_kb) || !sane(total_vm_pages) || !sane(request_kb)) return std::nullopt;
  const auto whole_pages = [&](uint64_t kb) {
    return static_cast<int64_t>(kb / rules.page_kb * rules.page_kb);
  };
  Mode2Verdict v;
  v.limit_kb = static_cast<int64_t>(*rules.limit_kb);
  v.committed_kb = static_cast<int64_t>(*committed_kb);
  v.request_kb = static_cast<int64_t>(request_kb);
  v.user_reserve_kb = std::min(static_cast<int64_t>(*total_vm_pages / 32 * rules.page_kb),
                               whole_pages(*rules.user_reserve_kb));
  v.admin_reserve_kb = rules.admin.value_or(false) ? 0 : whole_pages(*rules.admin_reserve_kb);
  v.band_kb = static_cast<int64_t>(counter_band_kb(rules, kModeNever).value_or(0));
  if (!rules.admin) v.band_kb += v.admin_reserve_kb;  // whether this reserve applied is not known
  v.allowed_kb = v.limit_kb - v.user_reserve_kb - v.admin_reserve_kb;
  v.headroom_kb = v.allowed_kb - v.committed_kb;
  v.short_kb = v.request_kb - v.headroom_kb + static_cast<int64_t>(rules.page_kb);
  return v;
}

LimitSettings settings_for_limit(const HostRules& rules, uint64_t wanted_limit_kb) {
  LimitSettings settings;
  if (rules.limit_kb && wanted_limit_kb > *rules.limit_kb)
    settings.more_swap_mib = (wanted_limit_kb - *rules.limit_kb + 1023) / 1024;
  if (!rules.swap_kb || wanted_limit_kb < *rules.swap_kb) return settings;
  settings.overcommit_kbytes = wanted_limit_kb - *rules.swap_kb;
  if (!rules.ram_kb || !rules.hugetlb_kb || *rules.ram_kb <= *rules.hugetlb_kb) return settings;
  const uint64_t base_pages = (*rules.ram_kb - *rules.hugetlb_kb) / rules.page_kb;
  const uint64_t wanted_pages = (*settings.overcommit_kbytes + rules.page_kb - 1) / rules.page_kb;
  if (base_pages != 0) settings.ratio = (wanted_pages * 100 + base_pages - 1) / base_pages;
  return settings;
}

bool can_have_more(const HostRules& rules, uint64_t more_kb) {
  constexpr uint64_t kTimesRam = 16;
  return !rules.ram_kb || more_kb / kTimesRam <= *rules.ram_kb;
}

std::optional<bool> guess_is_simple(const HostRules& rules) {
  if (!rules.kernel.known()) return std::nullopt;
  if (rules.kernel >= kSimpleGuessSince) return true;
  return rules.vendor_kernel ? rules.simple_guess_probed : std::optional(false);
}

std::optional<uint64_t> guess_limit_kb(const HostRules& rules) {
  if (!guess_is_simple(rules).value_or(false) || !rules.ram_kb || !rules.swap_kb)
    return std::nullopt;
  return *rules.ram_kb + *rules.swap_kb;
}

std::optional<int64_t> guess_estimate_at_most_kb(const HostRules& rules,
                                                 std::span<const ovcshim::Fact> facts) {
  if (guess_is_simple(rules).value_or(true) || rules.totals != HostTotals::kMeminfo)
    return std::nullopt;
  int64_t sum = 0;
  for (const auto& step : guess_steps()) {
    if (!holds(step.since, step.until, rules).value_or(false) ||
        (step.unless_admin && rules.admin.value_or(true)))
      continue;
    const auto value =
        step.fact == FactKey::kNone ? std::nullopt : sane(find_fact(facts, step.fact));
    if (!value && step.sign == '+') return std::nullopt;
    if (value)
      sum += step.sign == '+' ? static_cast<int64_t>(*value) : -static_cast<int64_t>(*value);
  }
  return sum;
}

}  // namespace ovc
