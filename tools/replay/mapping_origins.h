// SPDX-License-Identifier: MIT
//
// A replayed mapping in words: what it is, its flags, its charge, and which call made it.
#pragma once
#include <cstdint>
#include <string>

#include "tools/log/log_reader.h"
#include "tools/replay/address_space.h"
#include "tools/symbols/symbols.h"

namespace ovc {

std::string flags_text(
    const Piece& piece);  // "rw-p ac nr", as smaps writes them; "ac?" where both are possible
Bounds charge_of(const Mapping& mapping);  // in kB

class MappingOrigins {
 public:
  MappingOrigins(const LogReader& log, Symbols& symbols) : log_(log), symbols_(symbols) {}
  // "[heap]", "libc.so.6", "shared memory"; empty if it is just anonymous. Escaped. `image` names
  // the modules.
  std::string what(const Mapping& mapping, uint32_t image) const;
  const Piece& main_piece(
      const Mapping& mapping) const;  // the call that made it made most of the mapping
  std::string caller_of(
      const Event& event) const;  // outside libc and the shim, where there is one; raw

 private:
  bool is_shared_memory(const Piece& piece) const;

  const LogReader& log_;
  Symbols& symbols_;
};

}  // namespace ovc
