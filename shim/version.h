// SPDX-License-Identifier: MIT
#pragma once
namespace ovcshim {
inline constexpr char kVersion[] = OVC_VERSION;  // project(VERSION) in CMakeLists.txt
}
