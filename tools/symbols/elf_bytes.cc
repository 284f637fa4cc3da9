// SPDX-License-Identifier: MIT
#include "tools/symbols/elf_bytes.h"

#include <gelf.h>

#include <algorithm>

namespace ovc {
namespace {

constexpr uint8_t kCountIsUdata4 = 0x03, kTableIsDataRelSdata4 = 0x3b;
// Real files have a dozen headers and segments that do not overlap. Those of a hostile one may all
// be the whole file.
constexpr size_t kMaxHeaders = 128;
constexpr uint64_t kMostBytes = uint64_t{1} << 30;

}  // namespace

ElfBytes::ElfBytes(Elf* elf) : elf_(elf) {
  size_t count = 0;
  if (elf_getphdrnum(elf, &count) != 0) return;
  uint64_t bytes = 0;
  for (size_t i = 0; i < std::min(count, kMaxHeaders); ++i) {
    GElf_Phdr header;
    if (!gelf_getphdr(elf, static_cast<int>(i), &header)) continue;
    if (header.p_type == PT_GNU_EH_FRAME && functions_bytes_ == 0)
      functions_at_ = header.p_vaddr, functions_bytes_ = header.p_filesz;
    if (header.p_type != PT_LOAD || header.p_filesz > kMostBytes - bytes) continue;
    bytes += header.p_filesz;
    segments_.push_back({header.p_vaddr, header.p_filesz, header.p_offset, false, {}});
  }
}

std::string_view ElfBytes::at(uint64_t address) const {
  for (Segment& segment : segments_) {
    if (address - segment.start >= segment.bytes) continue;
    if (!segment.read && segment.offset <= INT64_MAX) {
      const Elf_Data* data = elf_getdata_rawchunk(elf_, static_cast<int64_t>(segment.offset),
                                                  segment.bytes, ELF_T_BYTE);
      if (data && data->d_buf)
        segment.content = {static_cast<const char*>(data->d_buf), data->d_size};
    }
    segment.read = true;
    return segment.content.substr(
        std::min<uint64_t>(address - segment.start, segment.content.size()));
  }
  return {};
}

// .eh_frame_hdr: version, three encodings, pointer to .eh_frame, count, then pairs (function, its
// entry) relative to the header.
std::vector<uint64_t> ElfBytes::function_starts() const {
  std::vector<uint64_t> starts;
  const std::string_view bytes = at(functions_at_).substr(0, functions_bytes_);
  const bool known = load<uint8_t>(bytes, 0) == 1 && load<uint8_t>(bytes, 2) == kCountIsUdata4 &&
                     load<uint8_t>(bytes, 3) == kTableIsDataRelSdata4;
  if (!known) return starts;
  const size_t entries = std::min<size_t>(load<uint32_t>(bytes, 8), bytes.size() / 8);
  for (size_t entry = 0; entry < entries; ++entry)
    starts.push_back(functions_at_ +
                     static_cast<uint64_t>(int64_t{load<int32_t>(bytes, 12 + entry * 8)}));
  std::sort(starts.begin(), starts.end());
  return starts;
}

}  // namespace ovc
