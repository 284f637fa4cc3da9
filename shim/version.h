// SPDX-License-Identifier: MIT
#pragma once
namespace ovcshim {
inline constexpr char kVersion[] = "0.1.0";
}
