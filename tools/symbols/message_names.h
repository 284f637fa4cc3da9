// SPDX-License-Identifier: MIT
//
// Names for static functions of a stripped server, from the messages they print: the function that
// refers to "could not fork new process for connection" is the one that starts backends. A function
// that refers to the messages of two gets no name.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "tools/symbols/elf_bytes.h"

namespace ovc {

class MessageNames {
 public:
  // file_name: without directories; a file of no program in the table has no names, nor has another
  // machine's than x86-64.
  MessageNames(Elf* elf, const ElfBytes& bytes, std::string_view file_name);

  struct Function {
    uint64_t start = 0;  // as linked
    std::string_view name;
  };
  // The function whose code holds the address; nullopt if no message tells.
  std::optional<Function> at(uint64_t address) const;
  static bool expected_in(std::string_view file_name);

 private:
  std::string_view name_of(uint64_t start, uint64_t end) const;

  const ElfBytes& bytes_;
  std::string_view program_;                             // the table's word for the file
  std::vector<uint64_t> functions_;                      // where each begins, ascending
  mutable std::map<uint64_t, std::string_view> looked_;  // by start
};

}  // namespace ovc
