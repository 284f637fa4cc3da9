// SPDX-License-Identifier: MIT
//
// Changes of an ELF file that know where its headers and tables are.
#pragma once
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace ovc::fuzz {

void change_elf(std::vector<unsigned char>& file, std::mt19937& random);

}  // namespace ovc::fuzz
