// SPDX-License-Identifier: MIT
#include "tools/method_names.h"

#include <gelf.h>

#include <algorithm>
#include <cctype>
#include <cstring>

namespace ovc {
namespace {

constexpr size_t kLongestMethodName = 64;
constexpr uint64_t kMostMethodFlags = 0x3ff;  // METH_VARARGS ... METH_METHOD; at least one of them is set
constexpr uint8_t kCountIsUdata4 = 0x03, kTableIsDataRelSdata4 = 0x3b;

// The bytes of the file that are mapped at an address; empty if none are. libelf has no such call.
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

template <typename T>
T load(std::string_view bytes, size_t offset) {
  T value{};
  if (offset <= bytes.size() && sizeof value <= bytes.size() - offset) std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

std::string_view method_name(Elf* elf, uint64_t address) {
  const std::string_view bytes = bytes_at(elf, address).substr(0, kLongestMethodName + 1);
  const size_t length = bytes.find('\0');
  if (length == bytes.npos || length == 0) return {};
  const std::string_view name = bytes.substr(0, length);
  const auto is_word = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; };
  return std::all_of(name.begin(), name.end(), is_word) ? name : std::string_view();
}

// A section of pointers as it is once the file is loaded: what the linker left there and, in position independent files, the
// addends of the relocations that only add the load address.
struct Words {
  uint64_t start = 0;
  std::vector<uint64_t> words;
};

bool holds_pointers(const GElf_Shdr& header) {
  constexpr uint64_t kWritableData = SHF_ALLOC | SHF_WRITE;
  return header.sh_type == SHT_PROGBITS && (header.sh_flags & kWritableData) == kWritableData && header.sh_addr % 8 == 0;
}

bool is_relative(GElf_Xword info) {
  const auto type = GELF_R_TYPE(info);
  return type == R_X86_64_RELATIVE || type == R_AARCH64_RELATIVE;
}

void relocate(Elf_Data* data, std::vector<Words>& sections) {
  GElf_Rela rela;
  for (int i = 0; gelf_getrela(data, i, &rela); ++i) {
    if (!is_relative(rela.r_info) || rela.r_offset % 8 != 0) continue;
    for (Words& section : sections) {
      const uint64_t index = (rela.r_offset - section.start) / 8;
      if (rela.r_offset >= section.start && index < section.words.size())
        section.words[index] = static_cast<uint64_t>(rela.r_addend);
    }
  }
}

template <typename Visit>
void for_each_section(Elf* elf, Visit visit) {
  for (Elf_Scn* section = elf_nextscn(elf, nullptr); section; section = elf_nextscn(elf, section)) {
    GElf_Shdr header;
    Elf_Data* data = gelf_getshdr(section, &header) && header.sh_type != SHT_NOBITS ? elf_getdata(section, nullptr) : nullptr;
    if (data && data->d_buf) visit(header, data);
  }
}

std::vector<Words> pointer_sections(Elf* elf) {
  std::vector<Words> sections;
  for_each_section(elf, [&](const GElf_Shdr& header, Elf_Data* data) {
    if (!holds_pointers(header)) return;
    Words& section = sections.emplace_back(Words{header.sh_addr, std::vector<uint64_t>(data->d_size / 8)});
    std::memcpy(section.words.data(), data->d_buf, section.words.size() * 8);
  });
  for_each_section(elf, [&](const GElf_Shdr& header, Elf_Data* data) {
    if (header.sh_type == SHT_RELA && (header.sh_flags & SHF_ALLOC)) relocate(data, sections);
  });
  return sections;
}

}  // namespace

bool MethodNames::expected_in(std::string_view file_name) {
  return file_name.starts_with("python") || file_name.starts_with("libpython") || file_name.find(".cpython-") != file_name.npos;
}

MethodNames::MethodNames(Elf* elf) {
  if (gelf_getclass(elf) != ELFCLASS64) return;
  read_functions(elf);
  if (!functions_.empty()) read_tables(elf);
}

// .eh_frame_hdr: version, three encodings, pointer to .eh_frame, count, then pairs (function, its entry) relative to the header.
void MethodNames::read_functions(Elf* elf) {
  size_t count = 0;
  if (elf_getphdrnum(elf, &count) != 0) return;
  for (size_t i = 0; i < count; ++i) {
    GElf_Phdr header;
    if (!gelf_getphdr(elf, static_cast<int>(i), &header) || header.p_type != PT_GNU_EH_FRAME) continue;
    const std::string_view bytes = bytes_at(elf, header.p_vaddr).substr(0, header.p_filesz);
    const bool known = load<uint8_t>(bytes, 0) == 1 && load<uint8_t>(bytes, 2) == kCountIsUdata4 &&
                       load<uint8_t>(bytes, 3) == kTableIsDataRelSdata4;
    if (!known) return;
    const size_t entries = std::min<size_t>(load<uint32_t>(bytes, 8), bytes.size() / 8);
    for (size_t entry = 0; entry < entries; ++entry)
      functions_.push_back(header.p_vaddr + static_cast<uint64_t>(int64_t{load<int32_t>(bytes, 12 + entry * 8)}));
  }
  std::sort(functions_.begin(), functions_.end());
}

void MethodNames::read_tables(Elf* elf) {
  for (const Words& section : pointer_sections(elf)) {
    for (size_t i = 1; i + 1 < section.words.size(); ++i) {
      const uint64_t function = section.words[i], flags = section.words[i + 1];
      if (flags == 0 || flags > kMostMethodFlags) continue;
      if (!std::binary_search(functions_.begin(), functions_.end(), function)) continue;
      const std::string_view name = method_name(elf, section.words[i - 1]);
      if (!name.empty()) methods_.push_back({function, std::string(name)});
    }
  }
  std::stable_sort(methods_.begin(), methods_.end(), [](const Method& a, const Method& b) { return a.start < b.start; });
}

const MethodNames::Method* MethodNames::at(uint64_t address) const {
  const auto next = std::upper_bound(functions_.begin(), functions_.end(), address);
  if (next == functions_.begin()) return nullptr;
  const uint64_t start = *std::prev(next);
  const auto first =
      std::partition_point(methods_.begin(), methods_.end(), [=](const Method& method) { return method.start < start; });
  if (first == methods_.end() || first->start != start) return nullptr;
  for (auto other = first; other != methods_.end() && other->start == start; ++other)
    if (other->name != first->name) return nullptr;
  return &*first;
}

}  // namespace ovc
