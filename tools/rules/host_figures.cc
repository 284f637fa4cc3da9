// SPDX-License-Identifier: MIT
//
// See host_figures.h.
#include "tools/rules/host_figures.h"

#include <fmt/format.h>

#include <algorithm>

namespace ovc {
namespace {

using ovcshim::Fact;
using ovcshim::FactKey;

// clang-format off
constexpr HostFileRow kHostFiles[] = {
    {ovcshim::kFileMeminfo, "meminfo", FactKey::kMemTotalKb, FactKey::kHugetlbKb},
    {ovcshim::kFileLoadavg, "loadavg", FactKey::kTasksTotal, FactKey::kTasksTotal},
    {ovcshim::kFileVmstat, "vmstat", FactKey::kVmstatOomKill, FactKey::kVmstatOomKill},
    {ovcshim::kFileOvercommitMemory, "sys/vm/overcommit_memory", FactKey::kOvercommitMemory, FactKey::kOvercommitMemory},
    {ovcshim::kFileOvercommitRatio, "sys/vm/overcommit_ratio", FactKey::kOvercommitRatio, FactKey::kOvercommitRatio},
    {ovcshim::kFileOvercommitKbytes, "sys/vm/overcommit_kbytes", FactKey::kOvercommitKbytes, FactKey::kOvercommitKbytes},
    {ovcshim::kFileUserReserve, "sys/vm/user_reserve_kbytes", FactKey::kUserReserveKb, FactKey::kUserReserveKb},
    {ovcshim::kFileAdminReserve, "sys/vm/admin_reserve_kbytes", FactKey::kAdminReserveKb, FactKey::kAdminReserveKb},
    {ovcshim::kFileMaxMapCount, "sys/vm/max_map_count", FactKey::kMaxMapCount, FactKey::kMaxMapCount},
    {ovcshim::kFileMmapMinAddr, "sys/vm/mmap_min_addr", FactKey::kMmapMinAddr, FactKey::kMmapMinAddr},
    {ovcshim::kFileThreadsMax, "sys/kernel/threads-max", FactKey::kThreadsMax, FactKey::kThreadsMax},
    {ovcshim::kFilePidMax, "sys/kernel/pid_max", FactKey::kPidMax, FactKey::kPidMax},
    {ovcshim::kFileStat, "stat", FactKey::kNone, FactKey::kNone},
};
// clang-format on

constexpr uint64_t kSlackKb = 1024;  // the totals may be read while memory is added

std::optional<uint64_t> find(std::span<const Fact> facts, FactKey key) {
  for (const Fact& fact : facts)
    if (fact.key == static_cast<uint32_t>(key) && fact.value != ovcshim::kUnknown)
      return fact.value;
  return std::nullopt;
}

// mm/util.c vm_commit_limit() is what CommitLimit is made of. nullopt: a part is not known.
std::optional<bool> limit_fits(const HostRules& rules) {
  if (!rules.limit_kb || !rules.ratio || !rules.overcommit_kbytes) return std::nullopt;
  const auto expected = commit_limit_kb(rules, *rules.ratio, *rules.overcommit_kbytes);
  if (!expected) return std::nullopt;
  return std::max(*expected, *rules.limit_kb) - std::min(*expected, *rules.limit_kb) <= kSlackKb;
}

// sysinfo(2) can be answered by somebody else only where a filter hands it on (LXD), and that one
// gives the figures of the faked file.
bool sysinfo_is_kernels(const HostRules& rules, std::span<const Fact> facts) {
  return find(facts, FactKey::kSeccomp).value_or(2) != 2 || limit_fits(rules) == true ||
         find(facts, FactKey::kMemTotalKb) != rules.ram_kb;
}

void use_sysinfo(HostRules& rules, std::span<const Fact> facts) {
  rules.ram_kb = find(facts, FactKey::kSysinfoRamKb);
  rules.swap_kb = find(facts, FactKey::kSysinfoSwapKb);
  if (!sysinfo_is_kernels(rules, facts))
    return doubt_memory(rules, "its figures do not fit together");
  rules.totals = HostTotals::kSysinfo;
  const auto fits = limit_fits(rules);
  if (fits == true) return;
  rules.committed_lives = false;  // neither line is the kernel's
  rules.limit_kb.reset();
  if (rules.ratio && rules.overcommit_kbytes)
    rules.limit_kb = commit_limit_kb(rules, *rules.ratio, *rules.overcommit_kbytes);
}

void settle_memory(HostRules& rules, std::span<const Fact> facts) {
  const bool foreign = rules.foreign_files & ovcshim::kFileMeminfo;
  // Facts of a refusal that refers to an earlier proof are not all of the file's.
  const bool of_file = find(facts, FactKey::kMemFreeKb).has_value();
  const bool whole = rules.limit_kb && (find(facts, FactKey::kCommitLimitKb) || !of_file);
  rules.totals = HostTotals::kMeminfo;
  rules.doubt = {};
  if (rules.files_looked_at && !foreign) {
    if (!whole) doubt_memory(rules, "it has no CommitLimit, as Linux's has");
    return;
  }
  const auto ram = find(facts, FactKey::kSysinfoRamKb), swap = find(facts, FactKey::kSysinfoSwapKb);
  const bool agree = ram == rules.ram_kb && swap == rules.swap_kb && limit_fits(rules) != false;
  if (!foreign && agree) return;
  if (ram && swap) return use_sysinfo(rules, facts);
  if (foreign || limit_fits(rules) == false)
    doubt_memory(rules,
                 foreign ? "sysinfo(2) could not be asked" : "CommitLimit does not fit MemTotal");
}

void drop_settings(HostRules& rules) {
  const auto drop = [&](ovcshim::HostFile file, std::optional<uint64_t>& value) {
    if (rules.foreign_files & file) value.reset();
  };
  drop(ovcshim::kFileOvercommitMemory, rules.mode);
  drop(ovcshim::kFileOvercommitRatio, rules.ratio);
  drop(ovcshim::kFileOvercommitKbytes, rules.overcommit_kbytes);
  drop(ovcshim::kFileUserReserve, rules.user_reserve_kb);
  drop(ovcshim::kFileAdminReserve, rules.admin_reserve_kb);
}

std::string fs_text(uint64_t type) {
  struct Name {
    uint64_t type;
    std::string_view text;
  };
  constexpr Name kNames[] = {{0x65735546, "fuse, as of lxcfs or sysbox"},
                             {0x01021994, "tmpfs"},
                             {0xef53, "ext4"},
                             {0x58465342, "xfs"},
                             {0x9123683e, "btrfs"},
                             {0x794c7630, "overlay"}};
  for (const Name& name : kNames)
    if (name.type == type) return fmt::format("mounted over: {}", name.text);
  return fmt::format("mounted over: file system {:#x}", type);
}

std::string memory_note(const HostRules& rules) {
  const std::string where =
      rules.foreign_files & ovcshim::kFileMeminfo
          ? fmt::format("/proc/meminfo is not the kernel's ({})", fs_text(rules.foreign_fs))
          : std::string("/proc/meminfo may not be the kernel's");
  if (rules.totals == HostTotals::kDoubtful)
    return fmt::format("{}: {}; nothing is concluded from it", where, rules.doubt);
  if (!knows_committed(rules))
    return where + ": RAM and swap are taken from sysinfo(2); its Committed_AS proves nothing";
  return where + ": RAM and swap are taken from sysinfo(2), and its CommitLimit fits them";
}

}  // namespace

std::span<const HostFileRow> host_files() { return kHostFiles; }

bool is_kernels_own(FactKey key, std::span<const Fact> facts) {
  const auto foreign = find(facts, FactKey::kForeignFiles);
  if (!foreign || *foreign == 0) return true;
  return std::none_of(std::begin(kHostFiles), std::end(kHostFiles), [&](const HostFileRow& row) {
    return (*foreign & row.bit) && row.first <= key && key <= row.last;
  });
}

void settle_figures(HostRules& rules, std::span<const Fact> facts) {
  if (const auto foreign = find(facts, FactKey::kForeignFiles)) {
    rules.files_looked_at = true;
    rules.foreign_files = *foreign;
    rules.foreign_fs = find(facts, FactKey::kForeignFsType).value_or(0);
  }
  drop_settings(rules);
  if (find(facts, FactKey::kMemTotalKb)) settle_memory(rules, facts);
}

void doubt_memory(HostRules& rules, std::string_view reason) {
  rules.totals = HostTotals::kDoubtful;
  rules.doubt = reason;
  rules.ram_kb.reset();
  rules.swap_kb.reset();
  rules.limit_kb.reset();
  rules.committed_kb.reset();
}

bool knows_committed(const HostRules& rules) {
  if (rules.totals == HostTotals::kDoubtful) return false;
  return !(rules.foreign_files & ovcshim::kFileMeminfo) || rules.committed_lives;
}

std::vector<std::string> figure_notes(const HostRules& rules) {
  std::vector<std::string> notes;
  if (rules.totals != HostTotals::kMeminfo) notes.push_back(memory_note(rules));
  std::string others;
  for (const HostFileRow& row : kHostFiles)
    if (row.bit != ovcshim::kFileMeminfo && row.bit != ovcshim::kFileStat &&
        (rules.foreign_files & row.bit))
      others += fmt::format("{}/proc/{}", others.empty() ? "" : ", ", row.path);
  if (!others.empty())
    notes.push_back(
        fmt::format("not the kernel's, and not used: {} ({})", others, fs_text(rules.foreign_fs)));
  return notes;
}

}  // namespace ovc
