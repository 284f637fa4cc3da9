// SPDX-License-Identifier: MIT
#include "tools/elf_bytes.h"

#include <gelf.h>

#include <algorithm>

namespace ovc {
namespace {

constexpr uint8_t kCountIsUdata4 = 0x03, kTableIsDataRelSdata4 = 0x3b;

}  // namespace

std::string_view bytes_at(Elf* elf, uint64_t address) {
  size_t count = 0, size = 0;
  const char* raw = elf_rawfile(elf, &size);
  if (!raw || elf_getphdrnum(elf, &count) != 0) return {};
  for (size_t i = 0; i < count; ++i) {
    GElf_Phdr header;
    if (!gelf_getphdr(elf, static_cast<int>(i), &header) || header.p_type != PT_LOAD) continue;
    if (address < header.p_vaddr || address - header.p_vaddr >= header.p_filesz) continue;
    if (header.p_offset > size || header.p_filesz > size - header.p_offset) return {};
    return std::string_view(raw, size).substr(header.p_offset + (address - header.p_vaddr),
                                              header.p_filesz - (address - header.p_vaddr));
  }
  return {};
}

// .eh_frame_hdr: version, three encodings, pointer to .eh_frame, count, then pairs (function, its entry) relative to the header.
std::vector<uint64_t> function_starts(Elf* elf) {
  std::vector<uint64_t> starts;
  size_t count = 0;
  if (elf_getphdrnum(elf, &count) != 0) return starts;
  for (size_t i = 0; i < count; ++i) {
    GElf_Phdr header;
    if (!gelf_getphdr(elf, static_cast<int>(i), &header) || header.p_type != PT_GNU_EH_FRAME) continue;
    const std::string_view bytes = bytes_at(elf, header.p_vaddr).substr(0, header.p_filesz);
    const bool known = load<uint8_t>(bytes, 0) == 1 && load<uint8_t>(bytes, 2) == kCountIsUdata4 &&
                       load<uint8_t>(bytes, 3) == kTableIsDataRelSdata4;
    if (!known) continue;
    const size_t entries = std::min<size_t>(load<uint32_t>(bytes, 8), bytes.size() / 8);
    for (size_t entry = 0; entry < entries; ++entry)
      starts.push_back(header.p_vaddr + static_cast<uint64_t>(int64_t{load<int32_t>(bytes, 12 + entry * 8)}));
  }
  std::sort(starts.begin(), starts.end());
  return starts;
}

}  // namespace ovc
