// SPDX-License-Identifier: MIT
//
// The objects that the loader has loaded, by its own list and their own tables: no libc calls. The
// list is walked without its lock; the objects of the start stay.
#pragma once
#include <link.h>

#include <cstdint>

#pragma GCC visibility push(hidden)

namespace ovcshim {

struct ObjectTables {
  uint64_t base = 0;
  const Elf64_Sym* symbols = nullptr;
  const char* names = nullptr;
  const uint32_t* hash = nullptr;      // DT_GNU_HASH
  const uint16_t* versions = nullptr;  // nullptr: it has none
  const char* soname = nullptr;
};

// The relocations that name a symbol. `bound_when_called`: those of `calls` may be bound at their
// first call, by this table of the loader's; nullptr: they were bound at the start.
struct Relocations {
  const Elf64_Rela* calls = nullptr;
  const Elf64_Rela* data = nullptr;
  uint64_t call_count = 0, data_count = 0;
  const uint64_t* bound_when_called = nullptr;
};

// nullptr: this libc has no such list, or it is not there yet.
const link_map* first_object();
// Does nobody load or unload an object at this moment, as the loader tells debuggers?
bool loader_is_idle();
Relocations relocations_of(const link_map& object);
ObjectTables tables_of(const link_map& object);
// In its default version, where there are several; nullptr: not there.
const Elf64_Sym* find_symbol(const ObjectTables& object, const char* name);

// As dlsym finds a function: in the objects behind the one whose dynamic section is `behind`; in
// all where that is nullptr. Not one that is chosen by the loader (IFUNC).
void* find_function_behind(const void* behind, const char* name);

}  // namespace ovcshim

#pragma GCC visibility pop
