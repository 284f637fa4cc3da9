// SPDX-License-Identifier: MIT
//
// mmap, munmap, mremap, mprotect, brk, sbrk, madvise, and the malloc family as far as the size
// alone decides. Order of the rows: as the kernel makes these checks, call by call; where two
// limits are passed, the one that it looks at first refuses.
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "tools/causes/causes_detail.h"

namespace ovc {

using ovcshim::FactKey;
using ovcshim::MappingEntry;

namespace causes {
namespace {

constexpr uint64_t kVsyscall =
    0xffffffffff600000;  // listed by /proc, but no mapping of the process

bool is_brk(const Evidence& evidence) {
  return op_of(evidence) == Op::kBrk || op_of(evidence) == Op::kSbrk;
}

bool adds_space(const Evidence& evidence) {
  return no_memory(evidence) &&
         (op_of(evidence) == Op::kMmap || op_of(evidence) == Op::kMremap || is_brk(evidence));
}
bool adds_data(const Evidence& evidence) {
  return adds_space(evidence) || (no_memory(evidence) && op_of(evidence) == Op::kMprotect);
}

// ---- arguments ----

bool range_may_not_have_holes(const Evidence& evidence) {
  return no_memory(evidence) &&
         (op_of(evidence) == Op::kMprotect || op_of(evidence) == Op::kMadvise);
}

bool range_has_hole(const Evidence& evidence, Finding& finding) {
  const auto& args = args_of(evidence);
  if (!knows_around(evidence) || args[0] > UINT64_MAX - args[1]) return false;
  if (mapped_until(evidence, args[0]) >= args[0] + args[1]) return false;
  if (op_of(evidence) == Op::kMprotect && mprotect_refused_at(evidence))
    return false;  // it never came to the hole
  finding.summary = "the address range is not mapped throughout";
  return true;
}

bool memory_not_permitted(const Evidence& evidence) { return evidence.err() == EPERM; }

bool may_not_map_locked(const Evidence& evidence, Finding& finding) {
  const auto limit = evidence.fact(FactKey::kRlimitMemlock);
  if (op_of(evidence) != Op::kMmap || !(args_of(evidence)[3] & MAP_LOCKED) || limit != 0)
    return false;
  if (capable(evidence, kCapIpcLock) == true) return false;
  finding.summary = "no memory may be locked (RLIMIT_MEMLOCK is 0)";
  add_figure(finding, "RLIMIT_MEMLOCK", limit, "kB", "getrlimit");
  note_denied_lock(evidence, finding);
  miss_by(finding, request_of(evidence).space_kb.value_or(0), 0, "kB");
  return true;
}

bool below_min_addr(const Evidence& evidence, Finding& finding) {
  const auto min_addr = evidence.fact(FactKey::kMmapMinAddr);
  const auto& args = args_of(evidence);
  if (op_of(evidence) != Op::kMmap || !(args[3] & MAP_FIXED) || !min_addr || args[0] >= *min_addr)
    return false;
  finding.summary = "the address is below vm.mmap_min_addr";
  add_figure(finding, "vm.mmap_min_addr", min_addr, "bytes", "/proc/sys/vm/mmap_min_addr");
  return true;
}

bool is_sealed(const Evidence& evidence, Finding& finding) {
  const auto& args = args_of(evidence);
  if (op_of(evidence) == Op::kMmap && !(args[3] & MAP_FIXED)) return false;
  if (!evidence.mappings_complete || args[0] > UINT64_MAX - args[1]) return false;
  for (const auto& mapping : evidence.mappings) {
    if (!(mapping.flags & ovcshim::kMapSl) || mapping.end <= args[0] ||
        mapping.start >= args[0] + args[1])
      continue;
    finding.summary = "the range is sealed (mseal)";
    return true;
  }
  return false;
}

// ---- limits ----

bool locking(const Evidence& evidence) {
  return evidence.err() == EAGAIN &&
         (op_of(evidence) == Op::kMmap || op_of(evidence) == Op::kMremap);
}

bool is_fixed(const Evidence& evidence) {
  return op_of(evidence) == Op::kMmap && (args_of(evidence)[3] & MAP_FIXED);
}

// MAP_FIXED in the middle of a mapping: what it replaces is cut out of that first, as by munmap.
bool cuts_hole(const Evidence& evidence) {
  const auto& args = args_of(evidence);
  const auto around = mappings_around(evidence);
  const uint64_t end = args[0] + round_to_pages_kb(args[1], evidence.rules) * 1024;
  return is_fixed(evidence) && std::any_of(around.begin(), around.end(), [&](const auto& m) {
           return m.start < args[0] && end < m.end;
         });
}

// The kernel lets the count reach max + 1 before mmap and brk are refused; a split of a mapping
// needs room below max, a move keeps three in reserve.
uint64_t count_refused_from(const Evidence& evidence, uint64_t max) {
  switch (op_of(evidence)) {
    case Op::kMunmap:
    case Op::kMprotect:
    case Op::kMadvise:
    case Op::kMlock:
    case Op::kMlock2: return max;
    case Op::kMremap: return max < 3 ? 0 : max - 3;
    default: return cuts_hole(evidence) ? max : max + 1;
  }
}

// Does an end of the range lie inside a mapping, so that it would be split?
bool splits(const Evidence& evidence, std::span<const MappingEntry> mappings) {
  const auto& args = args_of(evidence);
  return std::any_of(mappings.begin(), mappings.end(), [&](const MappingEntry& m) {
    const auto inside = [&](uint64_t address) { return m.start < address && address < m.end; };
    return inside(args[0]) || inside(args[0] + args[1]);
  });
}

// mlock goes by whole pages, and leaves alone what is locked already.
bool lock_splits(const Evidence& evidence, std::span<const MappingEntry> mappings) {
  const auto& args = args_of(evidence);
  const uint64_t page = evidence.rules.page_kb * 1024, start = args[0] / page * page,
                 end = (args[0] + args[1] + page - 1) / page * page;
  return std::any_of(mappings.begin(), mappings.end(), [&](const MappingEntry& m) {
    const auto inside = [&](uint64_t address) { return m.start < address && address < m.end; };
    return !(m.flags & ovcshim::kMapLo) && (inside(start) || inside(end));
  });
}

// Could the call want another mapping at all? munmap and madvise have no other reason for their
// errno than a split. mprotect splits the mapping that it stopped at; mremap needs room only where
// it moves.
bool wants_mapping(const Evidence& evidence) {
  switch (op_of(evidence)) {
    case Op::kMunmap:
    case Op::kMadvise:
      return !knows_around(evidence) || splits(evidence, mappings_around(evidence));
    case Op::kMlock:
    case Op::kMlock2: return lock_splits(evidence, mappings_around(evidence));
    case Op::kMprotect: {
      const MappingEntry* at = mprotect_refused_at(evidence);
      return at && splits(evidence, {at, 1});
    }
    case Op::kMremap: return mremap_moves(evidence);
    default: return true;
  }
}

// munmap knows no other limit than this one, so a count made some calls before will do.
std::optional<uint64_t> count_around(const Evidence& evidence) {
  constexpr uint64_t kFewCalls = 64;
  if (const auto count = map_count(evidence)) return count;
  const auto before = evidence.count_before, max = evidence.fact(FactKey::kMaxMapCount);
  const bool near = before && max && *max <= UINT32_MAX && *before + kFewCalls >= *max;
  if (op_of(evidence) != Op::kMunmap || !near) return std::nullopt;
  return std::max(*before, *max);
}

}  // namespace

bool over_map_count(const Evidence& evidence, Finding& finding) {
  const auto count = count_around(evidence), max = evidence.fact(FactKey::kMaxMapCount);
  if (!count || !max || *max > UINT32_MAX || *count < count_refused_from(evidence, *max))
    return false;
  if (!wants_mapping(evidence)) return false;
  finding.summary = "too many mappings (vm.max_map_count)";
  add_figure(finding, "in use", count, "mappings", "/proc/self/smaps");
  add_figure(finding, "vm.max_map_count", max, "mappings", "/proc/sys/vm/max_map_count");
  miss_by(finding, *count + 1, count_refused_from(evidence, *max), "mappings");
  return true;
}

namespace {

// The list of a long storm's first refusal is too dear to be made again, and calls that were
// granted since may have changed the number; but when nothing else could have refused mmap, it was
// the number of mappings.
bool map_count_alone_is_left(const Evidence& evidence, Finding& finding) {
  constexpr uint64_t kPart = 64;  // the newest count is within this part of the limit
  const auto counted = map_count(evidence);
  const auto count = counted ? counted : evidence.count_before,
             max = evidence.fact(FactKey::kMaxMapCount);
  if (op_of(evidence) != Op::kMmap || !count || !max || *max > UINT32_MAX) return false;
  if (*count + *max / kPart < *max || huge_page_kb(evidence)) return false;
  if (counted && (!is_fixed(evidence) || knows_around(evidence) || *count < *max)) return false;
  const uint64_t len_kb = round_to_pages_kb(args_of(evidence)[1], evidence.rules);
  if (!limits_excluded(evidence, len_kb) || !(is_fixed(evidence) || has_room(evidence, *count)))
    return false;
  finding.summary = "too many mappings (vm.max_map_count)";
  add_figure(finding, "at the newest count", count, "mappings", "/proc/self/smaps");
  add_figure(finding, "vm.max_map_count", max, "mappings", "/proc/sys/vm/max_map_count");
  finding.notes.emplace_back(
      "proven by exclusion: RLIMIT_AS, RLIMIT_DATA, overcommit and the room in the address space "
      "are ruled out");
  return true;
}

// ---- overcommit and malloc ----

bool charges(const Evidence& evidence) { return adds_data(evidence); }
bool places(const Evidence& evidence) {
  return no_memory(evidence) && op_of(evidence) == Op::kMmap;
}
bool brk_fails(const Evidence& evidence) { return no_memory(evidence) && is_brk(evidence); }
bool mremap_fails(const Evidence& evidence) {
  return no_memory(evidence) && op_of(evidence) == Op::kMremap;
}
bool mprotect_fails(const Evidence& evidence) {
  return no_memory(evidence) && op_of(evidence) == Op::kMprotect;
}

// madvise calls the same EAGAIN.
bool counts_first(const Evidence& evidence) {
  if (op_of(evidence) == Op::kMadvise) return evidence.err() == EAGAIN;
  return no_memory(evidence) && (op_of(evidence) == Op::kMmap || op_of(evidence) == Op::kMunmap);
}
bool counts_before_charge(const Evidence& evidence) {
  return brk_fails(evidence) || mremap_fails(evidence);
}

bool malloc_invalid(const Evidence& evidence) { return evidence.err() == EINVAL; }
bool alignment_rejected(const Evidence& evidence, Finding& finding) {
  finding.summary = "the alignment is not one the allocator accepts";
  add_figure(finding, "alignment", args_of(evidence)[0], "bytes", "the call");
  return true;
}

bool size_impossible(const Evidence& evidence, Finding& finding) {
  const auto bytes = malloc_bytes(evidence.event);
  if (bytes && *bytes <= INT64_MAX) return false;
  finding.summary = bytes ? "the size is larger than PTRDIFF_MAX" : "number times size overflows";
  return true;
}

constexpr std::string_view kMayExpand = "mm/vma.c may_expand_vm()";
constexpr std::string_view kEnough =
    "mm/util.c __vm_enough_memory(): allowed iff Committed_AS + request < CommitLimit - reserves";
constexpr std::string_view kOneRequest =
    "mm/util.c __vm_enough_memory(): refused iff one request > RAM + swap";
constexpr std::string_view kManyMappings = "the process has as many mappings as it may have";
constexpr std::string_view kNoRoom = "there is no room for the mapping";
constexpr std::string_view kReserve = "mm/hugetlb.c hugetlb_reserve_pages()";
constexpr std::string_view kHugeGroup =
    "the control group may reserve no more huge pages; it is asked before the pool";
constexpr std::string_view kWouldPass =
    "by the recorded figures it would just have passed, but within the error of the counter that "
    "the kernel compares";

// clang-format off
constexpr CauseRow kMemoryRows[] = {
    {"bad-argument", range_may_not_have_holes, range_has_hole, "the kernel rejects a range with holes", "mm/mprotect.c, mm/madvise.c"},
    {"bad-argument", memory_not_permitted, below_min_addr, "low addresses need CAP_SYS_RAWIO", "security/commoncap.c cap_mmap_addr()"},
    {"bad-argument", memory_not_permitted, is_sealed, "a sealed mapping cannot be changed", "mm/mseal.c"},
    {"rlimit-memlock", memory_not_permitted, may_not_map_locked, "the mapping would be locked into memory", "mm/mmap.c do_mmap()"},
    {"rlimit-memlock", locking, over_rlimit_memlock, "the mapping would be locked into memory", "mm/mmap.c mlock_future_ok()"},
    {"max-map-count", counts_first, over_map_count, kManyMappings, "mm/mmap.c do_mmap(), mm/vma.c split_vma()"},
    {"bad-argument", places, fixed_beyond_last_address, "the address given (MAP_FIXED) is not one that a process can have", "mm/mmap.c __get_unmapped_area()"},
    {"address-space", places, no_gap, kNoRoom, "mm/mmap.c get_unmapped_area()"},
    {"rlimit-data", brk_fails, break_over_rlimit_data, "the heap of the process may not grow that far", "mm/mmap.c brk(): check_data_rlimit()"},
    {"address-space", brk_fails, break_meets_mapping, "the heap grows in one piece", "mm/mmap.c brk()"},
    {"rlimit-as", adds_space, over_rlimit_as, "the address space of the process may not grow that far", kMayExpand},
    {"rlimit-data", adds_data, over_rlimit_data, "the private writable memory of the process may not grow that far", kMayExpand},
    {"huge-page-group", reserves_huge_pages, over_huge_page_group, kHugeGroup, kReserve},
    {"huge-page-pool", reserves_huge_pages, over_huge_page_mount, "a mount of hugetlbfs can be given a size of its own", kReserve},
    {"huge-page-pool", reserves_huge_pages, over_huge_page_pool, "huge pages are set aside beforehand; ordinary memory does not stand in for them", kReserve},
    {"address-space", mremap_fails, mremap_meets_mapping, "there is no room for the mapping where it is", "mm/mremap.c"},
    {"address-space", mremap_fails, mremap_no_gap, kNoRoom, "mm/mremap.c, mm/mmap.c get_unmapped_area()"},
    {"max-map-count", counts_before_charge, over_map_count, kManyMappings, "mm/vma.c do_brk_flags(), mm/mremap.c move_vma()"},
    {"single-request-over-ram-and-swap", charges, over_ram_and_swap, "one request alone is larger than the whole machine", kOneRequest},
    {"commit-limit", charges, over_commit_limit, "the sum of what all processes were promised would pass CommitLimit", kEnough},
    {"max-map-count", mprotect_fails, over_map_count, kManyMappings, "mm/mprotect.c mprotect_fixup(), mm/vma.c split_vma()"},
    {"commit-limit", charges, near_commit_limit, kWouldPass, kEnough},
    {"max-map-count", places, map_count_alone_is_left, kManyMappings, "mm/mmap.c do_mmap(), mm/vma.c split_vma()"},
    {"rlimit-memlock", brk_fails, break_locked, "the heap would be locked into memory", "mm/mmap.c brk(): mlock_future_ok()"},
};
// clang-format on

// clang-format off
constexpr CauseRow kMallocRows[] = {
    {"bad-argument", malloc_invalid, alignment_rejected, "the allocator rejects the arguments themselves", "posix_memalign(3)"},
    {"bad-argument", no_memory, size_impossible, "the allocator rejects the size itself", "malloc(3)"},
    {"address-space", no_memory, over_task_size, "there is no room for it", "mm/mmap.c get_unmapped_area()"},
    {"rlimit-as", no_memory, over_rlimit_as, "the address space of the process may not grow that far", kMayExpand},
    {"rlimit-data", no_memory, over_rlimit_data, "the private writable memory of the process may not grow that far", kMayExpand},
    {"single-request-over-ram-and-swap", no_memory, over_ram_and_swap, "one request alone is larger than the whole machine", kOneRequest},
    {"commit-limit", no_memory, over_commit_limit, "the sum of what all processes were promised would pass CommitLimit", kEnough},
};
// clang-format on

}  // namespace

// The list may lack its end, and the fact counts what the kernel does not: then one less is
// certain.
std::optional<uint64_t> map_count(const Evidence& evidence) {
  if (evidence.mappings_complete)
    return static_cast<uint64_t>(
        std::count_if(evidence.mappings.begin(), evidence.mappings.end(),
                      [](const MappingEntry& m) { return m.start < kVsyscall; }));
  const auto listed = evidence.fact(FactKey::kMapsCount);
  if (!listed || *listed == 0) return std::nullopt;
  if (const auto outside = evidence.fact(FactKey::kMapsOutsideCount))
    return *listed - std::min(*listed, *outside);
  return evidence.machine == ovcshim::Machine::kX86_64 ? *listed - 1 : *listed;
}

namespace {

// A limit of the process in kB, and what /proc/self/status calls the use of it.
struct ProcessLimit {
  std::string_view summary, used, name;
};

bool over_limit(Finding& finding, const ProcessLimit& what, std::optional<uint64_t> used,
                std::optional<uint64_t> request, std::optional<uint64_t> limit) {
  if (!limit || !used || !request || *request == 0 || *used + *request <= *limit) return false;
  finding.summary = what.summary;
  add_figure(finding, "request", request, "kB", "the call");
  add_figure(finding, what.used, used, "kB", "/proc/self/status");
  add_figure(finding, what.name, limit, "kB", "getrlimit");
  miss_by(finding, *used + *request, *limit, "kB");
  return true;
}

}  // namespace

// EAGAIN has no other source (mm/mmap.c mlock_future_ok()): so the limit held, whatever capability
// is shown.
bool over_rlimit_memlock(const Evidence& evidence, Finding& finding) {
  const auto free = capable(evidence, kCapIpcLock);
  if (free == true || (!free && !fails_with(evidence, EAGAIN))) return false;
  if (!over_limit(finding,
                  {"locked memory limit reached (RLIMIT_MEMLOCK)", "VmLck", "RLIMIT_MEMLOCK"},
                  evidence.fact(FactKey::kVmLckKb), request_of(evidence).space_kb,
                  rlimit_kb(evidence, FactKey::kRlimitMemlock)))
    return false;
  note_denied_lock(evidence, finding);
  return true;
}

bool over_rlimit_as(const Evidence& evidence, Finding& finding) {
  return over_limit(finding, {"address space limit reached (RLIMIT_AS)", "VmSize", "RLIMIT_AS"},
                    vm_size_kb(evidence), request_of(evidence).space_kb,
                    rlimit_kb(evidence, FactKey::kRlimitAs));
}

bool over_rlimit_data(const Evidence& evidence, Finding& finding) {
  return over_limit(finding, {"data limit reached (RLIMIT_DATA)", "VmData", "RLIMIT_DATA"},
                    evidence.fact(FactKey::kVmDataKb), request_of(evidence).data_kb,
                    rlimit_kb(evidence, FactKey::kRlimitData));
}

}  // namespace causes

std::span<const CauseRow> memory_causes() { return causes::kMemoryRows; }
std::span<const CauseRow> malloc_causes() { return causes::kMallocRows; }

}  // namespace ovc
