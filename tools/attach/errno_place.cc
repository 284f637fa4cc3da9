// SPDX-License-Identifier: MIT
#include "tools/attach/errno_place.h"

#include <cstring>

namespace ovc {

#if defined(__x86_64__)

// mov errno@gottpoff(%rip),%rax; add %fs:0,%rax; ret, behind an endbr64 or not.
int64_t errno_distance(const Memory& memory, uint64_t function) {
  unsigned char code[32]{};
  if (!function || memory.read(function, code, sizeof code) != sizeof code) return 0;
  constexpr unsigned char kEndbr[] = {0xf3, 0x0f, 0x1e, 0xfa}, kLoad[] = {0x48, 0x8b, 0x05},
                          kAdd[] = {0x64, 0x48, 0x03, 0x04, 0x25, 0, 0, 0, 0, 0xc3};
  const size_t at = std::memcmp(code, kEndbr, sizeof kEndbr) == 0 ? sizeof kEndbr : 0;
  if (std::memcmp(code + at, kLoad, sizeof kLoad) != 0 ||
      std::memcmp(code + at + 7, kAdd, sizeof kAdd) != 0)
    return 0;
  int32_t offset = 0;
  int64_t distance = 0;
  std::memcpy(&offset, code + at + 3, sizeof offset);
  const uint64_t slot = function + at + 7 + static_cast<uint64_t>(int64_t{offset});
  return memory.get(slot, distance) ? distance : 0;
}

#elif defined(__aarch64__)

namespace {

// The address that an adrp at `at` makes, without its low 12 bits.
uint64_t page_of(uint32_t adrp, uint64_t at) {
  const uint64_t pages = uint64_t{adrp >> 5 & 0x7ffff} << 2 | (adrp >> 29 & 3);
  const auto distance = static_cast<int64_t>(pages << 43) >> 43;  // 21 bits, signed
  return (at & ~uint64_t{4095}) + static_cast<uint64_t>(distance * 4096);
}

}  // namespace

// adrp x0, page; ldr x0, [x0, #offset]; mrs x1, tpidr_el0; add x0, x1, x0; ret, the mrs at any
// place, hints (bti, paciasp) between.
int64_t errno_distance(const Memory& memory, uint64_t function) {
  uint32_t code[10]{};
  if (!function || memory.read(function, code, sizeof code) != sizeof code) return 0;
  constexpr uint32_t kReturn = 0xd65f03c0;
  uint64_t slot = 0;
  bool loaded = false, based = false, added = false;
  for (size_t i = 0; i < std::size(code) && code[i] != kReturn; ++i) {
    const uint32_t word = code[i];
    if ((word & 0x9f00001f) == 0x90000000) slot = page_of(word, function + 4 * i);
    else if ((word & 0xffc003ff) == 0xf9400000)
      slot += uint64_t{word >> 10 & 0xfff} * 8, loaded = true;
    else if (word == 0xd53bd041) based = true;
    else if (word == 0x8b000020) added = true;
    else if ((word & 0xfffff01f) != 0xd503201f) return 0;
  }
  int64_t distance = 0;
  return slot && loaded && based && added && memory.get(slot, distance) ? distance : 0;
}

#else

int64_t errno_distance(const Memory&, uint64_t) { return 0; }

#endif

}  // namespace ovc
