// SPDX-License-Identifier: MIT
#include "shim/sys/loaded_objects.h"

#include <dlfcn.h>
#include <stdlib.h>

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
