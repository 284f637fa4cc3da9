// SPDX-License-Identifier: MIT
//
// Stacks by number: the same one stands on many records, and is resolved once. Memory: one entry
// for each different stack.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/log/log_growth.h"
#include "tools/log/log_reader.h"
#include "tools/symbols/symbols.h"

namespace ovc {

struct ExportStack {
  uint64_t id = 0;                 // from 1, in the order of their first records
  std::vector<Frame> frames;       // innermost first, raw
  std::vector<std::string> texts;  // the same: "function+0x1f (module)"
  bool cut = false;                // it went on
  // The function that asked: the innermost one outside libc, the loader and the shim; where that
  // has no name, its place.
  std::string_view caller() const;
};

class ExportStacks {
 public:
  explicit ExportStacks(Symbols& symbols) : symbols_(symbols) {}
  const ExportStack* of(const Event& event);  // nullptr: the event has none. Stays valid
  const ExportStack* of(const KnownStack& stack);

 private:
  const ExportStack* of(uint32_t image, const std::vector<uint64_t>& addresses, bool cut);
  using Key = std::pair<uint32_t, std::vector<uint64_t>>;  // image, addresses
  Symbols& symbols_;
  std::map<Key, ExportStack> stacks_;
};

}  // namespace ovc
