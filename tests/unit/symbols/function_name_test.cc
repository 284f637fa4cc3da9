// SPDX-License-Identifier: MIT
#include "tools/symbols/function_name.h"
#include "tests/unit/catch.h"

TEST_CASE("a C++ function is named without its arguments, others as they are") {
  using ovc::without_arguments;
  CHECK(without_arguments("save") == "save");
  CHECK(without_arguments("") == "");
  CHECK(without_arguments("v8::Heap::Collect(v8::Space, int) const") == "v8::Heap::Collect");
  CHECK(without_arguments("(anonymous namespace)::grow(char const*)") ==
        "(anonymous namespace)::grow");
  CHECK(without_arguments("std::function<void (int)>::operator()(int) const") ==
        "std::function<void (int)>::operator()");
  CHECK(without_arguments("a::f(int)::{lambda(long)#1}::operator()(long) const") == "a::f");
  CHECK(without_arguments("operator<(a const&, b const&)") == "operator<(a const&, b const&)");
}
