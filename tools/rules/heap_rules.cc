// SPDX-License-Identifier: MIT
#include "tools/rules/heap_rules.h"

#include <algorithm>

namespace ovc {

bool heap_name_is_exact(const HostRules& rules) {
  constexpr KernelVersion kExactSince{6, 12};
  return rules.kernel.known() && !(rules.kernel < kExactSince);
}

std::optional<uint64_t> heap_begins_at_most(std::span<const ovcshim::MappingEntry> list,
                                            const HostRules& rules) {
  const auto first = std::find_if(list.begin(), list.end(), [](const ovcshim::MappingEntry& m) {
    return (m.flags & ovcshim::kMapHeap) != 0;
  });
  if (first == list.end()) return std::nullopt;
  return first->end - (heap_name_is_exact(rules) ? 1 : 0);
}

}  // namespace ovc
