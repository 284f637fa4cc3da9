// SPDX-License-Identifier: MIT
//
// Shared by the causes_*.cc files only: what a memory call asked for, and the predicates used by
// more than one family.
#pragma once
#include <cerrno>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "tools/causes/causes.h"

namespace ovc::causes {

inline constexpr unsigned kCapIpcLock = 14, kCapSysAdmin = 21, kCapSysResource = 24;

// What a memory or malloc call asked for. nullopt: the record does not say.
struct Request {
  std::optional<uint64_t> space_kb;   // address space it adds
  std::optional<uint64_t> data_kb;    // private writable memory it adds
  std::optional<uint64_t> charge_kb;  // commit charge it adds
  bool check_only = false;            // adds nothing but is checked against the limit all the same
};
Request request_of(const Evidence& evidence);
std::optional<uint64_t> malloc_bytes(const Event& event);  // nullopt also if nmemb * size overflows

void add_figure(Finding& finding, std::string_view label, std::optional<uint64_t> value,
                std::string_view unit, std::string_view source);
void miss_by(Finding& finding, uint64_t wanted, uint64_t limit, std::string_view unit);

// A security module that labels the caller can keep it from what its ids and capabilities permit.
bool module_can_deny(const Evidence& evidence);
// Has the capability in the initial user namespace, and can use it. nullopt: not known.
std::optional<bool> capable(const Evidence& evidence, unsigned capability);
// Of a lock: that it holds a capability which a security module can keep it from using.
void note_denied_lock(const Evidence& evidence, Finding& finding);
// A recorded resource limit in kB; nullopt if infinite or unknown.
std::optional<uint64_t> rlimit_kb(const Evidence& evidence, ovcshim::FactKey key);
std::optional<uint64_t> mode_of(const Evidence& evidence);
std::optional<uint64_t> committed_kb(const Evidence& evidence);
std::optional<uint64_t> vm_size_kb(const Evidence& evidence);
std::optional<uint64_t> map_count(const Evidence& evidence);
// The mapping that holds an address, nullptr if none does, or none of those that are known: all, or
// those that the call's range meets.
const ovcshim::MappingEntry* mapping_at(const Evidence& evidence, uint64_t address);

// Overcommit predicates: a single request, or a fork's mappings.
bool over_commit_limit(const Evidence& evidence, Finding& finding);
bool near_commit_limit(const Evidence& evidence, Finding& finding);
bool over_ram_and_swap(const Evidence& evidence, Finding& finding);

// Where the break was and where it was to be. nullopt: not recorded.
std::optional<uint64_t> old_break(const Evidence& evidence);
std::optional<uint64_t> new_break(const Evidence& evidence);
// mprotect goes mapping by mapping and keeps what it changed: the first that has not got the new
// protection is the one refused. nullptr: none is left before the first hole, or the mappings are
// not known.
const ovcshim::MappingEntry* mprotect_refused_at(const Evidence& evidence);
// The mappings that the call's range lies in: from the complete list, or what was kept of a longer
// one. Is there either?
std::span<const ovcshim::MappingEntry> mappings_around(const Evidence& evidence);
bool knows_around(const Evidence& evidence);
// First address from `start` on that is not mapped. Needs mappings_around().
uint64_t mapped_until(const Evidence& evidence, uint64_t start);

// Room in the address space, in the order in which brk and mremap look at it (causes_space.cc).
bool no_gap(const Evidence& evidence, Finding& finding);  // mmap
bool fixed_beyond_last_address(const Evidence& evidence, Finding& finding);
bool break_meets_mapping(const Evidence& evidence, Finding& finding);
bool break_over_rlimit_data(const Evidence& evidence, Finding& finding);
bool break_locked(const Evidence& evidence, Finding& finding);  // all else is excluded
bool mremap_meets_mapping(const Evidence& evidence, Finding& finding);
bool mremap_no_gap(const Evidence& evidence, Finding& finding);
bool mremap_moves(const Evidence& evidence);  // surely: it cannot grow where it is

// A call that adds this much to the address space meets neither RLIMIT_AS nor RLIMIT_DATA nor the
// accounting, whatever kind of memory it is.
bool limits_excluded(const Evidence& evidence, uint64_t kb);
// mmap: so many mappings leave a gap between two that the call would fit in, wherever they lie.
bool has_room(const Evidence& evidence, uint64_t mappings);

bool over_map_count(const Evidence& evidence, Finding& finding);
bool over_rlimit_memlock(const Evidence& evidence, Finding& finding);
bool over_rlimit_as(const Evidence& evidence, Finding& finding);
bool over_rlimit_data(const Evidence& evidence, Finding& finding);
bool over_task_size(const Evidence& evidence, Finding& finding);
uint64_t task_size(const Evidence& evidence);  // the first address that no process has

// Huge pages (causes_huge.cc): the size of one, if the call asks for such; and what is in their
// way, in the order of mm/hugetlb.c hugetlb_reserve_pages().
std::optional<uint64_t> huge_page_kb(const Evidence& evidence);
bool reserves_huge_pages(const Evidence& evidence);
bool over_huge_page_group(const Evidence& evidence, Finding& finding);
bool over_huge_page_mount(const Evidence& evidence, Finding& finding);
bool over_huge_page_pool(const Evidence& evidence, Finding& finding);

// The control group's memory is full and nobody could be killed for it.
bool memcg_full(const Evidence& evidence, Finding& finding);

void say_whose_figures(const Evidence& evidence, Finding& finding);

// Fills Finding::suspects.
void add_suspects(const Evidence& evidence, Finding& finding);
// The same, where an errno's rows have left none.
void complete_suspects(const Evidence& evidence, Finding& finding);
void sort_suspects(Finding& finding);  // the most likely first

// Why nothing could be proven.
void explain_unknown(const Evidence& evidence, Finding& finding);

inline const uint64_t (&args_of(const Evidence& evidence))[6] { return evidence.event.base.args; }
inline Op op_of(const Evidence& evidence) { return evidence.event.base.op; }
inline bool no_memory(const Evidence& evidence) { return evidence.err() == ENOMEM; }
inline bool fails_with(const Evidence& evidence, uint16_t err) { return evidence.err() == err; }

}  // namespace ovc::causes
