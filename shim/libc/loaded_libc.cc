// SPDX-License-Identifier: MIT
#include "shim/libc/loaded_libc.h"

#include <link.h>

#include "shim/sys/sys.h"

// The loader's list of objects. Weak: other C libraries do not have it.
#pragma weak _r_debug

namespace ovcshim {
namespace {

constexpr size_t kMaxFunctionBytes = 4096;  // a thin wrapper is far shorter

bool same_text(const char* a, const char* b) {
  for (; *a == *b; ++a, ++b)
    if (!*a) return true;
  return false;
}

// The dynamic section of one loaded object. glibc has relocated its addresses, but not where the
// section is read-only (vdso).
struct Dynamic {
  uint64_t names = 0, symbols = 0, hash = 0, soname = UINT64_MAX;
};

Dynamic read_dynamic(const link_map& object) {
  Dynamic d;
  for (const Elf64_Dyn* entry = object.l_ld; entry->d_tag != DT_NULL; ++entry) {
    uint64_t value = entry->d_un.d_val;
    uint64_t address = value < object.l_addr ? value + object.l_addr : value;
    if (entry->d_tag == DT_STRTAB) d.names = address;
    if (entry->d_tag == DT_SYMTAB) d.symbols = address;
    if (entry->d_tag == DT_GNU_HASH) d.hash = address;
    if (entry->d_tag == DT_SONAME) d.soname = value;
  }
  return d;
}

bool is_libc(const link_map& object, Dynamic& d) {
  if (!object.l_ld) return false;
  d = read_dynamic(object);
  return d.soname != UINT64_MAX && d.names &&
         same_text(reinterpret_cast<const char*>(d.names + d.soname), "libc.so.6");
}

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

const Elf64_Sym* find_symbol(const LoadedLibc& libc, const char* name) {
  uint32_t wanted = 5381;
  for (const char* c = name; *c; ++c) wanted = wanted * 33 + static_cast<unsigned char>(*c);
  uint32_t buckets = libc.hash[0], first = libc.hash[1], bloom_words = libc.hash[2];
  const uint32_t* bucket = libc.hash + 4 + 2 * bloom_words;
  const uint32_t* chain = bucket + buckets;
  if (!buckets) return nullptr;
  uint32_t i = bucket[wanted % buckets];
  if (i < first) return nullptr;
  for (;; ++i) {
    uint32_t hash = chain[i - first];
    if ((hash | 1) == (wanted | 1) && same_text(libc.names + libc.symbols[i].st_name, name))
      return &libc.symbols[i];
    if (hash & 1) return nullptr;
  }
}

}  // namespace

bool find_libc(LoadedLibc& libc) {
  if (&_r_debug == nullptr || _r_debug.r_version < 1) return false;
  for (const link_map* object = _r_debug.r_map; object; object = object->l_next) {
    Dynamic d;
    if (!is_libc(*object, d)) continue;
    libc.base = object->l_addr;
    libc.symbols = reinterpret_cast<const Elf64_Sym*>(d.symbols);
    libc.names = reinterpret_cast<const char*>(d.names);
    libc.hash = reinterpret_cast<const uint32_t*>(d.hash);
    return d.symbols && d.hash && sys::readable(reinterpret_cast<const void*>(libc.base));
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
  if (&_r_debug == nullptr || _r_debug.r_version < 1) return false;
  bool libc_passed = false;
  for (const link_map* object = _r_debug.r_map; object; object = object->l_next) {
    if (object->l_ld == own) return libc_passed;
    Dynamic d;
    libc_passed = libc_passed || is_libc(*object, d);
  }
  return false;
}

}  // namespace ovcshim
