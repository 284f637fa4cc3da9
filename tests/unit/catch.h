// SPDX-License-Identifier: MIT
//
// Catch2 under the names of version 3 (Debian 13), where version 2 (Debian 12) has others.
#pragma once
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
namespace Catch::Matchers {
inline auto ContainsSubstring(const std::string& text) { return Contains(text); }
}  // namespace Catch::Matchers
#endif
