// SPDX-License-Identifier: MIT
//
// Names for static functions of a stripped Python interpreter, from its tables of methods
// (PyMethodDef: name, function, flags, documentation): that it forked in os.fork is then known, not
// guessed.
#pragma once
#include <libelf.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/symbols/elf_bytes.h"

namespace ovc {

class MethodNames {
 public:
  // A file that is not a 64-bit one, or is damaged, has no names.
  MethodNames(Elf* elf, const ElfBytes& bytes);
  struct Method {
    uint64_t start;  // of its function, as linked
    std::string name;
  };
  // The method whose code holds the address; nullptr if there is none, or if tables disagree on its
  // name.
  const Method* at(uint64_t address) const;
  // Does this file hold the interpreter or a module of it?
  static bool expected_in(std::string_view file_name);

 private:
  void read_tables(Elf* elf, const ElfBytes& bytes);

  std::vector<uint64_t> functions_;  // where each begins, ascending
  std::vector<Method> methods_;      // ascending by start
};

}  // namespace ovc
