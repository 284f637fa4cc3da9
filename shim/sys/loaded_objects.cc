// SPDX-License-Identifier: MIT
#include "shim/sys/loaded_objects.h"

// Weak: other C libraries do not have it.
#pragma weak _r_debug

namespace ovcshim {
namespace {

constexpr uint16_t kHiddenVersion = 0x8000;  // not the default one

bool same_text(const char* a, const char* b) {
  for (; *a == *b; ++a, ++b)
    if (!*a) return true;
  return false;
}

bool is_default(const ObjectTables& object, uint32_t i) {
  return !object.versions || !(object.versions[i] & kHiddenVersion);
}

}  // namespace

const link_map* first_object() {
  return &_r_debug == nullptr || _r_debug.r_version < 1 ? nullptr : _r_debug.r_map;
}

bool loader_is_idle() {
  return &_r_debug != nullptr && _r_debug.r_version >= 1 &&
         __atomic_load_n(&_r_debug.r_state, __ATOMIC_ACQUIRE) == r_debug::RT_CONSISTENT;
}

// Behind the first DT_RELACOUNT, which name no symbol: most of them, on pages that nobody has read
// since the start. Word 1 of DT_PLTGOT is the loader's entry of the object, where calls are bound
// late (sysdeps/x86_64/dl-machine.h elf_machine_runtime_setup()).
Relocations relocations_of(const link_map& object) {
  uint64_t calls = 0, call_bytes = 0, data = 0, data_bytes = 0, relative = 0, table = 0;
  const struct {
    Elf64_Sxword tag;
    uint64_t* value;
  } kWanted[] = {{DT_JMPREL, &calls},      {DT_PLTRELSZ, &call_bytes}, {DT_RELA, &data},
                 {DT_RELASZ, &data_bytes}, {DT_RELACOUNT, &relative},  {DT_PLTGOT, &table}};
  for (const Elf64_Dyn* entry = object.l_ld; entry && entry->d_tag != DT_NULL; ++entry)
    for (const auto& wanted : kWanted)
      if (entry->d_tag == wanted.tag) *wanted.value = entry->d_un.d_val;
  const auto address = [&object](uint64_t value) {
    return value && value < object.l_addr ? value + object.l_addr : value;
  };
  Relocations found;
  found.calls = reinterpret_cast<const Elf64_Rela*>(address(calls));
  found.data = reinterpret_cast<const Elf64_Rela*>(address(data)) + relative;
  if (calls) found.call_count = call_bytes / sizeof(Elf64_Rela);
  if (data) found.data_count = data_bytes / sizeof(Elf64_Rela) - relative;
  const auto* words = reinterpret_cast<const uint64_t*>(address(table));
  if (words && words[1] == reinterpret_cast<uint64_t>(&object)) found.bound_when_called = words;
  return found;
}

// glibc has relocated the addresses in a dynamic section, but not where it is read-only (vdso).
ObjectTables tables_of(const link_map& object) {
  ObjectTables found{object.l_addr};
  uint64_t soname = UINT64_MAX;
  for (const Elf64_Dyn* entry = object.l_ld; entry && entry->d_tag != DT_NULL; ++entry) {
    const uint64_t value = entry->d_un.d_val;
    const uint64_t address = value < object.l_addr ? value + object.l_addr : value;
    if (entry->d_tag == DT_STRTAB) found.names = reinterpret_cast<const char*>(address);
    if (entry->d_tag == DT_SYMTAB) found.symbols = reinterpret_cast<const Elf64_Sym*>(address);
    if (entry->d_tag == DT_GNU_HASH) found.hash = reinterpret_cast<const uint32_t*>(address);
    if (entry->d_tag == DT_VERSYM) found.versions = reinterpret_cast<const uint16_t*>(address);
    if (entry->d_tag == DT_SONAME) soname = value;
  }
  if (found.names && soname != UINT64_MAX) found.soname = found.names + soname;
  return found;
}

const Elf64_Sym* find_symbol(const ObjectTables& object, const char* name) {
  if (!object.symbols || !object.names || !object.hash) return nullptr;
  uint32_t wanted = 5381;
  for (const char* c = name; *c; ++c) wanted = wanted * 33 + static_cast<unsigned char>(*c);
  const uint32_t buckets = object.hash[0], first = object.hash[1], bloom_words = object.hash[2];
  const uint32_t* bucket = object.hash + 4 + 2 * bloom_words;
  const uint32_t* chain = bucket + buckets;
  if (!buckets) return nullptr;
  uint32_t i = bucket[wanted % buckets];
  if (i < first) return nullptr;
  for (;; ++i) {
    const uint32_t hash = chain[i - first];
    if ((hash | 1) == (wanted | 1) && is_default(object, i) &&
        same_text(object.names + object.symbols[i].st_name, name))
      return &object.symbols[i];
    if (hash & 1) return nullptr;
  }
}

void* find_function_behind(const void* behind, const char* name) {
  bool passed = !behind;
  for (const link_map* object = first_object(); object; object = object->l_next) {
    if (passed) {
      const ObjectTables tables = tables_of(*object);
      const Elf64_Sym* symbol = find_symbol(tables, name);
      if (symbol && symbol->st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol->st_info) == STT_FUNC)
        return reinterpret_cast<void*>(tables.base + symbol->st_value);
    }
    passed = passed || object->l_ld == behind;
  }
  return nullptr;
}

}  // namespace ovcshim
