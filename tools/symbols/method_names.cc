// SPDX-License-Identifier: MIT
#include "tools/symbols/method_names.h"

#include <gelf.h>

#include <algorithm>
#include <cctype>
#include <cstring>

#include "tools/symbols/elf_bytes.h"

namespace ovc {
namespace {

constexpr size_t kLongestMethodName = 64;
constexpr size_t kMaxSections = 16,
                 kMostPointers = 1 << 24;  // sections of a hostile file may all be the whole file
constexpr uint64_t kMostMethodFlags =
    0x3ff;  // METH_VARARGS ... METH_METHOD; at least one of them is set

std::string_view method_name(const ElfBytes& file, uint64_t address) {
  const std::string_view bytes = file.at(address).substr(0, kLongestMethodName + 1);
  const size_t length = bytes.find('\0');
  if (length == bytes.npos || length == 0) return {};
  const std::string_view name = bytes.substr(0, length);
  const auto is_word = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; };
  return std::all_of(name.begin(), name.end(), is_word) ? name : std::string_view();
}

// A section of pointers as it is once the file is loaded: what the linker left there and, in
// position independent files, the addends of the relocations that only add the load address.
struct Words {
  uint64_t start = 0;
  std::vector<uint64_t> words;
};

bool holds_pointers(const GElf_Shdr& header) {
  constexpr uint64_t kWritableData = SHF_ALLOC | SHF_WRITE;
  return header.sh_type == SHT_PROGBITS && (header.sh_flags & kWritableData) == kWritableData &&
         header.sh_addr % 8 == 0;
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
    Elf_Data* data = gelf_getshdr(section, &header) && header.sh_type != SHT_NOBITS
                         ? elf_getdata(section, nullptr)
                         : nullptr;
    if (data && data->d_buf) visit(header, data);
  }
}

std::vector<Words> pointer_sections(Elf* elf) {
  std::vector<Words> sections;
  for_each_section(elf, [&](const GElf_Shdr& header, Elf_Data* data) {
    const size_t count = data->d_size / 8;
    if (!holds_pointers(header) || sections.size() == kMaxSections || count > kMostPointers) return;
    Words& section = sections.emplace_back(Words{header.sh_addr, std::vector<uint64_t>(count)});
    if (count != 0) std::memcpy(section.words.data(), data->d_buf, count * 8);
  });
  for_each_section(elf, [&](const GElf_Shdr& header, Elf_Data* data) {
    if (header.sh_type == SHT_RELA && (header.sh_flags & SHF_ALLOC)) relocate(data, sections);
  });
  return sections;
}

}  // namespace

bool MethodNames::expected_in(std::string_view file_name) {
  return file_name.starts_with("python") || file_name.starts_with("libpython") ||
         file_name.find(".cpython-") != file_name.npos;
}

MethodNames::MethodNames(Elf* elf, const ElfBytes& bytes) {
  if (gelf_getclass(elf) != ELFCLASS64) return;
  functions_ = bytes.function_starts();
  if (!functions_.empty()) read_tables(elf, bytes);
}

void MethodNames::read_tables(Elf* elf, const ElfBytes& bytes) {
  for (const Words& section : pointer_sections(elf)) {
    for (size_t i = 1; i + 1 < section.words.size(); ++i) {
      const uint64_t function = section.words[i], flags = section.words[i + 1];
      if (flags == 0 || flags > kMostMethodFlags) continue;
      if (!std::binary_search(functions_.begin(), functions_.end(), function)) continue;
      const std::string_view name = method_name(bytes, section.words[i - 1]);
      if (!name.empty()) methods_.push_back({function, std::string(name)});
    }
  }
  std::stable_sort(methods_.begin(), methods_.end(),
                   [](const Method& a, const Method& b) { return a.start < b.start; });
}

const MethodNames::Method* MethodNames::at(uint64_t address) const {
  const auto next = std::upper_bound(functions_.begin(), functions_.end(), address);
  if (next == functions_.begin()) return nullptr;
  const uint64_t start = *std::prev(next);
  const auto first = std::partition_point(
      methods_.begin(), methods_.end(), [=](const Method& method) { return method.start < start; });
  if (first == methods_.end() || first->start != start) return nullptr;
  for (auto other = first; other != methods_.end() && other->start == start; ++other)
    if (other->name != first->name) return nullptr;
  return &*first;
}

}  // namespace ovc
