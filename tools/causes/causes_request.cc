// SPDX-License-Identifier: MIT
//
// What a memory call asked for, from its arguments and the list of mappings it met.
#include <sys/mman.h>

#include <algorithm>
#include <span>

#include "tools/causes/causes_detail.h"

namespace ovc::causes {

using ovcshim::FactKey;
using ovcshim::MappingEntry;

namespace {

struct Overlap {
  uint64_t space_kb = 0, accounted_kb = 0;
};

Overlap overlap_with(const Evidence& evidence, uint64_t start, uint64_t end) {
  Overlap overlap;
  for (const auto& mapping : mappings_around(evidence)) {
    const uint64_t from = std::max(start, mapping.start), to = std::min(end, mapping.end);
    if (from >= to) continue;
    overlap.space_kb += (to - from) / 1024;
    if (mapping.flags & ovcshim::kMapAc) overlap.accounted_kb += (to - from) / 1024;
  }
  return overlap;
}

uint64_t less(uint64_t from, uint64_t by) { return from > by ? from - by : 0; }

// MAP_FIXED: limits count what it adds; the charge is the whole length before 6.12, what it adds
// since.
Request fixed_request(const Evidence& evidence, Request request) {
  if (!knows_around(evidence)) return {};
  const auto& args = evidence.event.base.args;
  if (args[0] > UINT64_MAX - args[1]) return {};
  const Overlap overlap = overlap_with(evidence, args[0], args[0] + args[1]);
  const ChangeRow* row = change_row(Change::kReplaceFixed, {}, evidence.rules);
  if (request.space_kb) request.space_kb = less(*request.space_kb, overlap.space_kb);
  if (request.data_kb) request.data_kb = less(*request.data_kb, overlap.space_kb);
  if (!row) request.charge_kb.reset();
  else if (request.charge_kb && row->effect == Effect::kChargeLessOld)
    request.charge_kb = less(*request.charge_kb, overlap.accounted_kb);
  return request;
}

Request mmap_request(const Evidence& evidence) {
  const auto& args = evidence.event.base.args;
  const MappingKind kind = mapping_kind_of(evidence.event, evidence.rules);
  const MappingRow* row = mapping_row(kind, evidence.rules);
  const uint64_t huge_kb = huge_page_kb(evidence).value_or(0);
  const uint64_t small_kb = round_to_pages_kb(args[1], evidence.rules);
  const uint64_t len_kb = huge_kb ? (small_kb + huge_kb - 1) / huge_kb * huge_kb : small_kb;
  const bool is_data = kind.writable && !kind.shared && !(args[3] & MAP_GROWSDOWN);
  Request request;
  request.space_kb = len_kb;
  request.data_kb = is_data ? len_kb : 0;
  if (row) request.charge_kb = row->cost == Cost::kLength ? len_kb : 0;
  return args[3] & MAP_FIXED ? fixed_request(evidence, request) : request;
}

// The end of the heap: of several mappings, such as a forked child has, the uppermost.
const MappingEntry* heap_of(const Evidence& evidence) {
  const MappingEntry* last = nullptr;
  if (!evidence.mappings_complete) return last;
  for (const auto& mapping : evidence.mappings)
    if (mapping.flags & ovcshim::kMapHeap) last = &mapping;
  return last;
}

Request mprotect_request(const Evidence& evidence) {
  const auto& args = evidence.event.base.args;
  if (!(args[2] & PROT_WRITE)) return {.space_kb = 0, .data_kb = 0, .charge_kb = 0};
  const MappingEntry* at = mprotect_refused_at(evidence);
  if (!at) return {.space_kb = 0, .data_kb = {}, .charge_kb = {}};
  const bool becomes_data =
      !(at->flags & (ovcshim::kMapWrite | ovcshim::kMapShared | ovcshim::kMapGd));
  const uint64_t start = std::max(args[0], at->start), end = std::min(args[0] + args[1], at->end);
  return {.space_kb = 0,
          .data_kb = becomes_data ? (end - start) / 1024 : 0,
          .charge_kb = gain_write_kb(*at, start, end, evidence.rules)};
}

Request grow_request(uint64_t kb) { return {.space_kb = kb, .data_kb = kb, .charge_kb = kb}; }

Request break_request(const Evidence& evidence) {
  const auto from = old_break(evidence), to = new_break(evidence);
  if (from && to && *to >= *from)
    return grow_request(round_to_pages_kb(*to, evidence.rules) -
                        round_to_pages_kb(*from, evidence.rules));
  const auto kb =
      charge_kb(evidence.event, evidence.rules);  // an increment of whole pages needs no more
  return kb && evidence.event.base.op == Op::kSbrk ? grow_request(*kb) : Request{};
}

Request mremap_request(const Evidence& evidence) {
  const auto& args = evidence.event.base.args;
  const uint64_t old_kb = round_to_pages_kb(args[1], evidence.rules),
                 new_kb = round_to_pages_kb(args[2], evidence.rules);
  const MappingEntry* mapping = mapping_at(evidence, args[0]);
  const bool keeps_old = args[3] & MREMAP_DONTUNMAP;
  Request request;
  request.space_kb = keeps_old ? new_kb : less(new_kb, old_kb);
  if (!mapping) return request;
  const Change change = keeps_old          ? Change::kMoveKeepOld
                        : new_kb > old_kb  ? Change::kGrow
                        : new_kb == old_kb ? Change::kMove
                                           : Change::kShrink;
  const ChangeRow* row = change_row(change, mapping_state(*mapping), evidence.rules);
  const bool is_data =
      (mapping->flags & (ovcshim::kMapWrite | ovcshim::kMapShared)) == ovcshim::kMapWrite;
  request.data_kb = is_data ? *request.space_kb : 0;
  if (!row) return request;
  request.check_only = row->effect == Effect::kCheckOnly;
  request.charge_kb = row->effect == Effect::kCharge ? *request.space_kb : 0;
  return request;
}

// Every allocator has to get at least the size itself from the kernel; how it maps it decides what
// else it is checked against.
Request malloc_request(const Evidence& evidence) {
  const auto bytes = malloc_bytes(evidence.event);
  if (!bytes || *bytes > INT64_MAX) return {};
  const uint64_t kb = *bytes / 1024 / evidence.rules.page_kb * evidence.rules.page_kb;
  Request request{.space_kb = kb, .data_kb = kb, .charge_kb = {}};
  if (mode_of(evidence) == kModeNever || evidence.libc_malloc == true) request.charge_kb = kb;
  return request;
}

Request thread_request(const Evidence& evidence) {
  const auto stack_kb = rlimit_kb(evidence, FactKey::kRlimitStack);
  if (evidence.event.base.args[0] != 0 || !stack_kb) return {};
  return grow_request(*stack_kb);
}

// PROT_READ, PROT_WRITE and PROT_EXEC have the same bits as kMapRead, kMapWrite and kMapExec.
static_assert(PROT_READ == ovcshim::kMapRead && PROT_WRITE == ovcshim::kMapWrite &&
              PROT_EXEC == ovcshim::kMapExec);
constexpr uint32_t kProtBits = PROT_READ | PROT_WRITE | PROT_EXEC;

}  // namespace

std::optional<uint64_t> old_break(const Evidence& evidence) {
  const auto& base = evidence.event.base;
  if (base.op == Op::kBrk && is_system_call(base) && base.result > 0)
    return static_cast<uint64_t>(base.result);
  if (evidence.old_break) return evidence.old_break;
  const MappingEntry* heap = heap_of(evidence);
  return heap ? std::optional(heap->end) : std::nullopt;  // rounded up to a page
}

std::optional<uint64_t> new_break(const Evidence& evidence) {
  const uint64_t arg = evidence.event.base.args[0];
  if (evidence.event.base.op == Op::kBrk) return arg;
  const auto from = old_break(evidence);
  return from && arg <= INT64_MAX && *from <= INT64_MAX ? std::optional(*from + arg) : std::nullopt;
}

uint64_t mapped_until(const Evidence& evidence, uint64_t start) {
  for (const auto& mapping : mappings_around(evidence))
    if (mapping.start <= start && start < mapping.end) start = mapping.end;
  return start;
}

bool knows_around(const Evidence& evidence) {
  return evidence.mappings_complete || evidence.range_known;
}

std::span<const MappingEntry> mappings_around(const Evidence& evidence) {
  if (evidence.mappings_complete) return evidence.mappings;
  return evidence.range_known ? std::span<const MappingEntry>(evidence.range)
                              : std::span<const MappingEntry>();
}

const MappingEntry* mprotect_refused_at(const Evidence& evidence) {
  const auto& args = evidence.event.base.args;
  if (args[0] > UINT64_MAX - args[1]) return nullptr;
  if (!knows_around(evidence)) return evidence.made_before ? &*evidence.made_before : nullptr;
  const uint64_t end = std::min(args[0] + args[1], mapped_until(evidence, args[0]));
  for (const auto& mapping : mappings_around(evidence))
    if (mapping.end > args[0] && mapping.start < end &&
        (mapping.flags & kProtBits) != (args[2] & kProtBits))
      return &mapping;
  return nullptr;
}

std::optional<uint64_t> malloc_bytes(const Event& event) {
  const auto& args = event.base.args;
  uint64_t bytes = 0;
  const auto product = [&](uint64_t a, uint64_t b) {
    return __builtin_mul_overflow(a, b, &bytes) ? std::nullopt : std::optional(bytes);
  };
  switch (event.base.op) {
    case Op::kMalloc:
    case Op::kValloc:
    case Op::kPvalloc: return args[0];
    case Op::kRealloc:
    case Op::kPosixMemalign:
    case Op::kAlignedAlloc:
    case Op::kMemalign: return args[1];
    case Op::kCalloc: return product(args[0], args[1]);
    case Op::kReallocarray: return product(args[1], args[2]);
    default: return std::nullopt;
  }
}

Request request_of(const Evidence& evidence) {
  switch (evidence.event.base.op) {
    case Op::kMmap: return mmap_request(evidence);
    case Op::kMprotect: return mprotect_request(evidence);
    case Op::kMremap: return mremap_request(evidence);
    case Op::kBrk:
    case Op::kSbrk: return break_request(evidence);
    case Op::kMunmap:
    case Op::kMadvise: return {.space_kb = 0, .data_kb = 0, .charge_kb = 0};
    case Op::kPthreadCreate:
    case Op::kThrdCreate: return thread_request(evidence);
    case Op::kShmget:
      return {.space_kb = 0, .data_kb = 0, .charge_kb = charge_kb(evidence.event, evidence.rules)};
    default: return is_malloc_op(evidence.event.base.op) ? malloc_request(evidence) : Request{};
  }
}

}  // namespace ovc::causes
