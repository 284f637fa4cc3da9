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

void add_huge_pool(Facts& facts, uint64_t size_kb, char* io) {
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
}

}  // namespace ovcshim
