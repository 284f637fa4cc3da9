// SPDX-License-Identifier: MIT
//
// Bytes and functions of an ELF file as it is once mapped, for what its symbols do not tell. A
// damaged file gives less, never an error. What is asked for is copied from the file, a segment at
// a time: a file that shrinks or changes meanwhile does no harm.
#pragma once
#include <libelf.h>

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace ovc {

class ElfBytes {
 public:
  explicit ElfBytes(Elf* elf);
  // The bytes of the file that are mapped from an address on; empty if none are. libelf has no such
  // call.
  std::string_view at(uint64_t address) const;
  // Where each function begins, as linked, ascending: from .eh_frame_hdr, which is not stripped.
  std::vector<uint64_t> function_starts() const;

 private:
  struct Segment {
    uint64_t start, bytes, offset;  // as linked; in the file
    bool read = false;
    std::string_view content;  // libelf's copy
  };
  Elf* elf_;
  mutable std::vector<Segment> segments_;
  uint64_t functions_at_ = 0, functions_bytes_ = 0;  // .eh_frame_hdr
};

// 0 where there are not enough bytes.
template <typename T>
T load(std::string_view bytes, size_t offset) {
  T value{};
  if (offset <= bytes.size() && sizeof value <= bytes.size() - offset)
    std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

}  // namespace ovc
