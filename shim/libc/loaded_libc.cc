// SPDX-License-Identifier: MIT
#include "shim/libc/loaded_libc.h"

#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

constexpr size_t kMaxFunctionBytes = 4096;  // a thin wrapper is far shorter
constexpr char kSoname[] = "libc.so.6";

// True if [address, address + bytes) lies in a segment of plain code by libc's own program headers.
bool in_text(const LoadedLibc& libc, uint64_t address, uint64_t bytes) {
  constexpr uint32_t kAccess = PF_R | PF_W | PF_X;
  auto* header = reinterpret_cast<const Elf64_Ehdr*>(libc.base);
  if (!sys::equal(reinterpret_cast<const char*>(header->e_ident), ELFMAG, SELFMAG)) return false;
  auto* segment = reinterpret_cast<const Elf64_Phdr*>(libc.base + header->e_phoff);
  for (unsigned i = 0; i < header->e_phnum; ++i) {
    if (segment[i].p_type != PT_LOAD || (segment[i].p_flags & kAccess) != (PF_R | PF_X)) continue;
    uint64_t start = libc.base + segment[i].p_vaddr;
    uint64_t end = start + segment[i].p_filesz;
    if (address >= start && address < end && bytes <= end - address) return true;
  }
  return false;
}

}  // namespace

bool is_libc(const ObjectTables& object) {
  return object.soname && sys::equal(object.soname, kSoname, sizeof kSoname);
}

bool find_libc(LoadedLibc& libc, bool (*proven)(uint64_t)) {
  for (const link_map* object = first_object(); object; object = object->l_next) {
    libc = tables_of(*object);
    if (is_libc(libc))
      return libc.symbols && libc.hash &&
             ((proven && proven(libc.base)) ||
              sys::readable(reinterpret_cast<const void*>(libc.base)));
  }
  return false;
}

Code find_function(const LoadedLibc& libc, const char* name) {
  const Elf64_Sym* symbol = find_symbol(libc, name);
  if (!symbol || ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_shndx == SHN_UNDEF)
    return {};
  if (symbol->st_size > kMaxFunctionBytes ||
      !in_text(libc, libc.base + symbol->st_value, symbol->st_size))
    return {};
  auto* begin = reinterpret_cast<const unsigned char*>(libc.base + symbol->st_value);
  return {begin, begin + symbol->st_size};
}

bool is_behind_libc(const void* own) {
  bool libc_passed = false;
  for (const link_map* object = first_object(); object; object = object->l_next) {
    if (object->l_ld == own) return libc_passed;
    libc_passed = libc_passed || is_libc(tables_of(*object));
  }
  return false;
}

}  // namespace ovcshim
