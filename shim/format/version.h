// SPDX-License-Identifier: MIT
//
// The one place of the version: CMakeLists.txt reads it here, and with it the package; ovc, the
// logs, the report and the manual pages name it.
#pragma once
namespace ovcshim {
inline constexpr char kVersion[] = "0.1.0";
inline constexpr char kReleaseDate[] =
    "2026-11-23";  // what is built must not depend on the day it is built
}  // namespace ovcshim
