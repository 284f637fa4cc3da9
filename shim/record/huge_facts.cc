// SPDX-License-Identifier: MIT
//
// See huge_facts.h.
#include "shim/record/huge_facts.h"

#include "shim/proc/lines.h"
#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

char* append(char* at, const char* text) {
  while (*text) *at++ = *text++;
  *at = '\0';
  return at;
}
char* append_number(char* at, uint64_t value) {
  char digits[24];
  int n = 0;
  do digits[n++] = static_cast<char>('0' + value % 10);
  while (value /= 10);
  while (n > 0) *at++ = digits[--n];
  *at = '\0';
  return at;
}

bool begins(const char* text, const char* with) {
  while (*with)
    if (*text++ != *with++) return false;
  return true;
}

// Every size that an architecture of Linux has, kB.
constexpr uint64_t kHugeKb[] = {64,     1024,   2048,    4096,    8192,    16384,   32768,
                                262144, 524288, 1048576, 2097152, 4194304, 16777216};

uint64_t pool_number(char* io, uint64_t size_kb, const char* name) {
  char* at = append(io, "/sys/kernel/mm/hugepages/hugepages-");
  at = append_number(at, size_kb);
  append(append(at, "kB/"), name);
  return read_number(io);
}

uint64_t log2_of(uint64_t value) {
  uint64_t bits = 0;
  while (value >>= 1) ++bits;
  return bits;
}

// "2MB", "1GB": mm/hugetlb_cgroup.c mem_fmt()
char* append_size(char* at, uint64_t kb) {
  const bool gb = kb >= 1 << 20, mb = kb >= 1 << 10;
  at = append_number(at, gb ? kb >> 20 : mb ? kb >> 10 : kb);
  return append(at, gb ? "GB" : mb ? "MB" : "KB");
}

// The group's path behind `marker` in /proc/thread-self/cgroup ("hugetlb:" or "0::"), cut from the
// file in `io`; nullptr: there is none.
char* group_path(const char* marker, char* io, uint64_t room) {
  if (read_file("/proc/thread-self/cgroup", io, room) <= 0) return nullptr;
  for (char* c = io; *c; ++c) {
    if (!begins(c, marker)) continue;
    char* path = c + sys::length(marker);
    for (char* end = path; *end; ++end)
      if (*end == '\n') *end = '\0';
    return path;
  }
  return nullptr;
}

uint64_t group_number(const char* root, const char* group, uint64_t size_kb, const char* name) {
  char path[512];
  if (sys::length(group) > 400) return kUnknown;
  char* at = append(append(path, root), group);
  at = append_size(append(at, "/hugetlb."), size_kb);
  append(at, name);
  return read_number(path);
}

// Reservations are charged to the group before the pool is asked (mm/hugetlb.c
// hugetlb_reserve_pages()).
void add_huge_group(Facts& facts, uint64_t size_kb, char* io, uint64_t room) {
  if (const char* group = group_path(":hugetlb:", io, room)) {
    const char* root = "/sys/fs/cgroup/hugetlb";
    facts.add(FactKey::kHugeGroupMax, group_number(root, group, size_kb, ".rsvd.limit_in_bytes"));
    facts.add(FactKey::kHugeGroupUsage, group_number(root, group, size_kb, ".rsvd.usage_in_bytes"));
  } else if (const char* unified = group_path("0::", io, room)) {
    const char* root = "/sys/fs/cgroup";
    facts.add(FactKey::kHugeGroupMax, group_number(root, unified, size_kb, ".rsvd.max"));
    facts.add(FactKey::kHugeGroupUsage, group_number(root, unified, size_kb, ".rsvd.current"));
  }
}

}  // namespace

void add_huge_sizes(Facts& facts, char* io) {
  uint64_t sizes = 0;
  for (const uint64_t kb : kHugeKb)
    if (pool_number(io, kb, "nr_hugepages") != kUnknown) sizes |= uint64_t{1} << (log2_of(kb) + 10);
  if (sizes) facts.add(FactKey::kHugeSizes, sizes);
}

// Line by line: it stands near the end, and each kernel has more lines before it.
uint64_t default_huge_kb(char* io, uint64_t room) {
  Lines lines("/proc/meminfo", io, room);
  while (const char* line = lines.next())
    if (const uint64_t kb = find_value(line, "Hugepagesize:"); kb != kUnknown) return kb;
  return kUnknown;
}

void add_huge_pool(Facts& facts, uint64_t size_kb, char* io, uint64_t room) {
  static constexpr struct {
    const char* name;
    FactKey key;
  } kFiles[] = {
      {"free_hugepages", FactKey::kHugePoolFree},
      {"resv_hugepages", FactKey::kHugePoolRsvd},
      {"surplus_hugepages", FactKey::kHugePoolSurplus},
      {"nr_overcommit_hugepages", FactKey::kHugePoolOvercommit},
  };
  if (size_kb == kUnknown || size_kb == 0) return;
  facts.add(FactKey::kHugePoolKb, size_kb);
  for (const auto& file : kFiles) facts.add(file.key, pool_number(io, size_kb, file.name));
  add_huge_group(facts, size_kb, io, room);
}

}  // namespace ovcshim
