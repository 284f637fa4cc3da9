// SPDX-License-Identifier: MIT
//
// Bytes and functions of an ELF file as it is once mapped, for what its symbols do not tell. A damaged file gives less, never an error.
#pragma once
#include <libelf.h>

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace ovc {

// The bytes of the file that are mapped from an address on; empty if none are. libelf has no such call.
std::string_view bytes_at(Elf* elf, uint64_t address);

// Where each function begins, as linked, ascending: from .eh_frame_hdr, which is not stripped.
std::vector<uint64_t> function_starts(Elf* elf);

// 0 where there are not enough bytes.
template <typename T>
T load(std::string_view bytes, size_t offset) {
  T value{};
  if (offset <= bytes.size() && sizeof value <= bytes.size() - offset) std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

}  // namespace ovc
