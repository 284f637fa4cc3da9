// SPDX-License-Identifier: MIT
//
// Huge pages: what a call asks for, and why it was not given. They are never charged to the commit
// limit; a mapping or segment reserves all of its pages when it is made, first with its control
// group, then with its mount, then with the pool (mm/hugetlb.c hugetlb_reserve_pages()).
#include <linux/magic.h>
#include <sys/mman.h>

#include <algorithm>

#include "tools/causes/causes_detail.h"
#include "tools/causes/groups.h"
#include "tools/text/output.h"

namespace ovc::causes {

using ovcshim::FactKey;

namespace huge {
namespace {

constexpr uint64_t kShmHugetlb = 04000, kShmNoreserve = 010000;  // linux/shm.h
constexpr unsigned kSizeShift = 26;                              // MAP_HUGE_SHIFT, SHM_HUGE_SHIFT

bool is_segment(const Evidence& evidence) { return op_of(evidence) == Op::kShmget; }
uint64_t flags_of(const Evidence& evidence) {
  return args_of(evidence)[is_segment(evidence) ? 2 : 3];
}

bool of_file(const Evidence& evidence) {
  return op_of(evidence) == Op::kMmap && !(flags_of(evidence) & MAP_ANONYMOUS);
}

bool asks(const Evidence& evidence) {
  if (is_segment(evidence)) return flags_of(evidence) & kShmHugetlb;
  if (op_of(evidence) != Op::kMmap) return false;
  return of_file(evidence) ? evidence.fact(FactKey::kFileFsType) == HUGETLBFS_MAGIC
                           : (flags_of(evidence) & MAP_HUGETLB) != 0;
}

// What the pool of the size asked for has. Older logs know the default size's only.
struct Pool {
  uint64_t size_kb = 0, free = 0, reserved = 0;
  std::optional<uint64_t> may_grow;
  bool default_only = false;
};

std::optional<uint64_t> may_grow(const Evidence& evidence) {
  const auto most = evidence.fact(FactKey::kHugePoolOvercommit),
             now = evidence.fact(FactKey::kHugePoolSurplus);
  if (!most || !now) return std::nullopt;
  return *most > *now ? *most - *now : 0;
}

std::optional<Pool> pool_of(const Evidence& evidence) {
  const auto size = huge_page_kb(evidence), free = evidence.fact(FactKey::kHugePoolFree),
             reserved = evidence.fact(FactKey::kHugePoolRsvd);
  if (!size || *size == 0 || *size > uint64_t{1} << 40) return std::nullopt;
  if (free && reserved && evidence.fact(FactKey::kHugePoolKb) == size)
    return Pool{*size, *free, *reserved, may_grow(evidence)};
  const auto default_free = evidence.fact(FactKey::kHugePagesFree),
             default_reserved = evidence.fact(FactKey::kHugePagesRsvd);
  if (evidence.fact(FactKey::kHugepagesizeKb) != size || !default_free || !default_reserved)
    return std::nullopt;
  return Pool{*size, *default_free, *default_reserved, std::nullopt, true};
}

uint64_t wanted_pages(const Evidence& evidence, uint64_t size_kb) {
  const uint64_t bytes = args_of(evidence)[1], size = size_kb * 1024;
  return bytes / size + (bytes % size != 0);
}

void say_pool(Finding& finding, const Pool& pool, uint64_t wanted) {
  const std::string_view source = pool.default_only ? "/proc/meminfo" : "/sys/kernel/mm/hugepages";
  add_figure(finding, "request", wanted, "huge pages", "the call");
  add_figure(finding, "free", pool.free, "huge pages", source);
  add_figure(finding, "of them reserved", pool.reserved, "huge pages", source);
  if (pool.may_grow)
    add_figure(finding, "the pool may grow by", pool.may_grow, "huge pages",
               "nr_overcommit_hugepages, surplus_hugepages");
  add_figure(finding, "size of one", pool.size_kb, "kB", source);
}

// Charged from the own group up (mm/page_counter.c page_counter_try_charge()).
std::optional<GroupFigures> refusing_group(const Evidence& evidence, uint64_t wanted_kb) {
  if (wanted_kb > UINT64_MAX / 4096) return std::nullopt;
  for (GroupFigures& group : groups_of(*evidence.snapshot, "hugetlb"))
    if (group.limits() && group.used && *group.used / 1024 + wanted_kb > *group.limit / 1024)
      return std::move(group);
  return std::nullopt;
}

std::string_view what_asked(const Evidence& evidence) {
  if (is_segment(evidence)) return "not enough free huge pages (SHM_HUGETLB)";
  return of_file(evidence) ? "not enough free huge pages: the file is one of huge pages (hugetlbfs "
                             "or a memory file of MFD_HUGETLB)"
                           : "not enough free huge pages (MAP_HUGETLB)";
}

}  // namespace
}  // namespace huge
using namespace huge;

std::optional<uint64_t> huge_page_kb(const Evidence& evidence) {
  if (!asks(evidence)) return std::nullopt;
  const uint64_t bits = flags_of(evidence) >> kSizeShift & 0x3f;
  if (of_file(evidence)) {
    const auto block = evidence.fact(FactKey::kFileFsBlock);
    return block ? std::optional(*block / 1024) : std::nullopt;
  }
  if (bits >= 10) return uint64_t{1} << (bits - 10);
  if (bits != 0) return std::nullopt;
  const auto pool = evidence.fact(FactKey::kHugePoolKb);
  return pool ? pool : evidence.fact(FactKey::kHugepagesizeKb);
}

bool reserves_huge_pages(const Evidence& evidence) {
  const uint64_t noreserve = is_segment(evidence) ? kShmNoreserve : uint64_t{MAP_NORESERVE};
  return no_memory(evidence) && asks(evidence) && !(flags_of(evidence) & noreserve);
}

bool over_huge_page_group(const Evidence& evidence, Finding& finding) {
  const auto size_kb = huge_page_kb(evidence);
  if (!size_kb || *size_kb == 0 || !evidence.snapshot) return false;
  const uint64_t wanted_kb = wanted_pages(evidence, *size_kb) * *size_kb;
  const auto group = refusing_group(evidence, wanted_kb);
  if (!group) return false;
  const bool v1 = group->version == 1;
  finding.summary = group->level == 0
                        ? "huge page limit of the control group reached (hugetlb)"
                        : "huge page limit of a control group above its own reached (hugetlb)";
  add_figure(finding, "request", wanted_kb, "kB", "the call");
  add_figure(finding, "reserved", *group->used / 1024, "kB",
             v1 ? "hugetlb.*.rsvd.usage_in_bytes" : "hugetlb.*.rsvd.current");
  add_figure(finding, "limit", *group->limit / 1024, "kB",
             v1 ? "hugetlb.*.rsvd.limit_in_bytes" : "hugetlb.*.rsvd.max");
  miss_by(finding, *group->used / 1024 + wanted_kb, *group->limit / 1024, "kB");
  if (!group->path.empty()) finding.notes.push_back("the control group: " + escaped(group->path));
  return true;
}

bool over_huge_page_mount(const Evidence& evidence, Finding& finding) {
  const auto blocks = evidence.fact(FactKey::kFileFsBlocks),
             free = evidence.fact(FactKey::kFileFsFree), size_kb = huge_page_kb(evidence);
  if (!of_file(evidence) || !blocks || *blocks == 0 || !free || !size_kb || *size_kb == 0)
    return false;
  const uint64_t wanted = wanted_pages(evidence, *size_kb);
  if (wanted <= *free) return false;
  finding.summary = "the hugetlbfs mount is full (its size= option)";
  add_figure(finding, "request", wanted, "huge pages", "the call");
  add_figure(finding, "free", free, "huge pages", "fstatfs");
  add_figure(finding, "size of the mount", blocks, "huge pages", "fstatfs");
  miss_by(finding, wanted, *free, "huge pages");
  return true;
}

// The pool may grow by nr_overcommit_hugepages. Where that would have been enough, the kernel found
// no piece of memory that is free throughout.
bool over_huge_page_pool(const Evidence& evidence, Finding& finding) {
  const auto pool = pool_of(evidence);
  if (!pool || pool->reserved > pool->free) return false;
  const uint64_t wanted = wanted_pages(evidence, pool->size_kb),
                 available = pool->free - pool->reserved, growth = pool->may_grow.value_or(0);
  if (wanted <= available) return false;
  say_pool(finding, *pool, wanted);
  if (growth < UINT64_MAX - available && wanted <= available + growth) {
    finding.summary =
        "the pool of huge pages may grow, but no memory was free in pieces of that size";
    return true;
  }
  finding.summary = what_asked(evidence);
  miss_by(finding, wanted, available + growth, "huge pages");
  return true;
}

}  // namespace ovc::causes
