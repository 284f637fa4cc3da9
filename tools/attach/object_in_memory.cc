// SPDX-License-Identifier: MIT
#if defined(__x86_64__) || defined(__aarch64__)  // elsewhere: elsewhere.cc
#include "tools/attach/object_in_memory.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

namespace ovc {
namespace {

constexpr uint64_t kMostBytes = 64 << 20;  // of a table

class Object {
 public:
  Object(const Memory& memory, uint64_t start) : memory_(memory), start_(start) {
    Elf64_Ehdr header{};
    if (!memory_.get(start, header) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_phentsize != sizeof(Elf64_Phdr))
      return;
    headers_.resize(header.e_phnum);
    const size_t bytes = headers_.size() * sizeof headers_[0];
    if (memory_.read(start + header.e_phoff, headers_.data(), bytes) != bytes) headers_.clear();
    uint64_t lowest = UINT64_MAX;
    for (const Elf64_Phdr& h : headers_)
      if (h.p_type == PT_LOAD) lowest = std::min<uint64_t>(lowest, h.p_vaddr & ~uint64_t{4095});
    bias_ = start - (lowest == UINT64_MAX ? 0 : lowest);
  }

  uint64_t function(std::string_view name) const {
    const uint64_t symbols = table(DT_SYMTAB), names = table(DT_STRTAB);
    // The names lie behind the symbols, in every linker's layout.
    if (!symbols || names <= symbols || names - symbols > kMostBytes) return 0;
    const std::string text = bytes(names, value(DT_STRSZ)), all = bytes(symbols, names - symbols);
    for (size_t at = 0; at + sizeof(Elf64_Sym) <= all.size(); at += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol;
      std::memcpy(&symbol, all.data() + at, sizeof symbol);
      if (symbol.st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol.st_info) == STT_FUNC &&
          symbol.st_name < text.size() && name == text.c_str() + symbol.st_name)
        return bias_ + symbol.st_value;
    }
    return 0;
  }

  std::string build_id() const {
    for (const Elf64_Phdr& h : headers_) {
      if (h.p_type != PT_NOTE) continue;
      const std::string notes = bytes(bias_ + h.p_vaddr, h.p_memsz);
      for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= notes.size();) {
        Elf64_Nhdr note;
        std::memcpy(&note, notes.data() + at, sizeof note);
        const size_t name = at + sizeof note, text = name + (note.n_namesz + 3u) / 4 * 4;
        if (note.n_type == NT_GNU_BUILD_ID && text + note.n_descsz <= notes.size() &&
            notes.compare(name, 4, std::string_view("GNU\0", 4)) == 0)
          return notes.substr(text, note.n_descsz);
        at = text + (note.n_descsz + 3u) / 4 * 4;
      }
    }
    return "";
  }

 private:
  uint64_t value(int64_t tag) const {
    for (const Elf64_Phdr& h : headers_) {
      if (h.p_type != PT_DYNAMIC) continue;
      Elf64_Dyn entry{};
      for (uint64_t at = bias_ + h.p_vaddr; memory_.get(at, entry) && entry.d_tag != DT_NULL;
           at += sizeof entry)
        if (entry.d_tag == tag) return entry.d_un.d_val;
    }
    return 0;
  }
  // The loader of glibc has put the address in memory in its place; others leave it as linked.
  uint64_t table(int64_t tag) const {
    const uint64_t address = value(tag);
    return address && address < start_ ? address + bias_ : address;
  }
  std::string bytes(uint64_t at, uint64_t count) const {
    std::string found(std::min(count, kMostBytes), '\0');
    found.resize(memory_.read(at, found.data(), found.size()));
    return found;
  }

  const Memory& memory_;
  uint64_t start_, bias_ = 0;
  std::vector<Elf64_Phdr> headers_;
};

}  // namespace

uint64_t exported_function(const Memory& memory, const std::vector<MapLine>& lines,
                           std::string_view object, std::string_view function) {
  const MapLine* first = object_named(lines, object);
  return first ? Object(memory, first->start).function(function) : 0;
}

std::string build_id_in_memory(const Memory& memory, const MapLine& first) {
  return Object(memory, first.start).build_id();
}

}  // namespace ovc

#endif
