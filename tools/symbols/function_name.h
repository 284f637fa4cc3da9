// SPDX-License-Identifier: MIT
//
// How a function is named in a line for people: C++ gives its argument types with the name, which
// make a stack unreadable.
#pragma once
#include <string>
#include <string_view>

namespace ovc {

// "v8::Heap::CollectGarbage(int)" -> "v8::Heap::CollectGarbage"; other names as they are.
std::string without_arguments(std::string_view name);

}  // namespace ovc
