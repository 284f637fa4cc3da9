// SPDX-License-Identifier: MIT
//
// See sys.h. The answer is believed only after the kernel has once told a bad address from a bad
// `how`: a filter that says EINVAL to every rt_sigprocmask would make all addresses readable.
#include <errno.h>

#include "shim/sys/sys.h"

namespace ovcshim::sys {
namespace {

enum Kernel : uint8_t { kNotAsked, kTells, kDoesNotTell };
constinit uint8_t kernel = kNotAsked;

long probe(const void* address) {
  return call(__NR_rt_sigprocmask, ~0L, reinterpret_cast<long>(address), 0, 8);
}

[[gnu::cold, gnu::noinline]] bool kernel_tells() {
  constexpr uint64_t kNobodys = ~uint64_t{0} << 12;  // no process has anything there
  const bool tells = probe(reinterpret_cast<const void*>(kNobodys)) == -EFAULT;
  __atomic_store_n(&kernel, tells ? kTells : kDoesNotTell, __ATOMIC_RELAXED);
  return tells;
}

constinit uint8_t kernel_of_ranges = kNotAsked;

long populate(uint64_t start, uint64_t end) {
  constexpr long kPopulateRead = 22;
  return call(__NR_madvise, static_cast<long>(start), static_cast<long>(end - start),
              kPopulateRead);
}

// As kernel_tells().
[[gnu::cold, gnu::noinline]] bool kernel_tells_of_ranges() {
  constexpr uint64_t kNobodys = ~uint64_t{0} << 16;
  const bool tells = populate(kNobodys, kNobodys + 4096) == -ENOMEM;
  __atomic_store_n(&kernel_of_ranges, tells ? kTells : kDoesNotTell, __ATOMIC_RELAXED);
  return tells;
}

}  // namespace

bool readable_range(uint64_t start, uint64_t end) {
  const uint8_t known = __atomic_load_n(&kernel_of_ranges, __ATOMIC_RELAXED);
  if (known == kDoesNotTell || (known == kNotAsked && !kernel_tells_of_ranges())) return false;
  return populate(start, end) == 0;
}

bool readable(const void* address) {
  const uint8_t known = __atomic_load_n(&kernel, __ATOMIC_RELAXED);
  if (known == kDoesNotTell || probe(address) != -EINVAL) return false;
  return known == kTells || kernel_tells();
}

void ask_no_addresses() {
  __atomic_store_n(&kernel, kDoesNotTell, __ATOMIC_RELAXED);
  __atomic_store_n(&kernel_of_ranges, kDoesNotTell, __ATOMIC_RELAXED);
}

}  // namespace ovcshim::sys
