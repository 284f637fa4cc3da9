// SPDX-License-Identifier: MIT
//
// Room in the address space: gaps for mmap and mremap, what stands behind a mapping that is to
// grow, and the break, which has checks of its own (mm/mmap.c brk(), in this order: RLIMIT_DATA,
// RLIMIT_MEMLOCK, the next mapping).
#include <linux/mman.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "tools/causes/causes_detail.h"

namespace ovc::causes {

using ovcshim::FactKey;
using ovcshim::MappingEntry;

namespace {

constexpr uint64_t kStackGuardPages = 256;  // mm/mmap.c stack_guard_gap, its default

uint64_t largest_gap(const Evidence& evidence) {
  uint64_t gap = 0, at = evidence.fact(FactKey::kMmapMinAddr).value_or(0);
  for (const auto& mapping : evidence.mappings) {
    const uint64_t start = std::min(mapping.start, task_size(evidence));
    if (start > at) gap = std::max(gap, start - at);
    at = std::max(at, mapping.end);
  }
  return at < task_size(evidence) ? std::max(gap, task_size(evidence) - at) : gap;
}

bool wider_than_any_gap(const Evidence& evidence, Finding& finding, uint64_t len) {
  if (!evidence.mappings_complete || largest_gap(evidence) >= len) return false;
  finding.summary = "no gap of this size in the address space";
  add_figure(finding, "request", len, "bytes", "the call");
  add_figure(finding, "largest gap", largest_gap(evidence), "bytes", "/proc/self/smaps");
  miss_by(finding, len, largest_gap(evidence), "bytes");
  return true;
}

// Of a list that was cut: within the call's range.
const MappingEntry* next_around(const Evidence& evidence, uint64_t from) {
  for (const auto& mapping : mappings_around(evidence))
    if (mapping.start >= from) return &mapping;
  return nullptr;
}

const MappingEntry* next_mapping(const Evidence& evidence, uint64_t from) {
  if (!evidence.mappings_complete) return nullptr;
  for (const auto& mapping : evidence.mappings)
    if (mapping.start >= from) return &mapping;
  return nullptr;
}

void fill_neighbour(Finding& finding, const MappingEntry& next, std::string_view summary) {
  finding.summary = summary;
  add_figure(finding, "next mapping starts at", next.start, "address", "/proc/self/smaps");
}

uint64_t page_up(const Evidence& evidence, uint64_t address) {
  return round_to_pages_kb(address, evidence.rules) * 1024;
}

// The mapping that is in the way of a break at `to`: a page is kept free, and the guard gap of a
// stack.
const MappingEntry* in_the_way(const Evidence& evidence, uint64_t from, uint64_t to) {
  const MappingEntry* next = next_mapping(evidence, page_up(evidence, from));
  if (!next) return nullptr;
  const uint64_t guard = kStackGuardPages * evidence.rules.page_kb * 1024;
  const uint64_t room_ends =
      next->flags & ovcshim::kMapGd ? next->start - std::min(next->start, guard) : next->start;
  return to > UINT64_MAX - (1 << 20) ||
                 page_up(evidence, to) + evidence.rules.page_kb * 1024 > room_ends
             ? next
             : nullptr;
}

// What brk compares with RLIMIT_DATA is the heap and the program's own data, in kB. The former is
// known, the latter is not, but it is part of VmData as well.
struct BreakData {
  uint64_t heap_kb = 0;  // as it would be
  std::optional<uint64_t> limit_kb, at_most_kb;
};
std::optional<BreakData> break_data(const Evidence& evidence) {
  const auto from = old_break(evidence), to = new_break(evidence);
  if (!from || !to || !evidence.mappings_complete) return std::nullopt;
  uint64_t start = *from;  // no heap yet: it begins at the break
  for (const auto& mapping : evidence.mappings)
    if (mapping.flags & ovcshim::kMapHeap) start = std::min(start, mapping.start);
  if (*to < start) return std::nullopt;
  BreakData data{(*to - start) / 1024, rlimit_kb(evidence, FactKey::kRlimitData), {}};
  if (const auto vm_data_kb = evidence.fact(FactKey::kVmDataKb))
    data.at_most_kb = data.heap_kb + std::min(*vm_data_kb, UINT64_MAX / 4);
  return data;
}

bool surely_below(std::optional<uint64_t> limit, std::optional<uint64_t> used,
                  std::optional<uint64_t> request) {
  return used && request && limit && *used <= UINT64_MAX / 2 && *request <= UINT64_MAX / 2 &&
         *used + *request <= *limit;
}

// Infinite, or far enough away. An unknown limit excludes nothing.
bool limit_excluded(const Evidence& evidence, FactKey key, std::optional<uint64_t> used,
                    std::optional<uint64_t> request) {
  const auto bytes = evidence.fact(key);
  return bytes &&
         (*bytes >= ovcshim::kInfinite || surely_below(rlimit_kb(evidence, key), used, request));
}

// A charge of this much would have been granted.
bool charge_excluded(const Evidence& evidence, uint64_t kb) {
  const auto mode = mode_of(evidence), limit = guess_limit_kb(evidence.rules),
             vm_kb = vm_size_kb(evidence);
  if (mode == kModeAlways) return true;
  if (mode == kModeGuess) return limit && kb <= *limit;
  if (mode != kModeNever || !vm_kb) return false;
  const auto verdict =
      mode2(evidence.rules, committed_kb(evidence), *vm_kb / evidence.rules.page_kb, kb);
  return verdict && verdict->passes() && !verdict->borderline();
}

}  // namespace

uint64_t task_size(const Evidence& evidence) {
  return evidence.machine == ovcshim::Machine::kAarch64 ? uint64_t{1} << evidence.address_bits
                                                        : (uint64_t{1} << 47) - 4096;
}

bool limits_excluded(const Evidence& evidence, uint64_t kb) {
  const bool no_filter = evidence.fact(FactKey::kSeccomp) == 0 || evidence.granted_before;
  return limit_excluded(evidence, FactKey::kRlimitAs, vm_size_kb(evidence), kb) &&
         limit_excluded(evidence, FactKey::kRlimitData, evidence.fact(FactKey::kVmDataKb), kb) &&
         charge_excluded(evidence, kb) && no_filter;
}

bool has_room(const Evidence& evidence, uint64_t mappings) {
  const auto vm_kb = vm_size_kb(evidence);
  const uint64_t size_kb = task_size(evidence) / 1024;
  if (!vm_kb || *vm_kb >= size_kb) return false;
  return args_of(evidence)[1] / 1024 < (size_kb - *vm_kb) / (mappings + 2);
}

bool over_task_size(const Evidence& evidence, Finding& finding) {
  const auto request = request_of(evidence).space_kb;
  const uint64_t size = task_size(evidence);
  if (!request || *request <= size / 1024) return false;
  finding.summary = "larger than the address space of a process";
  add_figure(finding, "request", request, "kB", "the call");
  add_figure(finding, "address space", size / 1024, "kB", "the processor");
  miss_by(finding, *request, size / 1024, "kB");
  return true;
}

// An address beyond the usual size asks for the larger space of a processor with five levels of
// page tables.
bool no_gap(const Evidence& evidence, Finding& finding) {
  if (args_of(evidence)[0] >= task_size(evidence)) return false;
  if (over_task_size(evidence, finding)) return true;
  return !(args_of(evidence)[3] & MAP_FIXED) &&
         wider_than_any_gap(evidence, finding, args_of(evidence)[1]);
}

bool fixed_beyond_last_address(const Evidence& evidence, Finding& finding) {
  constexpr uint64_t kFixedNoReplace = 0x100000;
  constexpr uint64_t kLargest = (uint64_t{1} << 56) - 4096;  // with five levels of page tables
  const auto& args = args_of(evidence);
  const uint64_t end = args[0] > UINT64_MAX - args[1] ? UINT64_MAX : args[0] + args[1];
  if (!(args[3] & (MAP_FIXED | kFixedNoReplace)) || end <= task_size(evidence)) return false;
  const auto count = map_count(evidence), most = evidence.fact(FactKey::kMaxMapCount);
  const bool nothing_else = count && most && *count < *most &&
                            limits_excluded(evidence, request_of(evidence).space_kb.value_or(0));
  if (end <= kLargest && !nothing_else) return false;
  finding.summary = "the range reaches beyond the address space of a process";
  return true;
}

bool break_over_rlimit_data(const Evidence& evidence, Finding& finding) {
  const auto data = break_data(evidence);
  if (!data || !data->limit_kb || data->heap_kb <= *data->limit_kb) return false;
  if (over_rlimit_data(evidence, finding)) return true;  // passed as well, and by more
  finding.summary = "data limit reached (RLIMIT_DATA)";
  add_figure(finding, "heap as it would be", data->heap_kb, "kB", "the call and /proc/self/smaps");
  add_figure(finding, "RLIMIT_DATA", data->limit_kb, "kB", "getrlimit");
  miss_by(finding, data->heap_kb, *data->limit_kb, "kB");
  return true;
}

bool break_meets_mapping(const Evidence& evidence, Finding& finding) {
  const auto from = old_break(evidence), to = new_break(evidence);
  const MappingEntry* next = from && to ? in_the_way(evidence, *from, *to) : nullptr;
  if (!next) return false;
  fill_neighbour(finding, *next, "the heap cannot grow: another mapping follows");
  return true;
}

// mlockall(MCL_FUTURE) leaves no trace that a process can read, and brk reports ENOMEM for all its
// reasons.
bool break_locked(const Evidence& evidence, Finding& finding) {
  const auto growth = request_of(evidence).space_kb;
  const auto data = break_data(evidence);
  const auto count = map_count(evidence), most = evidence.fact(FactKey::kMaxMapCount);
  if (!growth || !data || !over_rlimit_memlock(evidence, finding)) return false;
  if (!limit_excluded(evidence, FactKey::kRlimitData, data->at_most_kb, 0) ||
      !limits_excluded(evidence, *growth))
    return false;
  if (!count || !most || *count > *most) return false;
  finding.notes.emplace_back(
      "proven by exclusion: mlockall(MCL_FUTURE) must be in force, since RLIMIT_DATA, RLIMIT_AS, "
      "the next mapping, "
      "vm.max_map_count and overcommit are ruled out");
  return true;
}

namespace {

uint64_t grown_kb(const Evidence& evidence) {
  const uint64_t old_kb = round_to_pages_kb(args_of(evidence)[1], evidence.rules);
  const uint64_t new_kb = round_to_pages_kb(args_of(evidence)[2], evidence.rules);
  return new_kb > old_kb ? new_kb - old_kb : 0;
}

}  // namespace

bool mremap_moves(const Evidence& evidence) {
  const auto& args = args_of(evidence);
  if (args[3] & (MREMAP_FIXED | MREMAP_DONTUNMAP)) return true;
  if (!(args[3] & MREMAP_MAYMOVE) || args[0] > UINT64_MAX - args[2]) return false;
  const MappingEntry* mapping = mapping_at(evidence, args[0]);
  if (!mapping)
    return !knows_around(evidence) &&
           limits_excluded(evidence, grown_kb(evidence));  // nothing else is left
  const MappingEntry* next = next_around(evidence, mapping->end);
  return mapping->end != page_up(evidence, args[0] + args[1]) ||
         (next && args[0] + args[2] > next->start);
}

bool mremap_meets_mapping(const Evidence& evidence, Finding& finding) {
  const auto& args = args_of(evidence);
  if (args[3] & MREMAP_MAYMOVE) return false;
  const uint64_t kb = grown_kb(evidence);
  if (!knows_around(evidence) && kb != 0 && limits_excluded(evidence, kb)) {
    finding.summary = "the mapping cannot grow in place, and MREMAP_MAYMOVE was not given";
    finding.notes.emplace_back(
        "proven by exclusion: RLIMIT_AS, RLIMIT_DATA and overcommit are ruled out");
    return true;
  }
  const MappingEntry* mapping = mapping_at(evidence, args[0]);
  const MappingEntry* next = mapping ? next_around(evidence, mapping->end) : nullptr;
  if (!next || args[0] > UINT64_MAX - args[2] || args[0] + args[2] <= next->start) return false;
  fill_neighbour(
      finding, *next,
      "the mapping cannot grow in place: another one follows, and MREMAP_MAYMOVE was not given");
  return true;
}

bool mremap_no_gap(const Evidence& evidence, Finding& finding) {
  const auto& args = args_of(evidence);
  if (!(args[3] & MREMAP_MAYMOVE) || (args[3] & MREMAP_FIXED) || !mremap_moves(evidence))
    return false;
  return wider_than_any_gap(evidence, finding, args[2]);
}

}  // namespace ovc::causes
