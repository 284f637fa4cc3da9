// SPDX-License-Identifier: MIT
//
// Which malloc calls of a process the log cannot hold: definitions that come before the shim in the
// loader's order, and objects that map memory and hand out blocks of it themselves.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/log/log_reader.h"
#include "tools/symbols/symbols.h"

namespace ovc {

class BlindSpots {
 public:
  explicit BlindSpots(Symbols& symbols) : symbols_(symbols) {}
  void note(const Event& event);
  std::vector<std::string> sentences();  // raw

 private:
  using ProcessKey = std::pair<uint32_t, uint32_t>;  // index, serial
  struct Mapper {
    uint64_t kb = 0, calls = 0, address = 0;
    uint32_t image = 0;
  };
  struct Attached {
    bool with_malloc = false;
    uint64_t left_alone = 0;  // pointers to malloc's family
    std::string text(const std::string& program) const;
  };
  using Place = std::pair<std::string, std::string>;  // program, module
  void note_start(const Event& event);
  std::map<Place, Mapper> by_program() const;
  std::string allocator_in(const Mapper& mapper);

  Symbols& symbols_;
  std::map<ProcessKey, std::string> program_;
  std::map<Place, std::set<std::string_view>> before_us_;  // -> calls
  std::set<Place> malloc_servers_;
  std::map<std::string, Attached> attached_;                      // by program
  std::map<std::pair<ProcessKey, std::string>, Mapper> mappers_;  // process, module
};

}  // namespace ovc
