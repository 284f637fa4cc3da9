// SPDX-License-Identifier: MIT
//
// Bit 47 of the address in a CallRecord's word. Processes on x86-64 have no address that high; half
// of those on aarch64 have it. It stands by itself, above the 44 bits that logs had room for first.
#pragma once
#include "shim/format/log_format.h"

namespace ovcshim {

inline constexpr unsigned kTopAddressBit = 47, kTopBitPlace = 55;

constexpr uint64_t top_address_bit(uint64_t address) {
  return (address >> kTopAddressBit & 1) << kTopBitPlace;
}
constexpr uint64_t whole_call_address(uint64_t word) {
  return call_address(word) | (word >> kTopBitPlace & 1) << kTopAddressBit;
}

// What the writer adds: nothing where no address has the bit.
constexpr uint64_t top_bit_written([[maybe_unused]] uint64_t address) {
#if defined(__aarch64__)
  return top_address_bit(address);
#else
  return 0;
#endif
}

}  // namespace ovcshim
