// SPDX-License-Identifier: MIT
#include "tests/fuzz/elf_mutator.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace ovc::fuzz {
namespace {

using Bytes = std::vector<unsigned char>;

uint64_t below(std::mt19937& random, uint64_t n) {
  return std::uniform_int_distribution<uint64_t>(0, n - 1)(random);
}

uint64_t figure(std::mt19937& random, uint64_t file_bytes) {
  switch (below(random, 5)) {
    case 0: return below(random, 64);
    case 1: return UINT64_MAX - below(random, 3);
    case 2: return (uint64_t{1} << below(random, 64)) - 1 + below(random, 3);
    case 3: return below(random, file_bytes + 64);
    default: return uint64_t{random()} << 32 | random();
  }
}

void set(Bytes& file, uint64_t offset, size_t size, uint64_t value) {
  if (offset <= file.size() && size <= file.size() - offset)
    std::memcpy(file.data() + offset, &value, size);
}

// One field of 2, 4 or 8 bytes of the struct at `offset`.
void set_field(Bytes& file, uint64_t offset, uint64_t struct_bytes, std::mt19937& random) {
  const size_t size = size_t{2} << below(random, 3);
  set(file, offset + below(random, struct_bytes / size) * size, size, figure(random, file.size()));
}

Elf64_Shdr section(const Bytes& file, const Elf64_Ehdr& header, uint64_t index) {
  Elf64_Shdr result{};
  const uint64_t offset = header.e_shoff + index * sizeof result;
  if (offset <= file.size() && sizeof result <= file.size() - offset)
    std::memcpy(&result, file.data() + offset, sizeof result);
  return result;
}

void change_piece(Bytes& file, uint64_t start, uint64_t bytes, std::mt19937& random) {
  start = std::min<uint64_t>(start, file.size());
  bytes = std::min<uint64_t>(bytes, file.size() - start);
  if (bytes == 0) return;
  const uint64_t piece = 1 + below(random, std::min<uint64_t>(bytes, 64));
  unsigned char* at = file.data() + start + below(random, bytes - piece + 1);
  const size_t now = LLVMFuzzerMutate(at, piece, piece);
  std::memset(at + now, 0, piece - now);
}

}  // namespace

void change_elf(Bytes& file, std::mt19937& random) {
  Elf64_Ehdr header{};
  if (file.size() < sizeof header) return file.resize(file.size() + 1 + below(random, 64));
  std::memcpy(&header, file.data(), sizeof header);
  const uint64_t index = below(random, header.e_shnum + uint64_t{1});
  const Elf64_Shdr any = section(file, header, index);
  switch (below(random, 8)) {
    case 0: return set_field(file, 16, sizeof header - 16, random);
    case 1:
      return set_field(
          file, header.e_phoff + below(random, header.e_phnum + uint64_t{1}) * sizeof(Elf64_Phdr),
          sizeof(Elf64_Phdr), random);
    case 2:
    case 3: return set_field(file, header.e_shoff + index * sizeof any, sizeof any, random);
    case 4:
      if (any.sh_entsize == 0 || any.sh_size < any.sh_entsize)
        return change_piece(file, any.sh_offset, any.sh_size, random);
      return set_field(file,
                       any.sh_offset + below(random, any.sh_size / any.sh_entsize) * any.sh_entsize,
                       std::max<uint64_t>(any.sh_entsize, 8), random);
    case 5:
    case 6: return change_piece(file, any.sh_offset, any.sh_size, random);
    default:
      return below(random, 8) == 0 ? file.resize(1 + below(random, file.size()))
                                   : change_piece(file, 0, file.size(), random);
  }
}

}  // namespace ovc::fuzz
