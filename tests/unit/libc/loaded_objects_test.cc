// SPDX-License-Identifier: MIT
#include "shim/sys/loaded_objects.h"

#include <dlfcn.h>
#include <stdlib.h>

#include <algorithm>
#include <string>

#include "tests/unit/catch.h"

using namespace ovcshim;

// What dlsym finds in the program and all that it loads; where a libc before 2.34 has no dlsym
// without libdl, the shim takes this instead.
TEST_CASE("loaded objects: functions are found as dlsym finds them") {
  unsigned found = 0;
  auto same = [&found](const char* name) {
    void* const theirs = dlsym(RTLD_DEFAULT, name);
    INFO(name);
    CHECK(find_function_behind(nullptr, name) == theirs);
    found += theirs != nullptr;
  };
#define MEMORY(symbol, op, type, parameters, arguments, failure) same(#symbol);
#define PLAIN(symbol, op, type, parameters, arguments, failure) same(#symbol);
#define OTHER(symbol, op, type, parameters) same(#symbol);
#define LATE(symbol, op, type, parameters) same(#symbol);
#define ALIAS(symbol, of) same(#symbol);
#include "shim/providers/calls.def"
#undef MEMORY
#undef PLAIN
#undef OTHER
#undef LATE
#undef ALIAS
  CHECK(found > 60);
  CHECK(find_function_behind(nullptr, "no_such_function_anywhere") == nullptr);
}

// The addresses that calls of malloc's family go by, as `ovc attach --malloc` finds them.
TEST_CASE("loaded objects: the relocations that name a symbol") {
  REQUIRE(loader_is_idle());
  unsigned named = 0, of_nobody = 0;
  for (const link_map* object = first_object(); object; object = object->l_next) {
    const ObjectTables tables = tables_of(*object);
    const Relocations found = relocations_of(*object);
    const auto look = [&](const Elf64_Rela& relocation) {
      const uint64_t symbol = ELF64_R_SYM(relocation.r_info);
      const std::string name = symbol ? tables.names + tables.symbols[symbol].st_name : "";
      of_nobody += name.empty();
      if (name != "free") return;
      ++named;
      CHECK(*reinterpret_cast<void**>(tables.base + relocation.r_offset) != nullptr);
    };
    std::for_each(found.calls, found.calls + found.call_count, look);
    std::for_each(found.data, found.data + found.data_count, look);
  }
  CHECK(named >= 3);         // the program, libstdc++, libc
  CHECK(of_nobody < 10000);  // RELATIVE ones are left out
}

TEST_CASE("loaded objects: behind one, not in it") {
  Dl_info libc{};
  REQUIRE(dladdr(reinterpret_cast<void*>(&abort), &libc));
  for (const link_map* object = first_object(); object; object = object->l_next) {
    if (object->l_addr != reinterpret_cast<uint64_t>(libc.dli_fbase)) continue;
    CHECK(find_function_behind(object->l_ld, "fork") == nullptr);
    return;
  }
  FAIL("libc is not in the loader's list");
}
